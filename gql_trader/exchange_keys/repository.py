"""Reads of exchange keys."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.ids import ExchangeKeyId
from gql_trader.exchange_keys.models import ExchangeKeyRow
from gql_trader.exchange_keys.types import ExchangeKeyRecord, ExchangeKeyStatus
from gql_trader.infra.exchange.records import ExchangePermission


def record(row: ExchangeKeyRow) -> ExchangeKeyRecord:
    """Return a key without its secrets."""
    return ExchangeKeyRecord(
        id=ExchangeKeyId(row.id),
        user_id=row.user_id,
        exchange=row.exchange,
        label=row.label,
        api_key_masked=row.api_key_masked,
        version=row.version,
        status=ExchangeKeyStatus(row.status),
        permissions=tuple(each for each in ExchangePermission if each.value in row.permissions),
        permissions_complete=row.permissions_complete,
        last_used_at=row.last_used_at,
        verified_at=row.verified_at,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
    )


async def keys_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, ExchangeKeyRecord]:
    """Return those of the keys that exist, by id."""
    rows = await session.scalars(select(ExchangeKeyRow).where(ExchangeKeyRow.id.in_(ids)))
    return {row.id: record(row) for row in rows}


async def keys_by_users(session: AsyncSession, user_ids: Sequence[UUID]) -> list[ExchangeKeyRecord]:
    """Return the users' keys, by the exchanges' ids."""
    rows = await session.scalars(
        select(ExchangeKeyRow).where(ExchangeKeyRow.user_id.in_(user_ids)).order_by(ExchangeKeyRow.exchange)
    )
    return [record(row) for row in rows]


async def key_of(
    session: AsyncSession, user_id: UUID, key_id: UUID, *, lock: bool = False
) -> ExchangeKeyRow | None:
    """Return a user's key as it is now; None if it is not theirs.

    Parameters
    ----------
    lock
        Keep it from being changed until the transaction ends.
    """
    statement = (
        select(ExchangeKeyRow)
        .where(ExchangeKeyRow.id == key_id, ExchangeKeyRow.user_id == user_id)
        .execution_options(populate_existing=True)
    )
    return await session.scalar(statement.with_for_update() if lock else statement)
