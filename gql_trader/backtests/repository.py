"""Reads of the backtest domain; those for the API name the user, so that others' backtests do not exist."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.backtests.filters import condition, sort_keys
from gql_trader.backtests.models import (
    BacktestCurveRow,
    BacktestKeyRow,
    BacktestRow,
    BacktestVerificationRow,
    LedgerSegmentRow,
)
from gql_trader.backtests.types import BacktestOrdering, BacktestQuery, RunStatus
from gql_trader.core.ids import UserId
from gql_trader.infra.keyset import PageRequest, Slice, fetch_page, fetch_pages

_COLUMNS = BacktestRow.__table__.c


async def backtest(
    session: AsyncSession, user_id: UserId, backtest_id: UUID, *, locked: bool = False
) -> Row[Any] | None:
    """Return one of a user's backtests; locked against changes until the transaction ends if asked for."""
    statement = select(*_COLUMNS).where(BacktestRow.id == backtest_id, BacktestRow.user_id == user_id)
    if locked:
        statement = statement.with_for_update()
    return (await session.execute(statement)).one_or_none()


async def backtest_of_anybody(session: AsyncSession, backtest_id: UUID) -> Row[Any] | None:
    """Return a backtest, whoever's it is: for workers, whose jobs were checked when they were queued."""
    return (await session.execute(select(*_COLUMNS).where(BacktestRow.id == backtest_id))).one_or_none()


async def backtests_by_ids(
    session: AsyncSession, user_id: UserId, ids: Sequence[UUID]
) -> dict[UUID, Row[Any]]:
    """Return those of the backtests that are this user's, by id."""
    statement = select(*_COLUMNS).where(BacktestRow.id.in_(ids), BacktestRow.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


def _matching(user_id: UserId, query: BacktestQuery, *columns: Any) -> Select[Any]:
    return select(*columns).where(BacktestRow.user_id == user_id, condition(query))


async def page_of_backtests(
    session: AsyncSession,
    user_id: UserId,
    query: BacktestQuery,
    orderings: Sequence[BacktestOrdering],
    page: PageRequest,
) -> Slice[Row[Any]]:
    """Return one page of a user's backtests, filtered and ordered, in one statement."""
    return await fetch_page(session, _matching(user_id, query, *_COLUMNS), sort_keys(orderings), page)


async def count_backtests(session: AsyncSession, user_id: UserId, query: BacktestQuery) -> int:
    """Return how many of a user's backtests match."""
    return await session.scalar(_matching(user_id, query, func.count())) or 0


async def pages_of_strategies(
    session: AsyncSession,
    user_id: UserId,
    strategy_ids: Sequence[UUID],
    query: BacktestQuery,
    orderings: Sequence[BacktestOrdering],
    page: PageRequest,
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of a user's backtests of each strategy, in one statement."""
    statement = _matching(user_id, query, *_COLUMNS)
    return await fetch_pages(
        session, statement, _COLUMNS.strategy_id, strategy_ids, sort_keys(orderings), page
    )


async def counts_of_strategies(
    session: AsyncSession, user_id: UserId, strategy_ids: Sequence[UUID], query: BacktestQuery
) -> dict[UUID, int]:
    """Return how many of a user's backtests of each strategy match; strategies with none are left out."""
    statement = _matching(user_id, query, BacktestRow.strategy_id, func.count()).where(
        BacktestRow.strategy_id.in_(strategy_ids)
    )
    found = await session.execute(statement.group_by(BacktestRow.strategy_id))
    return {row[0]: row[1] for row in found}


async def completed_like(session: AsyncSession, user_id: UserId, content_hash: str) -> Row[Any] | None:
    """Return the user's latest completed backtest with this content, if there is one."""
    statement = (
        select(*_COLUMNS)
        .where(
            BacktestRow.user_id == user_id,
            BacktestRow.content_hash == content_hash,
            BacktestRow.status == RunStatus.COMPLETED.value,
        )
        .order_by(BacktestRow.created_at.desc())
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def requested_before(session: AsyncSession, user_id: UserId, key: str) -> Row[str, UUID] | None:
    """Return what this user requested under an idempotency key: request_hash and backtest_id."""
    statement = select(BacktestKeyRow.request_hash, BacktestKeyRow.backtest_id).where(
        BacktestKeyRow.user_id == user_id, BacktestKeyRow.key == key
    )
    return (await session.execute(statement)).one_or_none()


async def count_active(session: AsyncSession, user_id: UserId) -> int:
    """Return how many of a user's backtests are queued or running."""
    statement = select(func.count()).where(
        BacktestRow.user_id == user_id,
        BacktestRow.status.in_([RunStatus.QUEUED.value, RunStatus.RUNNING.value]),
    )
    return await session.scalar(statement) or 0


async def curves(session: AsyncSession, ids: Sequence[UUID], column: str) -> dict[UUID, bytes]:
    """Return the ``equity`` or ``daily`` curves of backtests, encoded, by backtest."""
    statement = select(BacktestCurveRow.backtest_id, getattr(BacktestCurveRow, column)).where(
        BacktestCurveRow.backtest_id.in_(ids)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def ledger_segments(
    session: AsyncSession, wanted: Sequence[tuple[UUID, int]]
) -> dict[tuple[UUID, int], bytes]:
    """Return ledger segments, encoded, by backtest and segment number, in one statement."""
    statement = select(LedgerSegmentRow.backtest_id, LedgerSegmentRow.segment, LedgerSegmentRow.data).where(
        tuple_(LedgerSegmentRow.backtest_id, LedgerSegmentRow.segment).in_(wanted)
    )
    return {(key, segment): data for key, segment, data in (await session.execute(statement)).all()}


async def all_ledger_segments(session: AsyncSession, backtest_id: UUID) -> list[bytes]:
    """Return every ledger segment of a backtest, encoded, in order."""
    statement = (
        select(LedgerSegmentRow.data)
        .where(LedgerSegmentRow.backtest_id == backtest_id)
        .order_by(LedgerSegmentRow.segment)
    )
    return list(await session.scalars(statement))


async def verifications(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return the last verification of each of these backtests that has one; the caller checks the access."""
    columns = BacktestVerificationRow.__table__.c
    statement = select(*columns).where(columns.backtest_id.in_(ids))
    return {row.backtest_id: row for row in await session.execute(statement)}
