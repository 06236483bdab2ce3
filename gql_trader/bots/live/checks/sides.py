"""Which way the sessions of a key hold a contract: an account has one position in it, long or short.

Sessions that hold it in both directions would cancel each other out at the exchange, where an order that only
reduces a position would then find none.
"""

from uuid import UUID

from sqlalchemy import exists, or_, select, update

from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.types import WAITING, OrderSide, OrderStatus
from gql_trader.engine.execution import Side
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.unit_of_work import UnitOfWork

_SENT = [each.value for each in WAITING if each is not OrderStatus.NEW]


async def problem_of_side(uow: UnitOfWork, held: LiveSessionRow, order: OrderRow) -> str | None:
    """Return why an order that opens a position in a contract must not be sent; None if it may.

    Until the transaction ends no other order on this contract is looked at for the same key.
    """
    if held.leverage is None:
        return None
    await lock_name(uow.session, f"contract:{held.exchange_key_id}:{order.market_id}")
    others = select(LiveSessionRow.session_id).where(
        LiveSessionRow.exchange_key_id == held.exchange_key_id,
        LiveSessionRow.leverage.is_not(None),
        LiveSessionRow.session_id != held.session_id,
    )
    opposite = Side.SHORT if order.side == OrderSide.BUY.value else Side.LONG
    holds = exists().where(
        TradeRow.session_id.in_(others),
        TradeRow.market_id == order.market_id,
        TradeRow.side == opposite.value,
        TradeRow.exit_time.is_(None),
    )
    opens = exists().where(
        OrderRow.session_id.in_(others),
        OrderRow.market_id == order.market_id,
        OrderRow.side != order.side,
        OrderRow.status.in_(_SENT),
        OrderRow.reduce_only.is_(False),
    )
    if await uow.session.scalar(select(or_(holds, opens))):
        return (
            f"Another session with this key is {opposite.value.lower()} in this contract, or about to be: an "
            "account has one position in it."
        )
    assert order.market_id is not None
    if await _was_left(uow, held, order.market_id, opposite):
        return (
            f"A session with this key has ended and left a {opposite.value.lower()} position in this "
            "contract: the account is compared again before the next order."
        )
    return None


async def _was_left(uow: UnitOfWork, held: LiveSessionRow, market_id: UUID, side: Side) -> bool:
    """Return whether a session has ended with a position on a side since this one's account was compared.

    If one has, it is compared again: what was left there may be closed by now, or its owner's to acknowledge.
    """
    ended, own = LiveMarketRow.__table__.alias(), LiveMarketRow.__table__.alias()
    left = exists().where(
        own.c.session_id == held.session_id,
        own.c.market_id == market_id,
        TradeRow.session_id == TradingSessionRow.id,
        TradeRow.market_id == market_id,
        TradeRow.side == side.value,
        TradeRow.exit_time.is_(None),
        TradingSessionRow.ended_at > own.c.compared_at,
        ended.c.session_id == TradingSessionRow.id,
        ended.c.market_id == market_id,
        ended.c.exchange_key_id == held.exchange_key_id,
    )
    if not await uow.session.scalar(select(left)):
        return False
    await uow.session.execute(
        update(LiveMarketRow)
        .where(LiveMarketRow.session_id == held.session_id, LiveMarketRow.market_id == market_id)
        .values(key_version=None, compared_at=uow.clock.now())
        .execution_options(synchronize_session=False)
    )
    return True
