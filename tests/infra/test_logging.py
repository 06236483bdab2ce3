"""What a log tells of an error, and what it must not."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.gql import masking
from gql_trader.infra.database import Database
from gql_trader.infra.logging import configure_logging
from gql_trader.runtime import Runtime
from tests.graphql_client import graphql_client

SECRETS = ("Sup3r-Secret-Pass!", "Db-Passw0rd")
ADDRESS = "ada@lovelace.example"
LOGIN = 'mutation { login(input: {login: "demo", password: "Sup3r-Secret-Pass!"}) { errors { code } } }'


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def logging_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what the test configures, for the whole process."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr(masking, "_log", structlog.get_logger(masking.__name__))
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize(
    ("output", "as_json"),
    [(io.StringIO(), True), (io.StringIO(), False), (_Terminal(), None)],
    ids=["JSON", "text", "terminal"],
)
async def test_a_login_without_database_leaves_no_password_in_the_log(
    runtime: Runtime, settings: Settings, output: io.StringIO, as_json: bool | None
) -> None:
    configure_logging(json=as_json, output=output)
    database = Database("postgresql+asyncpg://trader:Db-Passw0rd@127.0.0.1:1/nowhere")
    async with graphql_client(create_app(settings, replace(runtime, database=database))) as client:
        result = await client.execute(LOGIN)
    assert result.codes == ["INTERNAL"]
    logged = output.getvalue()
    assert "resolver_failed" in logged
    assert "ConnectionRefusedError" in logged
    assert [secret for secret in SECRETS if secret in logged] == []


async def test_a_refused_statement_is_reported_without_its_parameters(runtime: Runtime) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with runtime.database.session() as session:
            await session.execute(text("SELECT CAST(:hash AS text) / 2"), {"hash": "Sup3r-Secret-Pass!"})
    assert "Sup3r-Secret-Pass!" not in str(caught.value)


async def _insert(database: Database, address: str) -> None:
    async with database.session() as session:
        await session.execute(text("CREATE TEMPORARY TABLE people (email_key text UNIQUE) ON COMMIT DROP"))
        insert = text("INSERT INTO people VALUES (:address)")
        await session.execute(insert, {"address": address})
        try:
            await session.execute(insert, {"address": address})
        except DBAPIError as error:
            raise ExceptionGroup("while saving", [error, KeyError("x")]) from error


async def _misspell(database: Database, address: str) -> None:
    async with database.session() as session:
        await session.execute(text("SELECT CAST(:day AS date)"), {"day": address})


async def _mistake(database: Database, address: str) -> None:
    async with database.session() as session:
        await session.execute(text("SELECT CAST(CAST(:day AS text) AS date)"), {"day": address})


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
@pytest.mark.parametrize(
    ("break_", "said"),
    [
        (_insert, "duplicate key value violates unique constraint"),
        (_misspell, "invalid input for query argument $1: …"),
        (_mistake, "invalid input syntax for …"),
    ],
)
async def test_an_error_of_the_database_is_reported_without_the_values_of_rows(
    runtime: Runtime, as_json: bool, break_: Any, said: str
) -> None:
    output = io.StringIO()
    configure_logging(json=as_json, output=output)
    with pytest.raises((ExceptionGroup, DBAPIError)) as caught:
        await break_(runtime.database, f"{ADDRESS}\n\nHINT: {ADDRESS}")
    structlog.get_logger("test").error("failed", exc_info=caught.value)
    logged = output.getvalue()
    assert said in logged
    # What went wrong where is still told.
    assert "asyncpg" in logged
    assert "test_logging.py" in logged
    assert "lovelace" not in logged


def _deep(levels: int) -> None:
    if levels:
        _deep(levels - 1)
    raise ValueError("x" * 100_000)


def _chained(links: int) -> None:
    try:
        if links:
            _chained(links - 1)
        else:
            _deep(200)
    except ValueError as error:
        raise ValueError("y" * 100_000) from error


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
def test_a_traceback_is_bounded_however_deep_and_wordy_the_error(as_json: bool) -> None:
    output = io.StringIO()
    configure_logging(json=as_json, output=output)
    try:
        _chained(50)
    except ValueError:
        structlog.get_logger("test").exception("failed")
    assert len(output.getvalue()) < 64 * 1024
    assert "_deep" in output.getvalue() or "_chained" in output.getvalue()
    if as_json:
        entry = json.loads(output.getvalue())
        assert entry["exception"][0]["exc_type"] == "ValueError"
        assert "locals" not in entry["exception"][0]["frames"][0]
