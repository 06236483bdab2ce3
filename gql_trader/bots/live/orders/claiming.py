"""Claiming live orders: a worker takes one under a lease, and may send it only if it may be sent still."""

from uuid import UUID

from sqlalchemy import select, update

from gql_trader.accounts.models import UserRow
from gql_trader.bots.live.checks import markets, rights
from gql_trader.bots.live.checks.sides import problem_of_side
from gql_trader.bots.live.orders.states import change, database_time, finish, is_free, reject
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveOrderRow, LiveSessionRow
from gql_trader.bots.types import OrderSide, OrderStatus, OrderType, SessionStatus
from gql_trader.bots.types_live import FRESH, LEASE, Task
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data

SWEEP_ORDERS = 500
"""Most orders that are handed out in one look."""


async def due(uow: UnitOfWork) -> list[UUID]:
    """Return the orders that a worker should be at and none is."""
    statement = (
        select(LiveOrderRow.order_id)
        .where(LiveOrderRow.due_at <= database_time(), is_free())
        .order_by(LiveOrderRow.due_at)
        .limit(SWEEP_ORDERS)
    )
    return list(await uow.session.scalars(statement))


async def claim(uow: UnitOfWork, keys: KeyRing, order_id: UUID, *, enabled: bool) -> Task | None:
    """Take an order that is due and that nobody is at; None if there is nothing to do.

    An order that was not sent yet is from now on one that may have been. Whether its user may still trade,
    and with this key, is asked here: if not, it is rejected, and nothing is sent.

    Parameters
    ----------
    enabled
        Whether this server trades live.
    """
    session_id = await uow.session.scalar(select(OrderRow.session_id).where(OrderRow.id == order_id))
    if session_id is None:
        return None
    session = await _locked(uow, session_id)
    order = await uow.session.get_one(OrderRow, order_id, populate_existing=True)
    live = (
        await uow.session.execute(
            update(LiveOrderRow)
            .where(LiveOrderRow.order_id == order_id, LiveOrderRow.due_at <= database_time(), is_free())
            .values(fence=LiveOrderRow.fence + 1, lease_expires_at=database_time() + LEASE)
            .returning(*LiveOrderRow.__table__.c)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if live is None:
        return None
    held = await uow.session.get(LiveSessionRow, session_id)
    sends = order.status == OrderStatus.NEW.value
    if held is None:
        # The session has ended: only an order that was rejected is looked for so late.
        await finish(uow, order_id)
        return None
    key = await exchange_keys.open_key(uow, keys, session.user_id, held.exchange_key_id)
    assert order.market_id is not None, "live orders name their market"
    closes = await _closes(uow, held, order)
    if sends:
        problem = rights.problem_of_user(await uow.session.get(UserRow, session.user_id), enabled=enabled)
        problem = problem or rights.problem_of_key(key.record)
        if session.status != SessionStatus.ACTIVE.value and not closes:
            problem = "Its session was told to stop."
        elif not closes:
            problem = problem or await problem_of_side(uow, held, order)
        if uow.clock.now() - order.created_at > FRESH:
            problem = "It could not be sent in time."
            # As if it had been tried: nobody has refused it.
            await change(uow, order_id, failures=LiveOrderRow.failures + 1)
        elif not await markets.is_compared(uow, session_id, order.market_id):
            problem = problem or "The account at the exchange was not compared with this key."
        if problem is not None:
            await reject(uow, order, f"{problem} Nothing was sent.")
            return None
        order.status = OrderStatus.UNKNOWN.value
        await uow.session.flush()
        await change(uow, order_id, sent_at=database_time(), key_version=key.record.version)
    market, _ = await market_data.market_with_base(uow, order.market_id)
    return Task(
        order_id=order_id,
        session_id=session_id,
        fence=live.fence,
        sends=sends,
        cancels=order.cancel_requested_at is not None,
        key=key,
        symbol=market.symbol,
        contracts=held.leverage is not None,
        closes=closes,
        client_order_id=order.client_order_id,
        side=OrderSide(order.side),
        type=OrderType(order.type),
        quantity=order.quantity,
        price=order.price,
        stop_price=order.stop_price,
        reference_price=live.reference_price,
        booked=order.filled_quantity,
        claimed_at=uow.clock.now(),
        created_at=order.created_at,
        exchange_order_id=order.exchange_order_id,
        witness=None if sends or live.key_version == key.record.version else await _witness(uow, order),
    )


async def _witness(uow: UnitOfWork, order: OrderRow) -> tuple[str, str] | None:
    """Return the ids of an order of the same session that the exchange has filled; None without one."""
    found = await uow.session.execute(
        select(OrderRow.client_order_id, OrderRow.exchange_order_id)
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id == order.session_id,
            OrderRow.market_id == order.market_id,
            OrderRow.id != order.id,
            OrderRow.type == OrderType.MARKET.value,
            OrderRow.filled_quantity > 0,
            OrderRow.exchange_order_id.is_not(None),
        )
        .order_by(OrderRow.number.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else (row.client_order_id, row.exchange_order_id)


async def _closes(uow: UnitOfWork, held: LiveSessionRow, order: OrderRow) -> bool:
    """Return whether an order makes a position smaller."""
    if held.leverage is None:
        return order.side == OrderSide.SELL.value
    if order.reduce_only:
        return True
    # Orders of releases that knew long positions only do not say so. What is left of a position that is too
    # little to be closed makes no closing of the order that opens the other side.
    opposite = Side.SHORT if order.side == OrderSide.BUY.value else Side.LONG
    statement = select(TradeRow.id).where(
        TradeRow.session_id == order.session_id,
        TradeRow.market_id == order.market_id,
        TradeRow.side == opposite.value,
        TradeRow.exit_time.is_(None),
        TradeRow.quantity >= order.quantity - order.filled_quantity,
    )
    return await uow.session.scalar(statement) is not None


async def _locked(uow: UnitOfWork, session_id: UUID) -> TradingSessionRow:
    statement = select(TradingSessionRow).where(TradingSessionRow.id == session_id)
    statement = statement.with_for_update(key_share=True)
    found = await uow.session.scalar(statement.execution_options(populate_existing=True))
    assert found is not None, "the foreign key keeps it"
    return found
