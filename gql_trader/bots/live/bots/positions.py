"""What a live bot holds, and which order has opened or closed it."""

from uuid import UUID

from sqlalchemy import select

from gql_trader.bots.ledger.fills import opening_order
from gql_trader.bots.live.bots.rules import Holding
from gql_trader.bots.models import OrderRow
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import to_float
from gql_trader.engine.execution import Side
from gql_trader.infra.unit_of_work import UnitOfWork


async def holding(uow: UnitOfWork, session_id: UUID, best: float | None = None) -> Holding:
    """Return the position, which one order has opened; what was too little to be closed does not count.

    Parameters
    ----------
    best
        Best price that is known since the entry.
    """
    order = await last_order(uow, session_id, closing=False)
    assert order is not None, "an order has opened what is held"
    assert order.average_price is not None, "it was filled"
    assert order.filled_at is not None
    price = to_float(order.average_price)
    side = Side.LONG if order.side == opening_order(Side.LONG).value else Side.SHORT
    held = Holding(side, price, to_milliseconds(order.filled_at), price)
    return held if best is None else held.improved(best, best)


async def last_order(uow: UnitOfWork, session_id: UUID, *, closing: bool) -> OrderRow | None:
    """Return the last order that has closed a position, at least in part, or has opened one."""
    statement = (
        select(OrderRow)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.reduce_only.is_(closing),
            OrderRow.filled_quantity > 0,
        )
        .order_by(OrderRow.number.desc())
        .limit(1)
    )
    return await uow.session.scalar(statement)
