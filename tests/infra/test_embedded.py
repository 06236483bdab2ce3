"""The embedded servers after crashes, and where others are in the way."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from gql_trader.infra.embedded import (
    DataDirectory,
    DataDirectoryInUseError,
    EmbeddedServerError,
    EmbeddedServers,
    spawn,
)
from gql_trader.infra.embedded.binaries import find_postgres, find_valkey
from gql_trader.infra.embedded.identity import server_identity
from gql_trader.infra.embedded.processes import ChildRegister, start_moment


@pytest.fixture
def data() -> Iterator[DataDirectory]:
    """A data directory closed to others, as a home directory is."""
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-embedded-"))
    data = DataDirectory(directory).lock()
    yield data
    data.unlock()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A new PostgreSQL cluster, made once; the tests start copies of it."""
    with tempfile.TemporaryDirectory(prefix="gql-trader-cluster-") as directory:
        data = DataDirectory(Path(directory))
        servers = EmbeddedServers(data, ChildRegister(data.register), valkey=False)
        servers.start()
        servers.stop()
        yield data.path / "postgres"


def _copy(cluster: Path, data: DataDirectory) -> Path:
    copy = data.path / "postgres"
    shutil.copytree(cluster, copy)
    for path in (copy, *copy.rglob("*")):
        server_identity().take(path)
    return copy


@pytest.fixture
def servers(data: DataDirectory, cluster: Path) -> Iterator[EmbeddedServers]:
    """PostgreSQL and Valkey as a user has them, started."""
    _copy(cluster, data)
    servers = EmbeddedServers(data, ChildRegister(data.register))
    servers.start()
    yield servers
    servers.stop()


async def _increment(servers: EmbeddedServers) -> tuple[int, int]:
    """Add one in both servers, commit, and return both numbers."""
    assert servers.database_url is not None
    assert servers.redis_url is not None
    connection = await asyncpg.connect(servers.database_url.replace("+asyncpg", ""))
    await connection.execute("CREATE TABLE IF NOT EXISTS counter (n int)")
    await connection.execute("INSERT INTO counter VALUES (1)")
    rows = await connection.fetchval("SELECT count(*) FROM counter")
    await connection.close()
    client = redis.asyncio.Redis.from_url(servers.redis_url)
    number = await client.incr("counter")
    await client.aclose()
    return rows, number


def _bystander() -> "subprocess.Popen[bytes]":
    """Start a process that has nothing to do with us."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def _processes(servers: EmbeddedServers) -> list[psutil.Process]:
    roots = [psutil.Process(child.pid) for child in servers.children]
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


async def test_stopping_and_starting_keeps_what_was_committed(servers: EmbeddedServers) -> None:
    assert await _increment(servers) == (1, 1)
    processes = _processes(servers)
    servers.stop()
    assert not [process for process in processes if process.is_running()]
    servers.start()
    assert await _increment(servers) == (2, 2)


async def test_killing_everything_at_once_loses_nothing_that_was_answered(servers: EmbeddedServers) -> None:
    assert await _increment(servers) == (1, 1)
    _kill(_processes(servers))
    servers.start()
    assert await _increment(servers) == (2, 2)


async def test_killing_the_postmaster_alone_is_recovered_from(servers: EmbeddedServers) -> None:
    await _increment(servers)
    assert servers.postgres_child is not None
    servers.postgres_child.process.kill()
    servers.postgres_child.process.wait()
    assert servers.restart_dead() == ["postgres"]
    assert await _increment(servers) == (2, 2)


async def test_a_lock_file_that_names_a_foreign_process_is_removed_and_the_process_left_alone(
    data: DataDirectory, servers: EmbeddedServers
) -> None:
    lock = data.path / "postgres" / "postmaster.pid"
    text = lock.read_text()
    _kill(_processes(servers))
    with _bystander() as bystander:
        lock.write_text("\n".join([str(bystander.pid), *text.splitlines()[1:]]) + "\n")
        servers.start()
        assert await _increment(servers) == (1, 1)
        assert bystander.poll() is None
        bystander.kill()


async def test_servers_left_behind_by_a_killed_launcher_are_stopped_by_the_next(
    data: DataDirectory, servers: EmbeddedServers
) -> None:
    await _increment(servers)
    left_behind = _processes(servers)
    register = ChildRegister(data.register)
    assert sorted(register.stop_leftovers(seconds=10)) == ["postgres", "valkey"]
    assert not [process for process in left_behind if process.is_running() and process.status() != "zombie"]
    assert register.stop_leftovers(seconds=10) == []
    again = EmbeddedServers(data, register)
    again.start()
    assert await _increment(again) == (2, 2)
    again.stop()


async def test_a_postmaster_that_nobody_recorded_is_stopped_before_another_starts(
    data: DataDirectory, servers: EmbeddedServers
) -> None:
    await _increment(servers)
    assert servers.postgres_child is not None
    unrecorded = psutil.Process(servers.postgres_child.pid)
    data.register.unlink()
    reaper = asyncio.create_task(asyncio.to_thread(servers.postgres_child.process.wait))
    again = EmbeddedServers(data, ChildRegister(data.register), valkey=False)
    await asyncio.to_thread(again.start)
    await reaper
    assert not unrecorded.is_running()
    again.stop()


def test_a_half_made_cluster_is_made_again(data: DataDirectory) -> None:
    (data.path / "postgres").mkdir(mode=0o700)
    (data.path / "postgres" / "PG_VERSION").write_text("18\n")
    servers = EmbeddedServers(data, ChildRegister(data.register), valkey=False)
    servers.start()
    assert servers.postgres_child is not None
    assert servers.postgres_child.exit_code is None
    servers.stop()


def test_a_cluster_of_another_major_version_is_refused_and_kept(data: DataDirectory, cluster: Path) -> None:
    copy = _copy(cluster, data)
    (copy / "PG_VERSION").write_text("12\n")
    (copy / "gql_trader_cluster_complete").write_text("/elsewhere")
    servers = EmbeddedServers(data, ChildRegister(data.register), valkey=False)
    with pytest.raises(EmbeddedServerError, match="was made by PostgreSQL 12"):
        servers.start()
    assert (copy / "base").is_dir()


def test_an_append_only_file_that_was_cut_short_is_loaded(
    data: DataDirectory, servers: EmbeddedServers
) -> None:
    asyncio.run(_increment(servers))
    servers.stop()
    [file] = (data.path / "valkey" / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as appended:
        appended.write(b"*3\r\n$3\r\nSET\r\n$1")
    servers.start()
    assert asyncio.run(_increment(servers)) == (2, 2)


def test_nobody_else_can_reach_the_sockets(data: DataDirectory, servers: EmbeddedServers) -> None:
    directory = data.socket_directory(server_identity())
    assert directory.stat().st_mode & 0o077 == 0
    assert len(os.fsencode(directory / ".s.PGSQL.5432.lock")) <= 103


def test_a_socket_directory_that_somebody_else_may_enter_is_refused(data: DataDirectory) -> None:
    directory = data.socket_directory(server_identity())
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    try:
        with pytest.raises(EmbeddedServerError, match="not a private directory"):
            EmbeddedServers(data, ChildRegister(data.register)).start()
    finally:
        directory.rmdir()


def test_a_long_data_directory_gets_short_sockets() -> None:
    long = DataDirectory(Path("/", "x" * 40, "y" * 80))
    directory = long.socket_directory(server_identity())
    assert len(os.fsencode(directory / ".s.PGSQL.5432.lock")) <= 103
    assert directory == DataDirectory(long.path).socket_directory(server_identity())


def test_a_directory_is_locked_once_and_the_holder_is_named(data: DataDirectory) -> None:
    with pytest.raises(DataDirectoryInUseError, match=str(os.getpid())):
        DataDirectory(data.path).lock()
    assert DataDirectory(data.path).is_locked()
    data.unlock()
    assert not DataDirectory(data.path).is_locked()


def test_a_recorded_process_id_that_has_been_given_to_another_process_is_left_alone(
    data: DataDirectory,
) -> None:
    with _bystander() as bystander:
        moment = start_moment(bystander.pid)
        assert moment is not None
        earlier = str(int(moment) - 1) if moment.isdigit() else "Thu Jan  1 00:00:00 1970"
        data.register.write_text(f'{{"api": [{bystander.pid}, "{earlier}", 15]}}')
        assert ChildRegister(data.register).stop_leftovers(seconds=1) == []
        assert bystander.poll() is None
        bystander.kill()


def test_a_child_that_does_not_start_says_why(data: DataDirectory) -> None:
    child = spawn(
        "broken", [sys.executable, "-c", "raise SystemExit('no luck')"], log=data.logs / "broken.log"
    )
    with pytest.raises(EmbeddedServerError, match=r"broken exited with 1\n.*\nno luck"):
        child.wait_ready(lambda: False, seconds=10)


def test_a_child_that_does_not_stop_is_killed(data: DataDirectory) -> None:
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); input()"
    )
    child = spawn(
        "stubborn",
        [sys.executable, "-c", f"import time\n{stubborn[:-7]}\ntime.sleep(60)"],
        log=data.logs / "log",
    )
    child.wait_ready(lambda: b"on" in (data.logs / "log").read_bytes(), seconds=10)
    assert not child.stop(seconds=0.1)
    assert child.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_explicit_binaries_go_first_and_are_checked(name: str, tmp_path: Path) -> None:
    if name == "postgres":
        with pytest.raises(EmbeddedServerError, match="POSTGRES_BIN_DIR"):
            find_postgres(tmp_path, server_identity())
        present = find_postgres(None, server_identity()).directory
        assert find_postgres(present, server_identity()).directory == present
    else:
        with pytest.raises(EmbeddedServerError, match="VALKEY_BIN"):
            find_valkey(tmp_path / "valkey")
        assert find_valkey(find_valkey(None)) == find_valkey(None)
