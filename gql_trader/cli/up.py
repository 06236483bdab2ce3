"""One command for everything: servers, migrations, seeds, the API and its workers."""

import http.client
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from gql_trader import __version__
from gql_trader.cli.listener import open_listener
from gql_trader.cli.session import with_urls
from gql_trader.cli.start_signal import ReadySignals, StartSignal
from gql_trader.cli.supervisor import Signals, Supervisor
from gql_trader.config import Settings, local_address
from gql_trader.infra.embedded import Child, DataDirectory, EmbeddedServerError, EmbeddedServers, spawn
from gql_trader.infra.embedded.processes import ChildRegister

_READY_SECONDS = 60.0
_MIGRATION_SECONDS = 600.0
_PROBE_SECONDS = 0.5
_STOP_SECONDS = 9.0
_API_STOP_SECONDS = 4.0
_WORKER_STOP_SECONDS = 2.5


class _StopRequestedError(Exception):
    """A signal came while the server was starting."""


@dataclass
class _Launch:
    settings: Settings
    demo: bool
    data: DataDirectory
    say: Callable[[str], None]
    signals: Signals
    register: ChildRegister
    servers: EmbeddedServers
    listener: socket.socket
    environment: dict[str, str]
    ready: ReadySignals = field(default_factory=ReadySignals)

    def python(self, name: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> Child:
        """Start one of our own commands as a child."""
        return spawn(
            name,
            [sys.executable, "-m", "gql_trader", *arguments],
            log=self.data.logs / f"{name}.log",
            environment=self.environment,
            pass_fds=pass_fds,
        )

    def api(self, start: StartSignal | None = None) -> Child:
        """Start the API on our listener; with a signal, seed when it comes, before serving."""
        fds = [self.listener.fileno()]
        arguments = ["serve", "--listen-fd", str(fds[0])]
        if start is not None:
            fds.append(start.read_fd)
            arguments += ["--start-fd", str(start.read_fd), "--seed", *(["--demo"] if self.demo else [])]
        return self.python("api", *arguments, pass_fds=tuple(fds))

    def migration(self, start: StartSignal) -> Child:
        """Start migrating, once told that the database is there."""
        arguments = ["migrate", "--tables-only", "--start-fd", str(start.read_fd)]
        return self.python("migrate", *arguments, pass_fds=(start.read_fd,))

    def worker(self, name: str) -> Child:
        """Start a worker, which says when it can take jobs."""
        ready_fd = self.ready.open(name)
        try:
            return self.python(name, "worker", "--ready-fd", str(ready_fd), pass_fds=(ready_fd,))
        finally:
            os.close(ready_fd)

    def wait(self, child: Child, probe: Callable[[], bool], seconds: float) -> None:
        """Wait for a child, unless a signal comes."""

        def probe_or_stop() -> bool:
            if self.signals.stop_requested:
                raise _StopRequestedError
            return probe()

        child.wait_ready(probe_or_stop, seconds)


def run(settings: Settings, *, demo: bool) -> None:
    """Start everything, keep it running, and stop it in order at SIGINT or SIGTERM.

    Raises
    ------
    DataDirectoryInUseError
        If another instance has the data directory.
    CommandError
        If the address to listen on is taken.
    EmbeddedServerError
        If a part does not start.
    """
    began = time.monotonic()
    say = _speaker()
    signals = Signals()
    demo = demo and settings.is_local
    with DataDirectory(settings.data_dir) as data:
        register = ChildRegister(data.register)
        for name in register.stop_leftovers(seconds=8.0):
            say(f"[yellow]stopped {name}, left behind by a launcher that was killed[/]")
        listener = open_listener(settings.host, settings.port)
        servers = EmbeddedServers(
            data,
            register,
            postgres=not settings.database_url.get_secret_value(),
            valkey=not settings.redis_url.get_secret_value(),
            postgres_bin_dir=settings.postgres_bin_dir,
            valkey_bin=settings.valkey_bin,
        )
        settings = with_urls(settings, servers.database_url, servers.redis_url)
        launch = _Launch(
            settings,
            demo,
            data,
            say,
            signals,
            register,
            servers,
            listener,
            _environment(settings, data, listener),
        )
        supervisor = Supervisor(
            register, lambda message: say(f"[yellow]{time.strftime('%H:%M:%S')}[/] {escape(message)}")
        )
        try:
            _start(launch, supervisor)
            # Not before: they import and compile for seconds, on the cores that the API needs to start.
            for number in range(1, settings.workers + 1):
                name = f"worker-{number}"
                supervisor.keep(name, lambda name=name: launch.worker(name))  # type: ignore[misc]
            _announce(launch, time.monotonic() - began)
            _keep_running(launch, supervisor)
        except _StopRequestedError:
            pass
        finally:
            _stop(launch, supervisor)


def _speaker() -> Callable[[str], None]:
    """Return a function that prints; where nobody reads any more, it goes on without."""
    console = Console(soft_wrap=True, highlight=False)

    def say(text: str) -> None:
        # The terminal may be gone: that is what SIGHUP says. rich ends the process at a broken pipe.
        with suppress(OSError, SystemExit):
            console.print(text)

    return say


def _environment(settings: Settings, data: DataDirectory, listener: socket.socket) -> dict[str, str]:
    """Return the children's environment: ours, with what the launcher has found out."""
    return {
        **os.environ,
        "GQL_TRADER_DATA_DIR": str(data.path),
        # Not known to them otherwise if they are options; links in mails begin with these.
        "HOST": settings.host,
        "PORT": str(listener.getsockname()[1]),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR") or str(data.path / "cache" / "numba"),
    }


def _start(launch: _Launch, supervisor: Supervisor) -> None:
    # Importing is most of a Python process's start: these two do it while PostgreSQL starts.
    migrating, serving = StartSignal(), StartSignal()
    try:
        migration = launch.migration(migrating)
        launch.register.add(migration)
        api = supervisor.keep("api", launch.api, launch.api(serving))
        launch.servers.start()
        if launch.signals.stop_requested:
            raise _StopRequestedError
        migrating.give()
        _await_migration(launch, migration)
        serving.give()
        launch.wait(api, lambda: _answers(launch.listener), _READY_SECONDS)
    finally:
        migrating.close()
        serving.close()


def _await_migration(launch: _Launch, migration: Child) -> None:
    deadline = time.monotonic() + _MIGRATION_SECONDS
    try:
        while (code := migration.exit_code) is None:
            launch.signals.wait(1.0)
            if launch.signals.stop_requested:
                raise _StopRequestedError
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"migrating took too long\n{migration.log_tail()}")
        if code != 0:
            raise EmbeddedServerError(f"migrating failed\n{migration.log_tail()}")
    finally:
        migration.stop(2.0)
        launch.register.remove(migration.name)


def _answers(listener: socket.socket) -> bool:
    # The kernel accepts on our listener at once; the API answers when it is there.
    host, port = _address(listener)
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _address(listener: socket.socket) -> tuple[str, int]:
    """Return where a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 -- recognised, not bound


def _announce(launch: _Launch, seconds: float) -> None:
    address = local_address(*launch.listener.getsockname()[:2])
    say = launch.say
    say(f"[bold green]gql-trader {__version__}[/] is ready [dim]({seconds:.1f} s)[/]\n")
    if launch.settings.page:
        say(f"  Page       [bold]{escape(f'{address}/')}[/]")
    say(f"  GraphiQL   [bold]{escape(f'{address}/graphql')}[/]")
    if launch.demo:
        say(f"  Demo user  [bold]demo[/]   password [bold]{_demo_password(launch.data.path)}[/]")
    if launch.settings.workers:
        say("  Workers    getting ready; the first start compiles the engine, which takes some seconds")
    say(f"  Data       {launch.data.path}")
    say(f"  Logs       {launch.data.logs}")
    say("\nCtrl-C stops it.")


def _demo_password(data_dir: Path) -> str:
    return (data_dir / "demo_password").read_text().strip()


def _keep_running(launch: _Launch, supervisor: Supervisor) -> None:
    while not launch.signals.stop_requested:
        for name in launch.servers.restart_dead():
            supervisor.report(f"{name} had ended and was started again")
        if (seconds := launch.ready.look()) is not None:
            launch.say(f"[bold green]workers ready[/] [dim]({seconds:.1f} s)[/]")
        launch.signals.wait(supervisor.look(), launch.ready.descriptors)


def _stop(launch: _Launch, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    launch.say("stopping …")
    launch.listener.close()
    launch.ready.close()
    supervisor.stop(["api"], _API_STOP_SECONDS)
    supervisor.stop(supervisor.names, _WORKER_STOP_SECONDS)
    launch.servers.stop(deadline)
    launch.say("stopped")
