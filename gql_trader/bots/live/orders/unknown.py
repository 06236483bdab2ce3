"""Telling users of live orders of which it has not been known for long what became of them."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, update

from gql_trader.bots.announcing import announce, tell_unknown
from gql_trader.bots.live.orders.states import database_time
from gql_trader.bots.models import BotRow, OrderRow, TradingSessionRow
from gql_trader.bots.models_live import LiveOrderRow
from gql_trader.bots.types import BotState, OrderStatus
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data

_MOST = 500
"""Orders of which is told in one look."""

_log = structlog.get_logger(__name__)


async def long_unknown(uow: UnitOfWork, age: timedelta) -> list[UUID]:
    """Return the orders whose outcome has been unknown for so long, and whose users were not told."""
    statement = (
        select(LiveOrderRow.order_id)
        .join(OrderRow, OrderRow.id == LiveOrderRow.order_id)
        .where(
            # Those that were given up are nobody's to ask for any more.
            LiveOrderRow.due_at.is_not(None),
            LiveOrderRow.told_at.is_(None),
            LiveOrderRow.sent_at <= database_time() - age,
            OrderRow.status == OrderStatus.UNKNOWN.value,
        )
        .order_by(LiveOrderRow.sent_at)
        .limit(_MOST)
    )
    return list(await uow.session.scalars(statement))


async def tell(uow: UnitOfWork, order_id: UUID) -> bool:
    """Tell the user of an order that its outcome is unknown, once; return whether that was left to do.

    Who follows its bot is told, too.
    """
    session = await uow.session.scalar(
        select(TradingSessionRow)
        .join(OrderRow, OrderRow.session_id == TradingSessionRow.id)
        .where(OrderRow.id == order_id)
        .with_for_update(of=TradingSessionRow, key_share=True)
    )
    sent_at: datetime | None = await uow.session.scalar(
        update(LiveOrderRow)
        .where(
            LiveOrderRow.order_id == order_id,
            LiveOrderRow.told_at.is_(None),
            OrderRow.id == LiveOrderRow.order_id,
            OrderRow.status == OrderStatus.UNKNOWN.value,
        )
        .values(told_at=database_time())
        .returning(LiveOrderRow.sent_at)
        .execution_options(synchronize_session=False)
    )
    if session is None or sent_at is None:
        return False
    order = await uow.session.get_one(OrderRow, order_id)
    assert order.market_id is not None, "live orders name their market"
    market, _ = await market_data.market_with_base(uow, order.market_id)
    _log.warning("live_order_unknown", order_id=str(order_id), session_id=str(session.id))
    if session.bot_id is not None:
        state = await uow.session.scalar(select(BotRow.state).where(BotRow.id == session.bot_id))
        if state is not None:
            announce(uow, session.user_id, session.bot_id, BotState(state))
    words = f"{order.side.lower()} {order.quantity.normalize():f} of {market.symbol}"
    ids = order_id, session.id, session.bot_id
    await tell_unknown(uow, session.user_id, ids, market.name, words, sent_at)
    return True
