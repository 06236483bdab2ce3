"""`gql-trader up` as people use it: start, crash, restart, stop."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gql_trader.core.actor import Role
from tests.conftest import Servers
from tests.e2e.launched import Launched

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 10


@pytest.fixture
def launch() -> Iterator[Callable[..., Launched]]:
    """A function that makes launchers on one data directory; what they leave running is killed."""
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-up-"))
    launched: list[Launched] = []

    def make(*arguments: str, hangs_up: bool = False) -> Launched:
        launcher = Launched(directory / "data", arguments, hangs_up=hangs_up).start()
        launched.append(launcher)
        return launcher

    yield make
    for launcher in launched:
        if launcher.process.poll() is None:
            for process in launcher.family():
                process.kill()
            launcher.process.wait()
    shutil.rmtree(directory)


def _command(*arguments: str, data_dir: Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gql_trader", *arguments, "--data-dir", str(data_dir)],
        input=text,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )


def _until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_one_command_serves_refuses_a_second_and_stops_without_orphans(
    launch: Callable[..., Launched],
) -> None:
    first = launch()
    token = first.log_in()
    assert first.graphql("{ me { username role } }", token) == {
        "me": {"username": "demo", "role": Role.TRADER.value}
    }

    second = _command("up", "--port", "0", data_dir=first.data_dir)
    assert second.returncode == 1
    assert f"another gql-trader (process {first.process.pid}) already runs" in second.stderr
    assert first.process.poll() is None

    # The worker may still be compiling, and the launcher says when it is not.
    assert "getting ready" in first.text
    _until(lambda: "workers ready (" in first.text, 120, "no worker is ready")
    _until(
        lambda: _command("doctor", data_dir=first.data_dir).returncode == 0, 120, "the doctor finds no health"
    )
    told = _command("doctor", data_dir=first.data_dir).stdout
    assert "no mail server is set: mails are shown in the worker's log" in " ".join(told.split())
    created = _command(
        *("users", "create", "--username", "root", "--email", "root@example.com", "--role", "ADMIN"),
        "--password-stdin",
        data_dir=first.data_dir,
        text="Correct-horse-7\n",
    )
    assert created.stdout == "created root (ADMIN)\n", created.stderr

    family = first.family()
    assert len(family) > 5  # the launcher, API, worker, Valkey, PostgreSQL and its own processes
    began = time.monotonic()
    assert first.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < _STOP_SECONDS
    assert _running(family) == []

    again = launch()
    assert again.password == first.password
    assert again.graphql("{ me { username } }", again.log_in()) == {"me": {"username": "demo"}}
    assert again.stop(signal.SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_whatever_is_killed_it_serves_again(launch: Callable[..., Launched]) -> None:
    launcher = launch()
    for words in (["serve"], ["worker"], ["valkey-server"], ["postgres", "-D"]):
        _kill_and_await_another(launcher, words)
        _until(lambda: _logs_in(launcher), 90, f"it does not serve after {words} was killed")

    family = launcher.family()
    launcher.process.kill()
    launcher.process.wait()
    _until(lambda: not _running(family), _STOP_SECONDS, "children outlive their launcher")

    launcher = launch()
    assert _logs_in(launcher)
    for process in launcher.family():
        # The launcher comes first, and takes some of its children with it.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    launcher.process.wait()

    launcher = launch()
    assert _logs_in(launcher)
    assert launcher.stop() == 0


def _kill_and_await_another(launcher: Launched, words: list[str]) -> None:
    killed = launcher.child(*words)
    killed.kill()

    def is_replaced() -> bool:
        try:
            return launcher.child(*words).pid != killed.pid
        except (AssertionError, psutil.NoSuchProcess):
            return False

    _until(is_replaced, 90, f"{words} is not replaced")


def _logs_in(launcher: Launched) -> bool:
    try:
        return bool(launcher.log_in())
    except (AssertionError, OSError):
        return False


def test_servers_of_ones_own_are_used_as_they_are(
    servers: Servers, database_url: str, redis_url: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="gql-trader-up-") as directory:
        launcher = Launched(
            Path(directory),
            ("--workers", "0", "--no-demo"),
            variables={"DATABASE_URL": database_url, "REDIS_URL": redis_url},
        ).start()
        family = launcher.family()
        try:
            assert len(family) == 2  # the launcher and the API
            assert launcher.graphql("{ __typename }") == {"__typename": "Query"}
            assert "Demo user" not in launcher.text
            assert {path.name for path in Path(directory).iterdir()} >= {"lock", "logs"}
            assert not (Path(directory) / "postgres").exists()
        finally:
            code = launcher.stop()
        assert code == 0
        assert _running(family) == []


def test_a_launcher_whose_terminal_has_gone_still_stops_in_order(launch: Callable[..., Launched]) -> None:
    launcher = launch("--workers", "0", hangs_up=True)
    family = launcher.family()
    assert launcher.stop(signal.SIGHUP) == 0
    assert _running(family) == []
    assert "database system is shut down" in (launcher.data_dir / "logs" / "postgres.log").read_text()


def test_a_taken_port_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = _command("up", "--port", str(port), data_dir=tmp_path / "data")
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "--port" in result.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_refused_settings_are_named_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENV", "production")
    monkeypatch.setenv("ALLOWED_ORIGINS", "*")
    result = _command("up", data_dir=tmp_path)
    assert result.returncode == 1
    assert (
        "DATABASE_URL, REDIS_URL, JWT_SECRET, ENCRYPTION_KEYS must be set where ENV=production"
        in result.stderr
    )
    assert "Traceback" not in result.stderr


def test_the_doctor_says_what_is_missing(tmp_path: Path) -> None:
    result = _command("doctor", data_dir=tmp_path)
    assert result.returncode == 1
    assert "start `gql-trader up`" in " ".join(result.stdout.split())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="the other tests run as an ordinary user")
def test_an_ordinary_user_can_run_it() -> None:
    candidates = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/nonexistent")
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH"), *sys.path]))
    prefix = (*as_nobody, f"PYTHONPATH={path}")
    imports = "import gql_trader.cli.serve, gql_trader.cli.worker"
    for python in candidates:
        try:
            if (
                subprocess.run(
                    [*prefix, python, "-c", imports], capture_output=True, cwd="/", check=False
                ).returncode
                == 0
            ):
                break
        except FileNotFoundError:
            continue
    else:
        pytest.skip("no Python that an ordinary user of this machine can run with our packages")
    with tempfile.TemporaryDirectory(prefix="gql-trader-nobody-") as directory:
        os.chmod(directory, 0o777)
        launcher = Launched(
            Path(directory) / "data",
            prefix=prefix,
            python=python,
            variables={"NUMBA_CACHE_DIR": f"{directory}/numba"},
        ).start()
        try:
            assert _logs_in(launcher)
            assert {process.username() for process in launcher.family()} == {"nobody"}
        finally:
            family = launcher.family()
            code = launcher.stop()
        assert code == 0
        assert _running(family) == []
