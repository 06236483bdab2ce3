"""Reading what a live bot needs at a close: where it stands, and from when on it wants bars."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from gql_trader.bots.live.bots import positions
from gql_trader.bots.live.checks import amounts, markets
from gql_trader.bots.models import SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import SessionStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_LIVE = LiveBotRow.__table__.c


async def read(uow: UnitOfWork, session_id: UUID) -> Row[Any] | None:
    """Return where a live bot stands that is at work; None if it is not."""
    columns = (
        *_SESSIONS,
        *(column for column in _STATES if column.name not in ("session_id", "state")),
        _LIVE.ready_at,
        _LIVE.acknowledged,
        _LIVE.best,
        LiveSessionRow.exchange_key_id,
        LiveSessionRow.leverage,
        markets.comparison_of(_SESSIONS.id, _SESSIONS.market_id).exists().label("compared"),
    )
    statement = (
        select(*columns)
        .join(SessionStateRow, _STATES.session_id == _SESSIONS.id)
        .join(LiveBotRow, _LIVE.session_id == _SESSIONS.id)
        .join(LiveSessionRow, LiveSessionRow.session_id == _SESSIONS.id)
        .where(_SESSIONS.id == session_id, _SESSIONS.status == SessionStatus.ACTIVE.value)
    )
    return (await uow.session.execute(statement)).one_or_none()


async def wanted_since(uow: UnitOfWork, row: Row[Any]) -> int | None:
    """Return the earliest bar that is wanted besides new ones; None: all are, as none was traded yet.

    That is the last one traded or, as long as the best price since a position's entry is not known, that of
    the entry.
    """
    if row.last_bar_time is None or row.signal_key is None:
        return None
    wanted = int(row.last_bar_time)
    if row.best is not None:
        return wanted
    trade = await uow.session.scalar(
        select(TradeRow).where(TradeRow.session_id == row.id, TradeRow.exit_time.is_(None))
    )
    if trade is None:
        return wanted
    # What is left of earlier positions, too little to be closed, is none.
    market, _ = await market_data.market_with_base(uow, row.market_id)
    order = await positions.last_order(uow, row.id, closing=False)
    if order is None or order.filled_at is None or not await amounts.tradable(uow, market, trade):
        return wanted
    return min(wanted, Interval[row.interval].floor(to_milliseconds(order.filled_at)))
