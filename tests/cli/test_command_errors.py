"""What stops a command: one sentence and exit code 1, never a traceback."""

import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from gql_trader.cli import doctor, errors
from gql_trader.cli.main import main
from gql_trader.config import Settings
from tests.conftest import Servers

# Port 1 is nobody's.
NOBODY = "127.0.0.1:1"

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings) -> Run:
    """A function that runs a command that fails; returns what it wrote to standard error."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("GQL_TRADER_DATA_DIR", str(settings.data_dir))

    def invoke(*arguments: str, **variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["gql-trader", *arguments])
        with pytest.raises(SystemExit) as ending:
            main()
        assert ending.value.code == 1
        return capsys.readouterr().err

    return invoke


@pytest.mark.parametrize(
    "command",
    [
        ("serve", "--port", "0"),
        ("worker",),
        ("migrate",),
        ("candles", "export", "out.csv", "--market", "A/B", "--exchange", "x", "--interval", "H1"),
    ],
)
@pytest.mark.parametrize("url", [f"postgresql://u:p@{NOBODY}/d", "postgresql://u:p@nowhere.invalid/d"])
def test_a_database_out_of_reach_is_one_line(run: Run, command: tuple[str, ...], url: str) -> None:
    written = run(*command, DATABASE_URL=url)
    # Nothing follows it, and only a progress bar may come before.
    assert written.splitlines()[-1].startswith("gql-trader: the database (DATABASE_URL) cannot be reached: ")
    assert "Traceback" not in written


def test_a_database_that_does_not_exist_is_named(run: Run, servers: Servers) -> None:
    [line] = run("migrate", DATABASE_URL=servers.database("absent")).splitlines()
    assert line == (
        'gql-trader: the database (DATABASE_URL) cannot be used: database "absent" does not exist'
    )


def test_refused_settings_are_named_by_every_command(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"DATABASE_URL": "mysql://u:p@h/d", "REDIS_URL": "http://h", "LOG_LEVEL": "loud"}
    shown = run("migrate", **wrong)
    assert shown.startswith("gql-trader: the settings are refused:\n  DATABASE_URL: must begin with ")
    assert doctor.run(None) == 1
    found = " ".join(capsys.readouterr().out.split())
    for text in (" ".join(shown.split()), found):
        assert "DATABASE_URL: must begin with postgresql+asyncpg://, postgresql://, postgres://" in text
        assert "REDIS_URL: must begin with redis://, rediss://, unix://" in text
        assert "LOG_LEVEL: Input should be 'DEBUG', 'INFO'" in text


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("worker",)])
def test_what_would_meet_tables_of_another_release_says_how_to_migrate(
    run: Run, never_migrated: str, command: tuple[str, ...]
) -> None:
    [line] = run(*command, DATABASE_URL=never_migrated).splitlines()
    assert line == (
        "gql-trader: the database's tables are not those of this release: run `gql-trader migrate`"
    )


@pytest.fixture
async def never_migrated(servers: Servers) -> str:
    """A database without tables; it goes with the server."""
    connection = await asyncpg.connect(servers.database_url.replace("+asyncpg", ""))
    await connection.execute("DROP DATABASE IF EXISTS without_tables")
    await connection.execute("CREATE DATABASE without_tables")
    await connection.close()
    return servers.database("without_tables")


def test_a_redis_out_of_reach_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    from gql_trader.infra.redis_client import connect

    with pytest.raises(SystemExit), errors.explained():
        asyncio.run(connect(f"redis://{NOBODY}/0").ping())  # type: ignore[arg-type]
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("gql-trader: Redis (REDIS_URL) cannot be used: ")


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), errors.explained():
        _ = 1 // 0


def test_everything_in_the_data_directory_is_private(tmp_path: Path) -> None:
    from gql_trader.infra.directories import make_private_directory
    from gql_trader.infra.tokens import load_or_create_secret

    load_or_create_secret(tmp_path / "one" / "data" / "jwt_secret")
    make_private_directory(tmp_path / "two" / "data" / "cache")
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 5
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
