"""An embedded PostgreSQL: made, recovered, started and reached over a unix socket."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from gql_trader.infra.embedded.binaries import PostgresBinaries
from gql_trader.infra.embedded.errors import EmbeddedServerError
from gql_trader.infra.embedded.identity import ON_LINUX, Identity
from gql_trader.infra.embedded.processes import Child, spawn, start_moment

_USER = "gql_trader"
_FIRST_WITH_BUILTIN_LOCALES = 17
_READY_SECONDS = 60.0
_RETRY_SECONDS = 10.0
_COMPLETE_MARK = "gql_trader_cluster_complete"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "jit": "off",
}
# A test database that dies with its machine loses nothing of worth.
_VOLATILE_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class EmbeddedPostgres:
    """A PostgreSQL cluster of our own.

    Parameters
    ----------
    directory
        The cluster; made if it is not there.
    sockets
        Directory of the unix socket; PostgreSQL listens nowhere else.
    durable
        False: never wait for the disk (for tests).
    """

    def __init__(
        self,
        directory: Path,
        sockets: Path,
        log: Path,
        binaries: PostgresBinaries,
        identity: Identity,
        *,
        durable: bool = True,
    ) -> None:
        self._directory = directory
        self._sockets = sockets
        self._log = log
        self._binaries = binaries
        self._identity = identity
        self._durable = durable

    @property
    def url(self) -> str:
        """The database's address for SQLAlchemy."""
        return postgres_url(self._sockets)

    def start(self) -> Child:
        """Make the cluster if needed, clear what a crash left, and start the server.

        Raises
        ------
        EmbeddedServerError
            If the cluster belongs to another major version, or making or starting it fails.
        """
        self._make_cluster()
        self._clear_stale_locks()
        return self._spawn()

    def wait_ready(self, child: Child) -> Child:
        """Return the child once it answers; a new one if the first met processes of a killed server.

        After kill -9 of the postmaster its backends need a moment to notice and go; until then a new
        postmaster refuses to start.
        """
        deadline = time.monotonic() + _RETRY_SECONDS
        while True:
            pid = child.pid
            try:
                child.wait_ready(lambda pid=pid: self._is_ready(pid), _READY_SECONDS)  # type: ignore[misc]
            except EmbeddedServerError:
                blocked = "still in use" in child.log_tail() or "lock file" in child.log_tail()
                if child.exit_code is None or not blocked or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                child = self._spawn()
            else:
                return child

    def _is_ready(self, pid: int) -> bool:
        # What pg_ctl --wait reads: line 1 is the postmaster's id, line 8 its state.
        try:
            lines = (self._directory / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _spawn(self) -> Child:
        settings = {**_SETTINGS, **({} if self._durable else _VOLATILE_SETTINGS)}
        command: list[str | Path] = [self._binaries.postgres, "-D", self._cluster_argument]
        for name, value in {**settings, "unix_socket_directories": str(self._sockets)}.items():
            command += ["-c", f"{name}={value}"]
        return spawn(
            "postgres",
            command,
            log=self._log,
            stop_signal=signal.SIGINT,  # "fast": disconnect the clients, write a checkpoint, exit
            cwd=self._directory,
            identity=self._identity,
            environment=self._environment(),
        )

    @property
    def _cluster_argument(self) -> str:
        # As root we hand the directory over by starting in it: its user need not be able to walk there
        # (below /root, say), and nobody's home is opened for that.
        by_cwd = self._identity.is_other and ON_LINUX
        return "/proc/self/cwd" if by_cwd else str(self._directory)

    def _environment(self) -> dict[str, str]:
        # PGDATA, PGPORT and their like in the user's environment are meant for another server.
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def _make_cluster(self) -> None:
        version = self._directory / "PG_VERSION"
        mark = self._directory / _COMPLETE_MARK
        major = self._binaries.major_version() if not mark.exists() else None
        if mark.exists():
            recorded, made_by = version.read_text().strip(), mark.read_text().strip()
            if made_by != str(self._binaries.directory):
                major = self._binaries.major_version()
                if recorded != str(major):
                    raise EmbeddedServerError(
                        f"{self._directory} was made by PostgreSQL {recorded}, but {self._binaries.postgres} "
                        f"is version {major}: use that version, or dump and reload"
                    )
                mark.write_text(str(self._binaries.directory))
            return
        if self._directory.exists():
            shutil.rmtree(self._directory)  # half-made: initdb was interrupted, nothing was ever stored
        self._directory.mkdir(mode=0o700)
        self._identity.take(self._directory)
        locale = ["--locale=C"]
        if major is not None and major >= _FIRST_WITH_BUILTIN_LOCALES:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        result = subprocess.run(  # noqa: S603 -- our own binaries and arguments
            [
                self._binaries.initdb,
                f"--pgdata={self._cluster_argument}",
                f"--username={_USER}",
                "--auth=trust",
                "--encoding=UTF8",
                *locale,
                "--no-instructions",
                # The server's first checkpoint makes it durable; syncing 900 empty files is not needed.
                "--no-sync",
            ],
            cwd=self._directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            **self._identity.popen_arguments(),
        )
        if result.returncode != 0:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise EmbeddedServerError(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")
        mark.write_text(str(self._binaries.directory))
        self._identity.take(mark)

    def _clear_stale_locks(self) -> None:
        """Remove a lock that names a process which is not PostgreSQL.

        If the process is gone the file stays: PostgreSQL checks shared memory with its help and
        replaces it. If the id has been given to a foreign process since, PostgreSQL would refuse to
        start for ever; that process is none of our business.
        """
        lock = self._directory / "postmaster.pid"
        socket_lock = self._sockets / ".s.PGSQL.5432.lock"
        for path in (lock, socket_lock):
            try:
                pid = int(path.read_text().splitlines()[0])
            except FileNotFoundError:
                continue
            except (ValueError, IndexError):  # cut short by a crash of the machine
                path.unlink()
                continue
            if start_moment(pid) is None:
                continue
            if self._is_our_postmaster(pid):
                self._stop_foreign_postmaster(pid)
            else:
                path.unlink()

    def _is_our_postmaster(self, pid: int) -> bool:
        if ON_LINUX:
            try:
                return Path(f"/proc/{pid}/cwd").resolve() == self._directory.resolve()
            except (PermissionError, FileNotFoundError):
                return False  # another user's process, or gone
        arguments = subprocess.run(  # noqa: S603
            ["ps", "-o", "args=", "-p", str(pid)],  # noqa: S607 -- in /bin on every Unix
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return "postgres" in arguments and str(self._directory) in arguments

    def _stop_foreign_postmaster(self, pid: int) -> None:
        # Ours by its directory, but not in the register: its launcher was killed right after starting it.
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _RETRY_SECONDS
        while start_moment(pid) is not None:
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"PostgreSQL (process {pid}) still runs on {self._directory}")
            time.sleep(0.01)


def postgres_url(sockets: Path, database: str = "postgres") -> str:
    """Return the address of a database of the embedded PostgreSQL whose socket is in a directory."""
    return f"postgresql+asyncpg://{_USER}@/{database}?host={quote(str(sockets), safe='/')}"
