"""Which live bots there is something to do for."""

from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.live.checks.amounts import tradable
from gql_trader.bots.live.checks.markets import comparison_of
from gql_trader.bots.live.exits import is_untouched
from gql_trader.bots.models import OrderRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.ticks.marking import looks_between
from gql_trader.bots.ticks.shards import newest_bars
from gql_trader.bots.types import CHECK_LIVE_BOT, CLOSING, QUEUE, WAITING, SessionStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import service as market_data

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_LIVE = LiveBotRow.__table__.c


def _at_work(*columns: Any) -> Any:
    return (
        select(*columns)
        .select_from(LiveBotRow)
        .join(TradingSessionRow, _SESSIONS.id == _LIVE.session_id)
        .join(SessionStateRow, _STATES.session_id == _LIVE.session_id)
        .where(_SESSIONS.status == SessionStatus.ACTIVE.value)
    )


async def behind(uow: UnitOfWork, market_id: UUID | None = None) -> list[UUID]:
    """Return the sessions, on one market or all, that bars have left behind or whose account is to be
    compared."""
    statement = _at_work(
        _SESSIONS.id,
        _SESSIONS.market_id,
        _SESSIONS.interval,
        _SESSIONS.trade_from,
        _STATES.last_bar_time,
        _LIVE.ready_at,
        comparison_of(_SESSIONS.id, _SESSIONS.market_id).exists().label("compared"),
    )
    if market_id is not None:
        statement = statement.where(_SESSIONS.market_id == market_id)
    rows = (await uow.session.execute(statement)).all()
    newest = await newest_bars(uow, {(row.market_id, Interval[row.interval]) for row in rows})
    found = []
    for row in rows:
        at = newest.get((row.market_id, Interval[row.interval]))
        until = to_milliseconds(row.trade_from) - 1 if row.last_bar_time is None else row.last_bar_time
        if row.ready_at is None or not row.compared or (at is not None and at > until):
            found.append(row.id)
    return found


async def neglected(uow: UnitOfWork) -> list[UUID]:
    """Return the sessions whose position is to be closed, or is neither protected nor looked at.

    That a job does so may have been lost with the queue, or with the worker that was to hand it out.
    """
    waits = (
        select(OrderRow.id)
        .where(
            OrderRow.session_id == _SESSIONS.id,
            OrderRow.status.in_([each.value for each in WAITING]),
            # A stop that was not taken back yet does not keep a position from being closed.
            ~(_LIVE.exiting.is_not(None) & is_untouched()),
        )
        .correlate(_SESSIONS.id.table, _LIVE.session_id.table)
        .exists()
    )
    statement = (
        _at_work(_SESSIONS.id, _SESSIONS.market_id, _SESSIONS.interval, _SESSIONS.check_seconds)
        .add_columns(_SESSIONS.execution, _LIVE.exiting, _LIVE.check_at, TradeRow)
        .outerjoin(TradeRow, (TradeRow.session_id == _SESSIONS.id) & TradeRow.exit_time.is_(None))
        .where(~waits, or_(_LIVE.exiting.is_not(None), TradeRow.id.is_not(None)))
    )
    found = []
    for row in (await uow.session.execute(statement)).all():
        spec = execution_from_json(row.execution)
        has_stop = spec.stop_loss is not None or spec.trailing_stop is not None
        unseen = row.check_at is None and looks_between(Interval[row.interval], row.check_seconds)
        if row.exiting is None:
            if not has_stop and not unseen:
                continue
            market, _ = await market_data.market_with_base(uow, row.market_id)
            if not await tradable(uow, market, row.TradeRow):
                continue
        found.append(row.id)
    return found


async def ending(uow: UnitOfWork) -> list[UUID]:
    """Return the sessions that are being ended."""
    statement = (
        select(_LIVE.session_id)
        .join(TradingSessionRow, _SESSIONS.id == _LIVE.session_id)
        .where(_SESSIONS.status == CLOSING)
    )
    return list(await uow.session.scalars(statement))


async def watched(uow: UnitOfWork) -> list[tuple[UUID, Interval]]:
    """Return the markets and intervals whose candles are wanted, those for looking at positions included."""
    statement = _at_work(
        _SESSIONS.market_id,
        _SESSIONS.interval,
        _SESSIONS.check_seconds,
        _LIVE.check_at.is_not(None).label("holds"),
    )
    found = []
    for row in (await uow.session.execute(statement.distinct())).all():
        interval = Interval[row.interval]
        found.append((row.market_id, interval))
        if row.holds and looks_between(interval, row.check_seconds):
            found.append((row.market_id, Interval.M1))
    return found


async def due_jobs(uow: UnitOfWork) -> list[Job]:
    """Return a job for each session whose position is to be looked at now."""
    statement = select(_LIVE.session_id, _LIVE.check_at).where(_LIVE.check_at <= uow.clock.now())
    return [
        Job(
            CHECK_LIVE_BOT,
            QUEUE,
            f"{CHECK_LIVE_BOT}:{row.session_id}:{to_milliseconds(row.check_at)}",
            (str(row.session_id),),
        )
        for row in (await uow.session.execute(statement)).all()
    ]
