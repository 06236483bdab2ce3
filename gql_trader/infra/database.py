"""The connection pool, the declarative base and the column types that every domain shares."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, MetaData, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PostgresUUID
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from gql_trader.infra import json_codec

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table; names constraints predictably, so that migrations can find them."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        UUID: PostgresUUID(as_uuid=True),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(38, 18),
        dict[str, Any]: JSONB,
    }


class Database:
    """A pool of PostgreSQL connections and the sessions made from it.

    Parameters
    ----------
    url
        ``postgresql+asyncpg://…``.
    pool_size
        Connections kept open; as many again may be opened under load.
    """

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            # The connection used last has most prepared already, and has just looked the tables up.
            pool_use_lifo=True,
            # Errors are logged with their statement; what people sent must not be.
            hide_parameters=True,
            json_serializer=json_codec.dumps_text,
            json_deserializer=json_codec.loads,
            # A plan prepared before a migration must not fail after it.
            connect_args={"server_settings": {"application_name": "gql_trader", "jit": "off"}},
        )
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that is rolled back unless the caller commits."""
        async with self.sessions() as session:
            yield session

    async def close(self) -> None:
        """Close every pooled connection."""
        await self.engine.dispose()
