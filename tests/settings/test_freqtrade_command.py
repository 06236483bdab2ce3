"""`gql-trader freqtrade`: a configuration with its secrets for its owner alone, and one taken in."""

import asyncio
import json
import logging
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from typer.testing import CliRunner, Result

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.cli.errors import CommandError
from gql_trader.cli.freqtrade import app
from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainErrors, NotFound
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.settings import attempts, service
from gql_trader.settings.types import Secret, SettingsChange, SettingsRecord
from tests.factories.actors import make_actor

KEY, SECRET = "AbCdEfGhIjKlMnOpQrStUvWx", "a-secret-of-binance"
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def logging_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a command configures, for the whole process."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr(attempts, "_log", structlog.get_logger(attempts.__name__))
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("GQL_TRADER_DATA_DIR", str(settings.data_dir))
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def act(settings: Settings, work: Callable[[Runtime], Any]) -> Any:
    """Run something on the test's databases."""

    async def execute() -> Any:
        async with open_runtime(settings) as runtime:
            return await work(runtime)

    return asyncio.run(execute())


@pytest.fixture
def trader(settings: Settings) -> Actor:
    """A trader with secrets."""

    async def make(runtime: Runtime) -> Actor:
        actor = await make_actor(runtime, "ada")
        change = SettingsChange(
            values={"max_open_trades": 8},
            secrets={Secret.EXCHANGE_KEY: KEY, Secret.EXCHANGE_SECRET: SECRET},
        )
        async with runtime.unit_of_work() as uow:
            await service.update_settings(uow, runtime.keys, LiveTrading.of(settings), actor, change)
        return actor

    return act(settings, make)  # type: ignore[no-any-return]


def stored(settings: Settings, actor: Actor) -> SettingsRecord:
    """Return a user's settings."""

    async def read(runtime: Runtime) -> SettingsRecord:
        async with runtime.unit_of_work() as uow:
            return await service.settings_of(uow, actor.user_id)

    return act(settings, read)  # type: ignore[no-any-return]


def audit(settings: Settings) -> list[tuple[str, Any, Any]]:
    """Return action, actor and metadata of the audit log's events."""

    async def read(runtime: Runtime) -> list[tuple[str, Any, Any]]:
        async with runtime.database.session() as session:
            rows = await session.execute(
                text("SELECT action, actor_id, metadata FROM audit_events ORDER BY id")
            )
            return [(row[0], row[1], row[2]) for row in rows]

    return act(settings, read)  # type: ignore[no-any-return]


def test_the_export_has_secrets_and_is_for_its_owner_alone(
    run: Run, settings: Settings, trader: Actor, tmp_path: Path
) -> None:
    directory = tmp_path / "a" / "bot"
    result = run("export", "--user", "ADA", "--dir", directory)
    assert result.exit_code == 0, result.output
    file = directory / "config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in directory.iterdir()] == ["config.json"]
    config = json.loads(file.read_text())
    assert (config["exchange"]["key"], config["exchange"]["secret"]) == (KEY, SECRET)
    assert (config["max_open_trades"], config["dry_run"]) == (8, True)
    assert KEY not in result.output
    fields = {"fields": ["exchange.key", "exchange.secret"]}
    assert audit(settings)[-1] == ("TRADING_SECRETS_EXPORTED", None, fields)


def test_a_file_that_is_there_stays_unless_forced(run: Run, trader: Actor, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("mine")
    file.chmod(0o644)
    refused = run("export", "--user", "ada", "--dir", tmp_path)
    assert isinstance(refused.exception, CommandError)
    assert file.read_text() == "mine"
    forced = run("export", "--user", "ada", "--dir", tmp_path, "--force")
    assert forced.exit_code == 0, forced.output
    assert json.loads(file.read_text())["max_open_trades"] == 8
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert isinstance(run("export", "--user", "nobody", "--dir", tmp_path / "x").exception, NotFound)
    assert not (tmp_path / "x").exists()


def test_a_configuration_with_comments_comes_in(
    run: Run, settings: Settings, trader: Actor, tmp_path: Path
) -> None:
    file = tmp_path / "freqtrade.json"
    file.write_text(
        """{
            // how much
            "max_open_trades": 4, /* not 8 */
            "dry_run": false,
            "stoploss": -0.25,
            "exchange": {"name": "kraken", "secret": "another-secret", "pair_whitelist": ["BTC/EUR",],},
        }"""
    )
    previewed = run("import", file, "--user", "ada", "--preview")
    assert "would change maxOpenTrades: 8 -> 4\n" in previewed.output
    assert stored(settings, trader).values.max_open_trades == 8
    result = run("import", file, "--user", "ada")
    assert result.exit_code == 0, result.output
    assert "changed maxOpenTrades: 8 -> 4\n" in result.output
    assert "changed exchange.secret: a secret\n" in result.output
    assert "not taken over: dry_run: Live trading" in result.output
    assert "another-secret" not in result.output
    [event] = [json.loads(line) for line in result.stderr.splitlines()]
    assert (event["event"], event["user_id"]) == ("settings_update", str(trader.user_id))
    assert event["changed"] == [
        "maxOpenTrades",
        "stoploss",
        "exchange.name",
        "exchange.pairWhitelist",
        "exchange.secret",
    ]
    record = stored(settings, trader)
    assert (record.values.max_open_trades, record.values.stoploss, record.values.dry_run) == (4, -0.25, True)
    assert (record.values.exchange_name, record.values.pair_whitelist) == ("kraken", ("BTC/EUR",))
    # The operator did it, not the user.
    assert audit(settings)[-1] == ("TRADING_SECRETS_CHANGED", None, {"fields": ["exchange.secret"]})
    again = run("import", file, "--user", "ada", "--preview")
    assert "would change exchange.secret: a secret\n" in again.output


def test_what_is_no_configuration_changes_nothing(
    run: Run, settings: Settings, trader: Actor, tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    for content, error in (
        ("{nonsense", CommandError),
        ("x" * 300_000, CommandError),
        ('{"max_open_trades": -1, "stake_amount": "unlimited"}', DomainErrors),
    ):
        file.write_text(content)
        assert isinstance(run("import", file, "--user", "ada").exception, error)
    assert stored(settings, trader).values.max_open_trades == 8
