"""Reads of the alert domain."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.alerts.models import AlertRow

ALERT = AlertRow.__table__.c


def alerts_statement(user_id: UUID) -> Select[Any]:
    """Return the statement of a user's alerts, in no order."""
    return select(*ALERT).where(AlertRow.user_id == user_id)


async def count(session: AsyncSession, user_id: UUID) -> int:
    """Return how many alerts a user has."""
    statement = select(func.count()).select_from(AlertRow).where(AlertRow.user_id == user_id)
    return await session.scalar(statement) or 0


async def alerts_by_ids(session: AsyncSession, user_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return those of the alerts that are the user's, by id."""
    statement = alerts_statement(user_id).where(AlertRow.id.in_(ids))
    return {row.id: row for row in await session.execute(statement)}


async def watched(session: AsyncSession) -> Sequence[tuple[UUID, str]]:
    """Return the markets and intervals of the alerts that are active, of users who are."""
    statement = (
        select(AlertRow.market_id, AlertRow.interval)
        .join(UserRow, UserRow.id == AlertRow.user_id)
        .where(AlertRow.active, UserRow.status == UserStatus.ACTIVE.value)
        .distinct()
        .order_by(AlertRow.market_id, AlertRow.interval)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def behind(
    session: AsyncSession, market_id: UUID, interval: str, last_bar: int, limit: int
) -> Sequence[Row[Any]]:
    """Return alerts on a market and interval that have not looked at a bar yet, of active users."""
    statement = (
        select(*ALERT)
        .join(UserRow, UserRow.id == AlertRow.user_id)
        .where(
            AlertRow.active,
            AlertRow.market_id == market_id,
            AlertRow.interval == interval,
            AlertRow.last_bar < last_bar,
            UserRow.status == UserStatus.ACTIVE.value,
        )
        .order_by(AlertRow.last_bar, AlertRow.id)
        .limit(limit)
    )
    return (await session.execute(statement)).all()
