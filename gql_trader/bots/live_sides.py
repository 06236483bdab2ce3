"""Which way the sessions of a key hold a contract: an account has one position in it, long or short.

Sessions that hold it in both directions would cancel each other out at the exchange, where an order that only
reduces a position would then find none.
"""

from sqlalchemy import exists, or_, select

from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import LiveSessionRow
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
    if not await uow.session.scalar(select(or_(holds, opens))):
        return None
    return (
        f"Another session with this key is {opposite.value.lower()} in this contract, or about to be: an "
        "account has one position in it."
    )
