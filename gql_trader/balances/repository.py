"""Reads of the balances domain."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, and_, any_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.balances.models import BalanceClockRow, BalanceSnapshotRow, DailyProfitRow
from gql_trader.balances.types import BalanceEventKind, BalanceRecord
from gql_trader.bots.models import TradingSessionRow
from gql_trader.bots.types import SessionStatus
from gql_trader.core.zones import UTC_ZONE
from gql_trader.infra.bulk import array_of, rows_of
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.settings.models import PreferencesRow

_CLOCKS = BalanceClockRow.__table__.c
_SNAPSHOTS = BalanceSnapshotRow.__table__.c
_DAYS = DailyProfitRow.__table__.c
_SESSIONS = TradingSessionRow.__table__.c

# Replays over history are nobody's balance.
_TRADING = and_(_SESSIONS.status != SessionStatus.STOPPED.value, _SESSIONS.replay_start.is_(None))


class UnplannedUser(NamedTuple):
    """A user who trades, and for whom nothing is planned, or in another time zone."""

    user_id: UUID
    timezone: str
    since: datetime
    """When the earliest of the user's sessions that still trade has begun."""


async def unplanned(session: AsyncSession, limit: int) -> list[UnplannedUser]:
    """Return users who trade without a clock, with one that rests, or with one of another time zone."""
    trading = (
        select(_SESSIONS.user_id, func.min(_SESSIONS.started_at).label("since"))
        .where(_TRADING)
        .group_by(_SESSIONS.user_id)
        .subquery()
    )
    zone = func.coalesce(PreferencesRow.timezone, UTC_ZONE)
    statement = (
        select(trading.c.user_id, zone, trading.c.since)
        .outerjoin(PreferencesRow, PreferencesRow.user_id == trading.c.user_id)
        .outerjoin(BalanceClockRow, _CLOCKS.user_id == trading.c.user_id)
        .where(or_(_CLOCKS.snapshot_at.is_(None), _CLOCKS.timezone != zone))
        .order_by(trading.c.user_id)
        .limit(limit)
    )
    return [UnplannedUser(*row) for row in await session.execute(statement)]


async def clock(session: AsyncSession, user_id: UUID) -> Row[Any] | None:
    """Return a user's clock, locked until the transaction ends."""
    statement = select(*_CLOCKS).where(_CLOCKS.user_id == user_id).with_for_update()
    return (await session.execute(statement)).one_or_none()


async def lock_due(
    session: AsyncSession, now: datetime, without: Collection[UUID], limit: int
) -> list[Row[Any]]:
    """Return the clocks that are due first, locked until the transaction ends; none that others hold."""
    statement = (
        select(*_CLOCKS)
        .where(_CLOCKS.due_at <= now, _CLOCKS.user_id.not_in(without))
        .order_by(_CLOCKS.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(await session.execute(statement))


async def overdue(session: AsyncSession, before: datetime) -> tuple[int, datetime | None]:
    """Return for how many users something should have been done before a moment, and since when at most."""
    statement = select(func.count(), func.min(_CLOCKS.due_at)).where(_CLOCKS.due_at < before)
    count, since = (await session.execute(statement)).one()
    return count, since


async def trading(session: AsyncSession, user_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of some users of whom any session still trades."""
    named = _SESSIONS.user_id == any_(array_of(_SESSIONS.user_id, user_ids))
    return set(await session.scalars(select(_SESSIONS.user_id).where(named, _TRADING).distinct()))


async def last_snapshot(session: AsyncSession, user_id: UUID) -> BalanceRecord | None:
    """Return the last snapshot of a user's balance."""
    return (await last_snapshots(session, [user_id])).get(user_id)


async def last_snapshots(session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, BalanceRecord]:
    """Return the last snapshots of users' balances, by user."""
    given = rows_of((_SNAPSHOTS.user_id,), [(each,) for each in user_ids])
    last = (
        select(*_SNAPSHOTS)
        .where(_SNAPSHOTS.user_id == given.c.user_id)
        .order_by(_SNAPSHOTS.time.desc())
        .limit(1)
        .lateral("last")
    )
    rows = await session.execute(select(*last.c).select_from(given).join(last, true()))
    return {row.user_id: _record(row) for row in rows}


async def snapshots_after(
    session: AsyncSession, user_id: UUID, after: datetime, limit: int
) -> list[BalanceRecord]:
    """Return the snapshots of a user's balance after a moment, oldest first."""
    statement = (
        select(*_SNAPSHOTS)
        .where(_SNAPSHOTS.user_id == user_id, _SNAPSHOTS.time > after)
        .order_by(_SNAPSHOTS.time)
        .limit(limit)
    )
    return [_record(row) for row in await session.execute(statement)]


async def page_of_days(session: AsyncSession, user_id: UUID, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of a user's days, newest first."""
    statement = select(*_DAYS).where(_DAYS.user_id == user_id)
    return await fetch_page(session, statement, [SortKey(_DAYS.day, descending=True)], page)


async def count_days(session: AsyncSession, user_id: UUID) -> int:
    """Return how many days of a user were summed up."""
    return await session.scalar(select(func.count()).where(_DAYS.user_id == user_id)) or 0


def _record(row: Row[Any]) -> BalanceRecord:
    return BalanceRecord(row.currency, row.baseline, row.profit, row.time, BalanceEventKind(row.kind))
