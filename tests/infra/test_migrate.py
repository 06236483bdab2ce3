"""Migrations: one chain, equal to the models, safe to start twice."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from gql_trader import migrate
from gql_trader.infra.database import Database
from tests.conftest import Servers


async def _aside(function: Callable[..., Any], *arguments: Any) -> Any:
    # Alembic runs an event loop of its own.
    return await asyncio.to_thread(function, *arguments)


async def test_a_migrated_database_is_at_the_only_head_and_equal_to_the_models(database_url: str) -> None:
    assert await _aside(migrate.current_revision, database_url) == await _aside(migrate.head_revision)
    assert await _aside(migrate.differences, database_url) == []


async def test_a_column_without_a_migration_is_found(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    async with database.session() as session:
        await session.execute(text("ALTER TABLE users ADD COLUMN forgotten integer"))
        await session.commit()
    await database.close()
    [difference] = await _aside(migrate.differences, database_url)
    assert "forgotten" in difference


@pytest.fixture
async def empty_database_url(servers: Servers) -> str:
    """A database that has never been migrated; it goes with the server."""
    database = Database(servers.database_url, pool_size=1)
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("CREATE DATABASE never_migrated"))
    await database.close()
    return servers.database("never_migrated")


async def test_two_servers_that_start_at_once_migrate_one_after_the_other(empty_database_url: str) -> None:
    assert await _aside(migrate.current_revision, empty_database_url) is None
    code = "import sys; from gql_trader.migrate import upgrade; upgrade(sys.argv[1])"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_database_url) for _ in range(2)
    ]
    assert [await process.wait() for process in processes] == [0, 0]
    assert await _aside(migrate.current_revision, empty_database_url) == await _aside(migrate.head_revision)
