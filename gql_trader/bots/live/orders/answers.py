"""What the answers of exchanges do to live orders."""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, update

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live.orders.filling import book_fills
from gql_trader.bots.live.orders.following import let_go
from gql_trader.bots.live.orders.states import change, database_time, finish, order_job, reject, session_job
from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live import LiveOrderRow
from gql_trader.bots.types import WAITING, OrderStatus, SessionStatus
from gql_trader.bots.types_live import (
    FORGETTINGS,
    FORGOTTEN,
    FRESH,
    LATE_FAILURES,
    LATE_LOOK,
    LEASE,
    Answer,
    Outcome,
    Task,
)
from gql_trader.infra.exchange.orders import OrderState
from gql_trader.infra.unit_of_work import UnitOfWork

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE = 300.0
_WAITING = frozenset(each.value for each in WAITING)
_AT_EXCHANGE = frozenset({OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value})
_STATES = {
    OrderState.OPEN: OrderStatus.OPEN,
    OrderState.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    OrderState.FILLED: OrderStatus.FILLED,
    OrderState.CANCELLED: OrderStatus.CANCELLED,
    OrderState.REJECTED: OrderStatus.REJECTED,
}


async def write(uow: UnitOfWork, task: Task, outcome: Outcome, poll_seconds: float) -> bool:
    """Write down what was learnt of an order; return False if it is another worker's by now.

    Parameters
    ----------
    poll_seconds
        When to ask again for an order that waits at the exchange.
    """
    locked = await lock_ledger(uow, task.session_id)
    if locked is None or (ledger := locked[1]) is None:
        return False
    session = locked[0]
    live = (
        await uow.session.execute(
            update(LiveOrderRow)
            .where(LiveOrderRow.order_id == task.order_id, LiveOrderRow.fence == task.fence)
            .values(fence=LiveOrderRow.fence + 1, lease_expires_at=None)
            .returning(*LiveOrderRow.__table__.c, database_time().label("now"))
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if live is None:
        return False
    order = await uow.session.get_one(OrderRow, task.order_id)
    log = _log.bind(order_id=str(order.id), session_id=str(session.id), exchange=task.key.record.exchange)
    match outcome.answer:
        case Answer.FOUND:
            await _take_over(uow, ledger, order, live, outcome, poll_seconds)
            await change(uow, order.id, key_version=task.key.record.version)
        case Answer.REFUSED:
            log.info("live_order_refused")
            await reject(uow, order, outcome.message)
        case Answer.NOT_TAKEN:
            await _put_back(uow, order, live, outcome)
        case Answer.ABSENT:
            await _not_there(uow, ledger, order, live, task, outcome)
        case Answer.UNTOLD:
            log.warning("live_order_untold", sent=task.sends, failures=live.failures + 1)
            if order.status not in _WAITING and live.failures + 1 >= LATE_FAILURES:
                await finish(uow, order.id)
            else:
                await _ask_again(uow, order, live)
    await uow.session.flush()
    if session.status == SessionStatus.STOPPED.value:
        await let_go(uow, session.id)
    if order.status not in _WAITING or ledger.told:
        uow.enqueue(session_job(session.id))
    return True


async def _take_over(
    uow: UnitOfWork, ledger: HandLedger, order: OrderRow, live: Row[Any], outcome: Outcome, poll: float
) -> None:
    """Book the fills of an order that the exchange has, and take over its state."""
    found = outcome.order
    assert found is not None
    given_up = order.status not in _WAITING
    if given_up:
        _log.error("live_order_arrived_late", order_id=str(order.id), state=found.state.value)
    order.exchange_order_id = found.id
    elsewhere = await book_fills(uow, ledger, order, outcome)
    settled = order.filled_quantity + elsewhere >= found.filled
    state = _STATES[found.state]
    if not settled or (state is OrderStatus.OPEN and order.filled_quantity):
        # What the exchange has filled and does not list yet comes with one of the next looks.
        state = OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.OPEN
    order.status = state.value
    if state.value in _WAITING:
        order.reason = None
        if given_up:
            # Its user was told that it was not placed: nobody counts on it any more.
            order.cancel_requested_at = uow.clock.now()
            await change(
                uow, order.id, cancel_reason="It arrived at the exchange after it had been given up."
            )
        pause = poll if settled else min(_pause(live.failures), poll)
        wants_cancel = order.cancel_requested_at is not None
        await change(
            uow,
            order.id,
            due_at=database_time() + timedelta(seconds=min(pause, 1.0) if wants_cancel else pause),
            failures=0 if settled else live.failures + 1,
            absences=0,
            absent_since=None,
        )
        return
    order.reason = None
    if state is OrderStatus.CANCELLED:
        order.reason = live.cancel_reason or "The exchange has cancelled it."
    elif state is OrderStatus.REJECTED:
        order.reason = "The exchange has rejected it."
    if elsewhere and order.filled_quantity < found.filled:
        order.status = OrderStatus.CANCELLED.value
        order.reason = f"{elsewhere.normalize():f} of it was filled, and had been booked before as a closing."
    await finish(uow, order.id)


async def _put_back(uow: UnitOfWork, order: OrderRow, live: Row[Any], outcome: Outcome) -> None:
    """Let an order be sent again that the exchange has certainly not taken, if it is not too late then."""
    pause = max(outcome.retry_after or 0.0, _pause(live.failures))
    if order.cancel_requested_at is not None:
        order.status, order.reason = OrderStatus.CANCELLED.value, live.cancel_reason
        await finish(uow, order.id)
    elif uow.clock.now() + timedelta(seconds=pause) - order.created_at > FRESH:
        await reject(uow, order, f"{outcome.message} It was not placed.")
        await change(uow, order.id, sent_at=None, failures=live.failures + 1)
    else:
        order.status = OrderStatus.NEW.value
        await change(
            uow,
            order.id,
            due_at=database_time() + timedelta(seconds=pause),
            failures=live.failures + 1,
            sent_at=None,
        )


async def _not_there(
    uow: UnitOfWork, ledger: HandLedger, order: OrderRow, live: Row[Any], task: Task, outcome: Outcome
) -> None:
    """Reject an order that the exchange has not got, once it can no longer arrive there."""
    is_same_account = live.key_version == task.key.record.version or outcome.same_account
    if outcome.cancelled:
        await book_fills(uow, ledger, order, outcome)
        is_filled = order.filled_quantity >= order.quantity
        order.status = (OrderStatus.FILLED if is_filled else OrderStatus.CANCELLED).value
        order.reason = None if is_filled else live.cancel_reason or "The exchange has cancelled it."
        await finish(uow, order.id)
    elif order.status not in _WAITING:
        await finish(uow, order.id)
    elif order.status in _AT_EXCHANGE and is_same_account:
        await _forgotten(uow, ledger, order, live, outcome)
    elif order.status == OrderStatus.UNKNOWN.value and is_same_account:
        if live.now - live.sent_at < LEASE:
            await _ask_again(uow, order, live)
            return
        order.reason = "No answer came when it was sent, and the exchange has not got it: it was not placed."
        order.status = OrderStatus.REJECTED.value
        # Should a worker that was asleep have sent it after all, it is found.
        await change(uow, order.id, due_at=database_time() + LATE_LOOK, failures=0)
    else:
        # Another account's key: nothing that may be concluded from.
        _log.warning("live_order_absent", order_id=str(order.id), status=order.status)
        await change(
            uow,
            order.id,
            due_at=database_time() + timedelta(seconds=_pause(live.failures)),
            failures=live.failures + 1,
        )


async def _forgotten(
    uow: UnitOfWork, ledger: HandLedger, order: OrderRow, live: Row[Any], outcome: Outcome
) -> None:
    """Count that an exchange does not know an order which it has had; after enough such answers it is over.

    What it has filled is booked each time. Before it counts as over, the exchange is told to cancel it: some
    do not tell of old orders that are open. Should it remember the order later, it is cancelled there.
    """
    await book_fills(uow, ledger, order, outcome)
    if order.filled_quantity >= order.quantity:
        order.status, order.reason = OrderStatus.FILLED.value, None
        await finish(uow, order.id)
        return
    if order.filled_quantity:
        order.status = OrderStatus.PARTIALLY_FILLED.value
    absences, since = live.absences + 1, live.absent_since or live.now
    _log.warning("live_order_forgotten", order_id=str(order.id), status=order.status, absences=absences)
    if absences < FORGETTINGS or live.now - since < FORGOTTEN:
        due_at = live.now + timedelta(seconds=min(_pause(absences), 60.0))
        await change(uow, order.id, due_at=due_at, absences=absences, absent_since=since)
        return
    minutes = round((live.now - since).total_seconds() / 60)
    reason = (
        f"The exchange does not know it any more: it was asked {absences} times within {minutes} minutes."
    )
    if order.cancel_requested_at is None:
        order.cancel_requested_at = uow.clock.now()
        await change(
            uow, order.id, due_at=database_time(), absences=absences, absent_since=since, cancel_reason=reason
        )
        uow.enqueue(order_job(order.id))
        return
    order.status, order.reason = OrderStatus.CANCELLED.value, reason
    await change(uow, order.id, due_at=database_time() + LATE_LOOK, failures=0)


async def _ask_again(uow: UnitOfWork, order: OrderRow, live: Row[Any]) -> None:
    due_at = live.now + timedelta(seconds=_pause(live.failures))
    if order.status == OrderStatus.UNKNOWN.value and live.sent_at is not None:
        # Once more when it can be told that it will never be there, and before that now and then.
        settled_at = live.sent_at + LEASE
        if live.now < settled_at < due_at:
            due_at = settled_at
    await change(uow, order.id, due_at=due_at, failures=live.failures + 1)


def _pause(failures: int) -> float:
    return min(_LONGEST_PAUSE, 2.0 ** min(failures, 10))
