"""Reads of the bots domain; every one names the user, so that others' bots do not exist."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.bots.models import (
    BotRow,
    EquityPointRow,
    GuardRow,
    OrderRow,
    SessionMarkRow,
    SessionStateRow,
    SignalRow,
    TradeRow,
    TradingSessionRow,
)
from gql_trader.bots.models_live import OrderFillRow
from gql_trader.bots.types import CLOSING, SHARD_SESSIONS, BotState, SessionStatus
from gql_trader.core.ids import UserId
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page, fetch_pages
from gql_trader.settings.types import SessionMode

_BOTS = BotRow.__table__.c
_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_TRADES = TradeRow.__table__.c
_ORDERS = OrderRow.__table__.c
_MARKS = SessionMarkRow.__table__.c

# All but the engine's own state, which only workers can read.
_SHOWN = [
    *(column for column in _STATES if column.name not in ("session_id", "state")),
    _MARKS.priced_at,
    _MARKS.price.label("mark_price"),
    _MARKS.equity.label("mark_equity"),
    _MARKS.exit_reason.label("due_reason"),
    _MARKS.exit_price.label("due_price"),
    _MARKS.exit_seen_at.label("due_since"),
]
_NEWEST_BOT_FIRST = [SortKey(_BOTS.id, descending=True)]
_NEWEST_SESSION_FIRST = [SortKey(_SESSIONS.id, descending=True)]
_BY_NUMBER_OF_TRADE = [SortKey(_TRADES.number)]
_BY_NUMBER_OF_ORDER = [SortKey(_ORDERS.number)]


async def bot(
    session: AsyncSession, user_id: UserId, bot_id: UUID, *, locked: bool = False
) -> Row[Any] | None:
    """Return one of a user's bots; locked against changes until the transaction ends if asked for."""
    statement = select(*_BOTS).where(_BOTS.id == bot_id, _BOTS.user_id == user_id)
    if locked:
        statement = statement.with_for_update(key_share=True)
    return (await session.execute(statement)).one_or_none()


async def bots_by_ids(session: AsyncSession, user_id: UserId, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return those of the bots that are this user's, by id."""
    statement = select(*_BOTS).where(_BOTS.id.in_(ids), _BOTS.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


def _bots(user_id: UserId, states: Sequence[BotState] | None, *columns: Any) -> Select[Any]:
    statement = select(*columns).where(_BOTS.user_id == user_id)
    return statement if states is None else statement.where(_BOTS.state.in_([each.value for each in states]))


async def page_of_bots(
    session: AsyncSession, user_id: UserId, states: Sequence[BotState] | None, page: PageRequest
) -> Slice[Row[Any]]:
    """Return one page of a user's bots, newest first."""
    return await fetch_page(session, _bots(user_id, states, *_BOTS), _NEWEST_BOT_FIRST, page)


async def count_bots(session: AsyncSession, user_id: UserId, states: Sequence[BotState] | None) -> int:
    """Return how many bots a user has."""
    return await session.scalar(_bots(user_id, states, func.count())) or 0


async def all_bots(session: AsyncSession, user_id: UserId, bot_id: UUID | None) -> list[Row[Any]]:
    """Return all of a user's bots, or the one named, oldest first."""
    statement = select(*_BOTS).where(_BOTS.user_id == user_id).order_by(_BOTS.id)
    if bot_id is not None:
        statement = statement.where(_BOTS.id == bot_id)
    return list((await session.execute(statement)).all())


def _of(user_id: UserId, *columns: Any) -> Select[Any]:
    # A mark holds until the session trades the next bar.
    marked = and_(_MARKS.session_id == _STATES.session_id, _MARKS.last_bar_time == _STATES.last_bar_time)
    return (
        select(*columns)
        .select_from(TradingSessionRow)
        .join(SessionStateRow, _STATES.session_id == _SESSIONS.id)
        .outerjoin(SessionMarkRow, and_(marked, _SESSIONS.status == SessionStatus.ACTIVE.value))
        .where(_SESSIONS.user_id == user_id)
    )


async def sessions_by_ids(
    session: AsyncSession, user_id: UserId, ids: Sequence[UUID]
) -> dict[UUID, Row[Any]]:
    """Return those of the sessions that are this user's, with where they stand, by id."""
    statement = _of(user_id, *_SESSIONS, *_SHOWN).where(_SESSIONS.id.in_(ids))
    return {row.id: row for row in await session.execute(statement)}


def _sessions(
    user_id: UserId, status: SessionStatus | None, mode: SessionMode | None, *columns: Any
) -> Select[Any]:
    statement = _of(user_id, *columns)
    if status is not None:
        kept = [status.value] if status is SessionStatus.STOPPED else [status.value, CLOSING]
        statement = statement.where(_SESSIONS.status.in_(kept))
    return statement if mode is None else statement.where(_SESSIONS.mode == mode.value)


async def page_of_sessions(
    session: AsyncSession,
    user_id: UserId,
    status: SessionStatus | None,
    mode: SessionMode | None,
    page: PageRequest,
) -> Slice[Row[Any]]:
    """Return one page of a user's sessions, newest first."""
    statement = _sessions(user_id, status, mode, *_SESSIONS, *_SHOWN)
    return await fetch_page(session, statement, _NEWEST_SESSION_FIRST, page)


async def count_sessions(
    session: AsyncSession, user_id: UserId, status: SessionStatus | None, mode: SessionMode | None
) -> int:
    """Return how many sessions a user has."""
    return await session.scalar(_sessions(user_id, status, mode, func.count())) or 0


async def followed_sessions(
    session: AsyncSession, user_id: UserId, bot_id: UUID | None, session_id: UUID | None
) -> list[Row[Any]]:
    """Return a user's sessions that trade, or those of a bot, or the one named, oldest first."""
    statement = _of(user_id, *_SESSIONS, *_SHOWN).order_by(_SESSIONS.id)
    if session_id is not None:
        statement = statement.where(_SESSIONS.id == session_id)
    else:
        statement = statement.where(_SESSIONS.status != SessionStatus.STOPPED.value)
    if bot_id is not None:
        statement = statement.where(_SESSIONS.bot_id == bot_id)
    return list((await session.execute(statement)).all())


async def roomy_shard(session: AsyncSession, market_id: UUID, interval: str) -> int:
    """Return the first shard of the live sessions on a market and interval that has room for another."""
    statement = (
        select(_SESSIONS.shard, func.count())
        .where(
            _SESSIONS.market_id == market_id,
            _SESSIONS.interval == interval,
            _SESSIONS.status != SessionStatus.STOPPED.value,
            _SESSIONS.replay_start.is_(None),
        )
        .group_by(_SESSIONS.shard)
    )
    sizes = {row[0]: row[1] for row in await session.execute(statement)}
    return next(number for number in range(len(sizes) + 1) if sizes.get(number, 0) < SHARD_SESSIONS)


async def pages_of_bots_sessions(
    session: AsyncSession, user_id: UserId, bot_ids: Sequence[UUID], page: PageRequest
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of the sessions of each bot, in one statement."""
    statement = _of(user_id, *_SESSIONS, *_SHOWN)
    return await fetch_pages(session, statement, _SESSIONS.bot_id, bot_ids, _NEWEST_SESSION_FIRST, page)


async def counts_of_bots_sessions(session: AsyncSession, bot_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many sessions each bot has had; bots with none are left out."""
    statement = (
        select(_SESSIONS.bot_id, func.count()).where(_SESSIONS.bot_id.in_(bot_ids)).group_by(_SESSIONS.bot_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def pages_of_trades(
    session: AsyncSession, user_id: UserId, session_ids: Sequence[UUID], page: PageRequest
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of the trades of each session, oldest first, in one statement."""
    statement = select(*_TRADES).where(_TRADES.user_id == user_id)
    return await fetch_pages(session, statement, _TRADES.session_id, session_ids, _BY_NUMBER_OF_TRADE, page)


async def pages_of_orders(
    session: AsyncSession, user_id: UserId, session_ids: Sequence[UUID], page: PageRequest
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of the orders of each session, oldest first, in one statement."""
    statement = select(*_ORDERS).where(_ORDERS.user_id == user_id)
    return await fetch_pages(session, statement, _ORDERS.session_id, session_ids, _BY_NUMBER_OF_ORDER, page)


async def counts_of_trades(session: AsyncSession, session_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many trades each session has; sessions with none are left out."""
    return await _counts(session, _TRADES.session_id, session_ids)


async def counts_of_orders(session: AsyncSession, session_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many orders each session has; sessions with none are left out."""
    return await _counts(session, _ORDERS.session_id, session_ids)


async def _counts(session: AsyncSession, column: Any, ids: Sequence[UUID]) -> dict[UUID, int]:
    statement = select(column, func.count()).where(column.in_(ids)).group_by(column)
    return {row[0]: row[1] for row in await session.execute(statement)}


_SAID = SignalRow.__table__.c
_GUARDS = GuardRow.__table__.c
_NEWEST_BAR_FIRST = [SortKey(_SAID.time, descending=True)]


def _explained(*columns: Any) -> Select[Any]:
    """Return the statement for the bars of sessions of which it is known what their strategies said."""
    traded = and_(
        _SAID.key == _STATES.signal_key,
        _SAID.time <= _STATES.last_bar_time,
        _SAID.time >= func.extract("epoch", _SESSIONS.trade_from) * 1000,
    )
    return (
        select(*columns)
        .select_from(TradingSessionRow)
        .join(SessionStateRow, _STATES.session_id == _SESSIONS.id)
        .join(SignalRow, traded)
    )


async def pages_of_decisions(
    session: AsyncSession, user_id: UserId, session_ids: Sequence[UUID], page: PageRequest
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of the explained bars of each session, newest first, in one statement."""
    # The guards from their last change at or before the bar on.
    figures = [column for column in _GUARDS if column.name not in ("session_id", "time")]
    then = (
        select(_GUARDS.time.label("since"), *figures)
        .where(_GUARDS.session_id == _SESSIONS.id, _GUARDS.time <= _SAID.time)
        .order_by(_GUARDS.time.desc())
        .limit(1)
        .lateral("guards_then")
    )
    statement = (
        _explained(
            _SAID.time,
            _SAID.signals,
            _SAID["values"].label("said"),
            _SESSIONS.execution,
            _SESSIONS.interval,
            *then.c,
        )
        .outerjoin(then, true())
        .where(_SESSIONS.user_id == user_id)
    )
    return await fetch_pages(session, statement, _SESSIONS.id, session_ids, _NEWEST_BAR_FIRST, page)


async def counts_of_decisions(session: AsyncSession, session_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many explained bars each session has; sessions with none are left out."""
    statement = _explained(_SESSIONS.id, func.count()).where(_SESSIONS.id.in_(session_ids))
    rows = await session.execute(statement.group_by(_SESSIONS.id))
    return {row[0]: row[1] for row in rows}


async def open_trades(
    session: AsyncSession, user_id: UserId, session_ids: Sequence[UUID]
) -> dict[UUID, list[Row[Any]]]:
    """Return the trades of each session whose positions are held."""
    statement = (
        select(*_TRADES)
        .where(_TRADES.user_id == user_id, _TRADES.session_id.in_(session_ids), _TRADES.exit_time.is_(None))
        .order_by(_TRADES.number)
    )
    found: dict[UUID, list[Row[Any]]] = {key: [] for key in session_ids}
    for row in await session.execute(statement):
        found[row.session_id].append(row)
    return found


async def trades_by_ids(session: AsyncSession, user_id: UserId, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return those of the trades that are this user's, by id."""
    statement = select(*_TRADES).where(_TRADES.id.in_(ids), _TRADES.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


async def orders_by_ids(session: AsyncSession, user_id: UserId, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return those of the orders that are this user's, by id."""
    statement = select(*_ORDERS).where(_ORDERS.id.in_(ids), _ORDERS.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


async def unpriced_fees(session: AsyncSession, order_ids: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """Return currency and amount of the fees of each order that are counted nowhere, by order."""
    fills = OrderFillRow.__table__.c
    statement = (
        select(fills.order_id, fills.fee_currency, func.sum(fills.fee).label("amount"))
        .where(fills.order_id.in_(order_ids), fills.fee != 0, fills.fee_worth.is_(None))
        .group_by(fills.order_id, fills.fee_currency)
        .order_by(fills.fee_currency)
    )
    found: dict[UUID, list[Row[Any]]] = {}
    for row in (await session.execute(statement)).all():
        found.setdefault(row.order_id, []).append(cast("Row[Any]", row))
    return found


async def trades_changed_since(
    session: AsyncSession, user_id: UserId, since: datetime, behind: tuple[datetime, UUID] | None = None
) -> list[Row[Any]]:
    """Return up to a thousand of the user's trades that were opened or closed since a moment, in that order.

    With the bot of each.

    Parameters
    ----------
    behind
        ``changed_at`` and key of the last that is known.
    """
    statement = (
        select(*[*_TRADES, _SESSIONS.bot_id])
        .join(TradingSessionRow, _SESSIONS.id == _TRADES.session_id)
        .where(_TRADES.user_id == user_id, _TRADES.changed_at >= since)
        .order_by(_TRADES.changed_at, _TRADES.id)
        .limit(1000)
    )
    if behind is not None:
        statement = statement.where(tuple_(_TRADES.changed_at, _TRADES.id) > behind)
    return list((await session.execute(statement)).all())


async def equity_points(
    session: AsyncSession, session_ids: Sequence[UUID], low: int, high: int
) -> dict[UUID, tuple[list[int], list[float]]]:
    """Return times (Unix milliseconds, in [low, high)) and equity of each session, oldest first.

    The caller has checked the access.
    """
    points = EquityPointRow.__table__.c
    statement = (
        select(
            points.session_id, func.array_agg(_ordered(points.time)), func.array_agg(_ordered(points.equity))
        )
        .where(points.session_id.in_(session_ids), points.time >= low, points.time < high)
        .group_by(points.session_id)
    )
    return {row[0]: (row[1], row[2]) for row in await session.execute(statement)}


def _ordered(column: Any) -> Any:
    return aggregate_order_by(column, EquityPointRow.__table__.c.time)
