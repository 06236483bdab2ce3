"""Real PostgreSQL and Valkey for every test: one pair of servers, a fresh database for each test.

A template database is migrated once; a test's own is a copy of it, which takes about 10 ms.
"""

import asyncio
import gc
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import hypothesis
import pytest
import redis
import structlog
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gql_trader import migrate
from gql_trader.cli.worker import CACHE_OF_THIS_VERSION
from gql_trader.config import Settings
from gql_trader.infra.embedded.data_directory import DataDirectory
from gql_trader.infra.embedded.processes import ChildRegister
from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.runtime import Runtime, open_runtime
from tests import kept_work

# The tests start a hundred Python processes. Without bytecode each would compile the server's modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The engine is compiled once for the tests and the processes they start, and kept for the next run.
_MACHINE_CODE = Path(
    os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "numba"))
)
_MACHINE_CODE.mkdir(parents=True, exist_ok=True)
with suppress(FileExistsError):
    # Workers look below a directory for their version: let them find what the tests have compiled.
    (_MACHINE_CODE / CACHE_OF_THIS_VERSION).symlink_to(".")

kept_work.keep_compiled_statements()
kept_work.keep_read_documents()

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("tests", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("tests")

# What is logged is captured with each test. Drawing each traceback in colours would take seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

_configure = structlog.configure


def _configure_for_now(**config: Any) -> None:
    # A logger that is kept would go on writing as the test wanted that used it first.
    _configure(**{**config, "cache_logger_on_first_use": False})


structlog.configure = _configure_for_now  # type: ignore[assignment]

# As `app` does while it serves: what is imported stays, and looking through it again and again takes time.
gc.freeze()
gc.set_threshold(50_000, 20, 50)

_TEMPLATE = "template_gql_trader"
_VALKEY_DATABASES = 64
_names = itertools.count(1)


# What mostly waits, for servers that start or workers that were killed.
_SLOW = ("/e2e/", "/test_killed_workers.py", "/test_embedded.py", "/test_job_queue.py", "/test_syncs.py")


def pytest_xdist_auto_num_workers() -> int:
    """Return a process more than there are cores: while one waits, the others work."""
    return (os.cpu_count() or 1) + 1


# What takes about as long to compile as the rest.
_HALVES_OF_THE_ENGINE = (
    "gql_trader.engine.kernel.loop, gql_trader.engine.search.kernel, gql_trader.engine.search.figures",
    "gql_trader.engine.metrics, gql_trader.engine.indicators.crossings, gql_trader.engine.indicators.kernels",
)


def pytest_xdist_setupnodes() -> None:
    """Compile the engine on two cores before there are processes that would each do it, all at once.

    That takes most of half a minute of computing in a fresh clone; later it has been done.
    """
    done = _MACHINE_CODE / "engine-compiled"
    sources = (Path(__file__).parents[1] / "gql_trader" / "engine").rglob("*.py")
    if done.exists() and done.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return
    compilers = [
        subprocess.Popen([sys.executable, "-c", f"import {modules}"]) for modules in _HALVES_OF_THE_ENGINE
    ]
    codes = [compiler.wait() for compiler in compilers]
    # Whichever fails has said why, and the tests will say what comes of it.
    if not any(codes):
        done.touch()


def pytest_sessionfinish() -> None:
    """Look through what the tests have left behind once, not the five times in which pytest does it."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slowest files be the first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: not any(part in item.path.as_posix() for part in _SLOW))


@pytest.fixture(autouse=True)
def logging_of_the_tests() -> Iterator[None]:
    """Commands that are run in this process configure logging; the next test finds it as it was."""
    config = structlog.get_config()
    yield
    structlog.configure(**config)


@dataclass(frozen=True)
class Servers:
    """The addresses of the session's servers."""

    database_url: str
    redis_url: str

    def database(self, name: str) -> str:
        """Return the address of another database on the same server."""
        return self.database_url.replace("/postgres?", f"/{name}?")

    def valkey(self, number: int) -> str:
        """Return the address of a numbered database of Valkey."""
        return self.redis_url.replace("?db=0", f"?db={number}")


def _directory_in_memory() -> str | None:
    """Return a roomy file system in memory if there is one: there a database is copied seven times faster."""
    shared = Path("/dev/shm")
    roomy = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 2 * 1024**3
    return str(shared) if roomy else None


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedServers]:
    """A running Valkey with an append-only file, of this test's own."""
    with tempfile.TemporaryDirectory(prefix="gql-trader-valkey-") as directory:
        data = DataDirectory(Path(directory))
        server = EmbeddedServers(data, ChildRegister(data.register), postgres=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start PostgreSQL and Valkey for the session, neither of them ever waiting for the disk."""
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-tests-", dir=_directory_in_memory()))
    data = DataDirectory(directory).lock()
    embedded = EmbeddedServers(
        data, ChildRegister(data.register), durable=False, valkey_databases=_VALKEY_DATABASES
    )
    embedded.start()
    try:
        assert embedded.database_url is not None
        assert embedded.redis_url is not None
        yield Servers(embedded.database_url, embedded.redis_url)
    finally:
        embedded.stop()
        data.unlock()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def run_sql(servers: Servers) -> Iterator[Callable[[str], None]]:
    """A function that runs a statement on a connection kept for the session, on a loop of its own."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(servers.database_url.replace("+asyncpg", "")))

    def run(statement: str) -> None:
        loop.run_until_complete(connection.execute(statement))

    yield run
    loop.run_until_complete(connection.close())
    loop.close()


@pytest.fixture(scope="session")
def template(servers: Servers, run_sql: Callable[[str], None]) -> str:
    """Migrate a database to head once; return its name."""
    run_sql(f"CREATE DATABASE {_TEMPLATE}")
    migrate.upgrade(servers.database(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(servers: Servers, template: str, run_sql: Callable[[str], None]) -> Iterator[str]:
    """A database of this test's own, migrated to head and empty."""
    name = f"test_{next(_names)}"
    run_sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield servers.database(name)
    run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def valkey(servers: Servers) -> Iterator[redis.Redis]:
    """A connection to Valkey, kept for the session."""
    with redis.Redis.from_url(servers.redis_url, single_connection_client=True) as client:
        yield client


@pytest.fixture
def redis_url(servers: Servers, valkey: redis.Redis) -> str:
    """A Valkey database of this test's own, empty."""
    number = next(_names) % _VALKEY_DATABASES
    valkey.execute_command("SELECT", number)  # type: ignore[no-untyped-call]
    valkey.flushdb()
    return servers.valkey(number)


class _GivenSettings(Settings):
    """Settings that are looked for nowhere else: doing so takes longer than checking them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for this test's own databases and data directory, with the cheapest password hashes.

    What the developer has set for a server of their own is kept out.
    """
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return _GivenSettings.model_validate(
        {
            "database_url": database_url,
            "redis_url": redis_url,
            "data_dir": tmp_path / "data",
            "jwt_secret": "a secret of the tests, long enough to sign",
            "argon2_time_cost": 1,
            "argon2_memory_kib": 8,
            "database_pool_size": 5,
        }
    )


@pytest.fixture(scope="session")
def exchange_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the list of ccxt's exchanges is kept: another process takes a second to make it."""
    return tmp_path_factory.mktemp("exchange-list")


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """An open runtime on this test's databases."""
    async with open_runtime(settings) as opened:
        yield opened
