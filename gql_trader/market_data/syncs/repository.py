"""Reads of syncs, and the times that exchanges have been asked for."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.market_data.models_syncs import CandleCoverageRow, CandleSyncRequestRow, CandleSyncRow

SYNC = CandleSyncRow.__table__.c
UNFINISHED = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)

_NEWEST_FIRST = [SortKey(SYNC.created_at, descending=True), SortKey(SYNC.id, descending=True)]


def _of_user(user_id: UUID) -> ColumnElement[bool]:
    asked = select(CandleSyncRequestRow.sync_id).where(CandleSyncRequestRow.user_id == user_id)
    return SYNC.id.in_(asked)


async def syncs_by_ids(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, Row[tuple[Any, ...]]]:
    """Return those of the syncs that a user has asked for, by id."""
    rows = await session.execute(select(*SYNC).where(SYNC.id.in_(ids), _of_user(user_id)))
    return {row.id: row for row in rows}


def select_syncs(user_id: UUID) -> Select[Any]:
    """Return the statement for the syncs that a user has asked for."""
    return select(*SYNC).where(_of_user(user_id))


async def sync_page(session: AsyncSession, user_id: UUID, page: PageRequest) -> Slice[Any]:
    """Return a page of the syncs that a user has asked for, the newest first."""
    return await fetch_page(session, select_syncs(user_id), _NEWEST_FIRST, page)


async def count_unfinished(session: AsyncSession, user_id: UUID) -> int:
    """Return how many of a user's syncs have not ended."""
    statement = select(func.count()).where(_of_user(user_id), SYNC.status.in_(UNFINISHED))
    return await session.scalar(statement) or 0


async def sync_like(
    session: AsyncSession, exchange: str, symbol: str, interval: Interval, first: int, end: int
) -> Row[tuple[Any, ...]] | None:
    """Return the newest sync of the same candles that has not failed; None if there is none."""
    statement = (
        select(*SYNC)
        .where(
            SYNC.exchange == exchange,
            SYNC.symbol == symbol,
            SYNC.interval == interval.name,
            SYNC.first_time == first,
            SYNC.end_time == end,
            SYNC.status.in_([*UNFINISHED, RunStatus.COMPLETED.value]),
        )
        .order_by(SYNC.id.desc())
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def covered(
    session: AsyncSession, market_id: UUID, interval: Interval, low: int, high: int
) -> list[tuple[int, int]]:
    """Return the ranges within [low, high) that need not be asked for any more, oldest first."""
    coverage = CandleCoverageRow
    rows = await session.execute(
        select(coverage.start_time, coverage.end_time)
        .where(
            coverage.market_id == market_id,
            coverage.interval == interval.name,
            coverage.start_time < high,
            coverage.end_time > low,
        )
        .order_by(coverage.start_time)
    )
    return [(row.start_time, row.end_time) for row in rows]


async def cover(session: AsyncSession, market_id: UUID, interval: Interval, low: int, high: int) -> None:
    """Note that [low, high) need not be asked for any more. The market must be locked."""
    coverage = CandleCoverageRow
    touching = await session.execute(
        delete(coverage)
        .where(
            coverage.market_id == market_id,
            coverage.interval == interval.name,
            coverage.start_time <= high,
            coverage.end_time >= low,
        )
        .returning(coverage.start_time, coverage.end_time)
    )
    ranges = [(low, high), *((row.start_time, row.end_time) for row in touching)]
    await session.execute(
        insert(coverage).values(
            market_id=market_id,
            interval=interval.name,
            start_time=min(start for start, _ in ranges),
            end_time=max(end for _, end in ranges),
        )
    )
