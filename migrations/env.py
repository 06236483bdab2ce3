"""How Alembic reaches the database: through asyncpg, in one transaction, and never waiting for a lock."""

import asyncio
import re

from alembic import context
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gql_trader.config import Settings

# Two servers that start at once migrate one after the other.
_ADVISORY_LOCK = 0x67716C5F7472

# A migration that cannot have its lock soon must fail rather than make every query queue behind it.
_SERVER_SETTINGS = {"lock_timeout": "5000", "application_name": "gql_trader migrations"}

# The months of a partitioned table, which the workers make and drop.
_MONTH = re.compile(r"_\d{4}_\d{2}", re.ASCII)


def _database_url() -> str:
    given: str | None = context.config.attributes.get("database_url")
    url = given or Settings().database_url.get_secret_value()
    if not url:
        raise SystemExit("set DATABASE_URL, or use `gql-trader migrate`, which finds the embedded server")
    return url


def _metadata() -> MetaData | None:
    # Only autogenerate compares with the models; importing them would double the time of a migration.
    if context.config.attributes.get("upgrade_only"):
        return None
    from gql_trader.metadata import metadata

    return metadata


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and _MONTH.fullmatch(name[-8:]))


def _migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=_metadata(),
        compare_type=True,
        compare_server_default=True,
        include_name=_is_ours,
    )
    with context.begin_transaction():
        # Nothing else queues behind this one, however long the other server takes.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
        context.run_migrations()


async def _connect_and_migrate() -> None:
    engine = create_async_engine(
        _database_url(), poolclass=NullPool, connect_args={"server_settings": _SERVER_SETTINGS}
    )
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


def _print_sql() -> None:
    context.configure(dialect_name="postgresql", target_metadata=_metadata(), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _print_sql()
else:
    asyncio.run(_connect_and_migrate())
