"""Where a server keeps its things, and the lock that lets one server at a time use them."""

import fcntl
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import Self

from gql_trader.infra.embedded.errors import EmbeddedServerError
from gql_trader.infra.embedded.identity import ON_LINUX, Identity

# sockaddr_un holds 108 bytes on Linux and 104 on macOS, with a closing zero.
_LONGEST_SOCKET_PATH = 103
_LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432.lock")


class DataDirectoryInUseError(EmbeddedServerError):
    """Another gql-trader runs on this data directory."""


class DataDirectory:
    """The layout of a data directory.

    Parameters
    ----------
    path
        The directory; created, readable by its owner only, when it is first locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        """Logs of the children."""
        return self.path / "logs"

    @property
    def register(self) -> Path:
        """The file that names the running children."""
        return self.path / "children.json"

    def create(self) -> None:
        """Make the directory and its logs, unless they exist."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> Self:
        """Take the directory for this process; the lock goes with the process, however it ends.

        Raises
        ------
        DataDirectoryInUseError
            If another process has it.
        """
        self.create()
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryInUseError(
                f"another gql-trader (process {holder}) already runs on {self.path}; "
                "stop it, or choose another directory with --data-dir"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor
        return self

    def is_locked(self) -> bool:
        """Return whether a process has the directory."""
        if not (self.path / "lock").exists():
            return False
        try:
            self.lock()
        except DataDirectoryInUseError:
            return True
        self.unlock()
        return False

    def unlock(self) -> None:
        """Give the directory back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self if self._lock is not None else self.lock()

    def __exit__(self, *_: object) -> None:
        self.unlock()

    def socket_directory(self, identity: Identity) -> Path:
        """Return the directory of the servers' unix sockets, the same at every call.

        It is ``run`` in the data directory, or, where a socket's path would be too long or the
        servers' user cannot walk there, one named after the data directory in ``/run`` or ``/tmp``.
        """
        inside = self.path / "run"
        fits = len(os.fsencode(inside)) + _LONGEST_SOCKET_NAME <= _LONGEST_SOCKET_PATH
        if fits and not identity.is_other:
            return inside
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        # Not gettempdir(): another shell with another TMPDIR must find the same sockets.
        base = Path("/run") if identity.is_other and ON_LINUX else Path("/tmp")  # noqa: S108
        return base / f"gql-trader-{os.geteuid()}-{name}"

    def remove_socket_directory(self, identity: Identity) -> None:
        """Remove that directory once the servers have stopped, unless it is among the data."""
        directory = self.socket_directory(identity)
        if directory.parent != self.path:
            shutil.rmtree(directory, ignore_errors=True)

    def make_socket_directory(self, identity: Identity) -> Path:
        """Make that directory for its owner only, refusing one that somebody else has put there.

        Raises
        ------
        EmbeddedServerError
            If it exists and is not a directory of the servers' user, closed to others.
        """
        directory = self.socket_directory(identity)
        try:
            directory.mkdir(mode=0o700)
            identity.take(directory)
        except FileExistsError:
            status = directory.lstat()
            if status.st_uid == os.geteuid() != identity.owner:  # made by us, killed before giving it away
                identity.take(directory)
                status = directory.lstat()
            private = stat.S_ISDIR(status.st_mode) and status.st_mode & 0o077 == 0
            if not private or status.st_uid != identity.owner:
                raise EmbeddedServerError(
                    f"{directory} exists and is not a private directory of this user; remove it"
                ) from None
        return directory
