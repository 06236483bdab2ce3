"""Whom the embedded servers run as: PostgreSQL refuses to run as root."""

import os
import pwd
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gql_trader.infra.embedded.errors import EmbeddedServerError

# A variable, lest mypy call the other platforms' code unreachable.
ON_LINUX: bool = sys.platform.startswith("linux")

_UNPRIVILEGED_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and group that a child process runs as; None stands for our own."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_other(self) -> bool:
        """Whether this is somebody else than the present user."""
        return self.uid is not None

    @property
    def owner(self) -> int:
        """The user id that owns what the child writes."""
        return os.geteuid() if self.uid is None else self.uid

    def popen_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `subprocess` that start a process as this identity."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def take(self, path: Path) -> None:
        """Give a file or directory to this identity."""
        if self.is_other:
            os.chown(path, self.uid or 0, self.gid or 0)

    def can_execute_in(self, directory: Path) -> bool:
        """Return whether this identity may walk to a directory and read it."""
        if not self.is_other:
            return os.access(directory, os.R_OK | os.X_OK)
        resolved = directory.resolve()
        return all(self._has(parent, stat.S_IXOTH) for parent in resolved.parents) and self._has(
            resolved, stat.S_IXOTH | stat.S_IROTH
        )

    def _has(self, directory: Path, other_bits: int) -> bool:
        status = directory.stat()
        if status.st_uid == self.uid:
            bits = other_bits << 6
        elif status.st_gid == self.gid:
            bits = other_bits << 3
        else:
            bits = other_bits
        return status.st_mode & bits == bits


def server_identity() -> Identity:
    """Return the identity for embedded servers: our own, or an unprivileged user if we are root.

    Raises
    ------
    EmbeddedServerError
        If we are root and the machine has neither a ``postgres`` nor a ``nobody`` user.
    """
    if os.geteuid() != 0:
        return Identity()
    for name in _UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Identity(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL refuses to run as root, and there is no user "
        f"{' or '.join(_UNPRIVILEGED_USERS)} to run it as: start gql-trader as an ordinary user"
    )
