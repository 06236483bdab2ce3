"""Bring a database's tables up to date with Alembic, or say whether they are.

Alembic takes 0.2 s to import, so it is imported where it is used.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import migrations

if TYPE_CHECKING:
    from alembic.config import Config

_DIRECTORY = Path(next(iter(migrations.__path__)))


def alembic_config(database_url: str) -> "Config":
    """Return Alembic's configuration for a database.

    Parameters
    ----------
    database_url
        ``postgresql+asyncpg://…``; handed to ``migrations/env.py`` as an attribute, since an ini
        file's options treat ``%`` specially.
    """
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_DIRECTORY).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Run the migrations that the database has not seen. Must not be called inside an event loop."""
    from alembic import command

    config = alembic_config(database_url)
    config.attributes["upgrade_only"] = True
    command.upgrade(config, revision)


def head_revision() -> str | None:
    """Return the newest migration's revision, None if there are no migrations."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config("")).get_current_head()


def current_revision(database_url: str) -> str | None:
    """Return the revision a database is at, None if it has never been migrated."""

    async def read() -> str | None:
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        engine = create_async_engine(database_url, poolclass=NullPool)
        async with engine.connect() as connection:
            if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                return None
            revision: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            return revision

    return asyncio.run(read())
