"""An embedded Valkey over a unix socket, with an append-only file."""

import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from gql_trader.infra.embedded.identity import ON_LINUX, Identity
from gql_trader.infra.embedded.processes import Child, spawn

_READY_SECONDS = 30.0
_SOCKET_NAME = "valkey.sock"


class EmbeddedValkey:
    """A Valkey server of our own.

    Parameters
    ----------
    directory
        Where its append-only file is.
    sockets
        Directory of its unix socket; it listens nowhere else.
    durable
        False: keep nothing on disk (for tests).
    databases
        How many numbered databases it has.
    """

    def __init__(
        self,
        directory: Path,
        sockets: Path,
        log: Path,
        binary: Path,
        identity: Identity,
        *,
        durable: bool = True,
        databases: int = 16,
    ) -> None:
        self._directory = directory
        self._sockets = sockets
        self._log = log
        self._binary = binary
        self._identity = identity
        self._durable = durable
        self._databases = databases

    @property
    def url(self) -> str:
        """The server's address."""
        return valkey_url(self._sockets)

    def start(self) -> Child:
        """Start the server."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        identity = self._identity_for_binary()
        for path in (self._directory, *self._directory.rglob("*")):
            identity.take(path)
        (self._sockets / _SOCKET_NAME).unlink(missing_ok=True)
        command: list[str | Path] = [
            self._binary,
            *("--port", "0"),
            *("--unixsocket", self._sockets / _SOCKET_NAME),
            *("--unixsocketperm", "700"),
            # Started in its directory, like PostgreSQL, so that its user need not walk there.
            *("--dir", "./"),
            *("--databases", str(self._databases)),
            *("--save", ""),
            *("--appendonly", "yes" if self._durable else "no"),
            # A killed process loses nothing (the file is written before the answer is sent), a crashed
            # machine one second of events and wake-ups; the truth about jobs is in PostgreSQL.
            *("--appendfsync", "everysec"),
            # A rewrite must not make the API wait for the disk.
            *("--no-appendfsync-on-rewrite", "yes"),
            # A file cut short by a crash of the machine is loaded up to the cut.
            *("--aof-load-truncated", "yes"),
            # Refuse writes when memory is short instead of dropping jobs silently.
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
        ]
        return spawn("valkey", command, log=self._log, cwd=self._directory, identity=identity)

    def wait_ready(self, child: Child) -> Child:
        """Return the child once it answers (after it has read its append-only file)."""
        child.wait_ready(self._answers, _READY_SECONDS)
        return child

    def _identity_for_binary(self) -> Identity:
        # Valkey does not mind root; it only gives it up where the other user can run the binary.
        readable = ON_LINUX and self._identity.can_execute_in(self._binary.parent)
        return self._identity if readable else Identity()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(2)
            connection.connect(str(self._sockets / _SOCKET_NAME))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False


def valkey_url(sockets: Path, database: int = 0) -> str:
    """Return the address of a database of the embedded Valkey whose socket is in a directory."""
    return f"unix://{quote(str(sockets / _SOCKET_NAME), safe='/')}?db={database}"
