"""Placing live orders, and having them cancelled: stored first, sent by a worker after the commit."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.storing import add_order, lock_ledger
from gql_trader.bots.live.orders.states import change, database_time, order_job
from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import LiveOrderRow
from gql_trader.bots.types import OrderRequest, OrderSide, OrderStatus, OrderType, SessionStatus
from gql_trader.bots.types_live import LiveOrderSpec
from gql_trader.core.errors import InvalidState
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.types import SessionMode


def stage(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reference_price: Decimal) -> None:
    """Have a new order sent once this transaction has committed."""
    order.client_order_id = order.id.hex
    uow.session.add(
        LiveOrderRow(
            order_id=order.id,
            fence=0,
            due_at=database_time(),
            failures=0,
            reference_price=reference_price,
        )
    )
    ledger.waiting.append(order)
    uow.enqueue(order_job(order.id))


async def submit(
    uow: UnitOfWork, session_id: UUID, spec: LiveOrderSpec, idempotency_key: str
) -> tuple[OrderRow, HandLedger]:
    """Place an order of a program's in a live session, once under a key; return it, and the locked account.

    It is stored with this transaction, as NEW, and sent by a worker after the commit, at most once; whether
    its user may still trade is asked then. The job of `session_job` is handed out each time that something of
    it was filled, and when it has come to its end. Under a key that was used before, the order of then is
    returned, whatever is asked for now, and none is placed: a job that is killed and run again places
    nothing twice. So the key follows from what the order is for: the session, the bar, the purpose.

    The account has to have been compared on this market (`checks`), or it is rejected when it is to be
    sent. Whether the session can pay for it is the caller's to know: `HandLedger.cash`, less what
    `HandLedger.waiting` has promised. What the exchange's rules do not allow is REJECTED, with a reason.

    Raises
    ------
    InvalidState
        If the session is not live, or has ended.
    """
    locked = await lock_ledger(uow, session_id)
    if locked is None or (ledger := locked[1]) is None or locked[0].mode != SessionMode.LIVE.value:
        raise InvalidState("This session is not live.")
    session = locked[0]
    known = await uow.session.scalar(
        select(OrderRow).where(
            OrderRow.user_id == session.user_id, OrderRow.idempotency_key == idempotency_key
        )
    )
    if known is not None:
        return known, ledger
    if session.status == SessionStatus.STOPPED.value:
        raise InvalidState("This session has ended.")
    order = add_order(
        uow,
        ledger,
        OrderRequest(
            session_id=session_id,
            market="",
            side=spec.side,
            type=spec.type,
            quantity=spec.quantity,
            idempotency_key=idempotency_key,
            price=spec.price,
            stop_price=spec.stop_price,
            reduce_only=spec.exit_reason is not None,
        ),
        spec.market_id,
    )
    order.idempotency_key, order.exit_reason = idempotency_key, spec.exit_reason
    stage(uow, ledger, order, spec.reference_price)
    await uow.session.flush()
    return order, ledger


async def request_cancel(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reason: str) -> None:
    """Cancel an order that was not sent yet; have the exchange asked to cancel one that may have been."""
    await uow.session.flush()
    if order.status == OrderStatus.NEW.value:
        # No worker is at it: whoever claims it turns it into UNKNOWN, with the session locked.
        order.status, order.reason = OrderStatus.CANCELLED.value, reason
        ledger.waiting.remove(order)
        await change(uow, order.id, due_at=None)
        return
    if order.cancel_requested_at is None:
        order.cancel_requested_at = uow.clock.now()
        await change(uow, order.id, due_at=database_time(), cancel_reason=reason)
    uow.enqueue(order_job(order.id))


async def take_back(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reason: str) -> None:
    """Cancel a stop for the order that is to close its position at once, and remember that it stood."""
    await request_cancel(uow, ledger, order, reason)
    await change(uow, order.id, taken_back=True)


async def put_back(uow: UnitOfWork, ledger: HandLedger, market_id: UUID, free: Decimal) -> list[OrderRow]:
    """Place the stops of a position again that were taken back; each once.

    Parameters
    ----------
    free
        How much of the position no other order closes.
    """
    gone = await uow.session.scalars(
        select(OrderRow)
        .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
        .where(
            OrderRow.session_id == ledger.session.id,
            OrderRow.market_id == market_id,
            OrderRow.status == OrderStatus.CANCELLED.value,
            LiveOrderRow.taken_back,
        )
        .order_by(OrderRow.number)
    )
    found = []
    for order in list(gone):
        await change(uow, order.id, taken_back=False)
        quantity = min(order.quantity - order.filled_quantity, free)
        if quantity <= 0:
            continue
        free -= quantity
        request = OrderRequest(
            session_id=ledger.session.id,
            market="",
            side=OrderSide(order.side),
            type=OrderType(order.type),
            quantity=quantity,
            idempotency_key="",
            price=order.price,
            stop_price=order.stop_price,
            reduce_only=order.reduce_only,
        )
        again = add_order(uow, ledger, request, market_id)
        again.exit_reason = order.exit_reason
        assert order.stop_price is not None, "stops have one"
        stage(uow, ledger, again, order.stop_price)
        found.append(again)
    await uow.session.flush()
    return found
