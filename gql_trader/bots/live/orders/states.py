"""The states of live orders and who may change them. An order is never sent twice.

::

    NEW ──claim──> UNKNOWN ──answer──> OPEN, PARTIALLY_FILLED ──> FILLED, CANCELLED
     ^                │ ├────────────> REJECTED: refused, or not there once it can no longer arrive
     └─ not taken ────┘ └──> asked for again, never sent again

An order is stored before anything is sent. A worker claims it under a lease with a fencing token; the claim
turns NEW into UNKNOWN and commits before the exchange hears of it. So whoever finds it UNKNOWN knows that
it may have been sent, and only ever asks for it by its client order id. It becomes NEW again only if the
exchange has certainly not taken it: too many requests, a wrong clock, no connection.

Whoever changes an order locks its session first. Leases are measured by the database's clock.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Row, Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts.models import UserRow
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import Filled
from gql_trader.bots.ledger.storing import add_order, lock_ledger, write_ledger
from gql_trader.bots.live.checks import markets, rights
from gql_trader.bots.live.checks.sides import problem_of_side
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import LiveOrderRow, LiveSessionRow, OrderFillRow
from gql_trader.bots.types import WAITING, OrderRequest, OrderSide, OrderStatus, OrderType, SessionStatus
from gql_trader.bots.types_live import (
    FORGETTINGS,
    FORGOTTEN,
    FRESH,
    LATE_FAILURES,
    LATE_LOOK,
    LEASE,
    LIVE_ORDER,
    LIVE_SESSION,
    ORDERS_QUEUE,
    Answer,
    LiveOrderSpec,
    Outcome,
    Task,
)
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import InvalidState
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.engine.execution import Side
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.infra.exchange.orders import Fee, OrderState
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.settings.types import SessionMode

_log = structlog.get_logger(__name__)

SWEEP_ORDERS = 500
"""Most orders that are handed out in one look."""
_LONGEST_PAUSE = 300.0
_NOTHING = Decimal(0)
_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_WAITING = frozenset(each.value for each in WAITING)
_AT_EXCHANGE = frozenset({OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value})
_STATES = {
    OrderState.OPEN: OrderStatus.OPEN,
    OrderState.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    OrderState.FILLED: OrderStatus.FILLED,
    OrderState.CANCELLED: OrderStatus.CANCELLED,
    OrderState.REJECTED: OrderStatus.REJECTED,
}


def order_job(order_id: UUID) -> Job:
    """Return the job that sends an order, or finds out what has become of it."""
    return Job(LIVE_ORDER, ORDERS_QUEUE, f"{LIVE_ORDER}:{order_id}", (str(order_id),))


def session_job(session_id: UUID) -> Job:
    """Return the job that goes on with a live session after something has happened to its orders."""
    return Job(LIVE_SESSION, ORDERS_QUEUE, f"{LIVE_SESSION}:{session_id}", (str(session_id),))


def stage(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reference_price: Decimal) -> None:
    """Have a new order sent once this transaction has committed."""
    order.client_order_id = order.id.hex
    uow.session.add(
        LiveOrderRow(
            order_id=order.id,
            fence=0,
            due_at=_now(),
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
        await _set(uow, order.id, due_at=None)
        return
    if order.cancel_requested_at is None:
        order.cancel_requested_at = uow.clock.now()
        await _set(uow, order.id, due_at=_now(), cancel_reason=reason)
    uow.enqueue(order_job(order.id))


async def give_up(uow: UnitOfWork, session_id: UUID) -> None:
    """Let nobody ask for a session's orders any more; a worker that is at one writes nothing."""
    await uow.session.execute(
        update(LiveOrderRow)
        .where(LiveOrderRow.order_id.in_(_followed(session_id)))
        .values(due_at=None, lease_expires_at=None, fence=LiveOrderRow.fence + 1)
        .execution_options(synchronize_session=False)
    )


async def are_looked_for(uow: UnitOfWork, session_id: UUID) -> bool:
    """Return whether the exchange is still to be asked for orders of a session, if only once more, late."""
    await uow.session.flush()
    return await uow.session.scalar(_followed(session_id).limit(1)) is not None


async def let_go(uow: UnitOfWork, session_id: UUID) -> None:
    """Let go of the key of a session that has ended, once none of its orders is looked for any more."""
    if not await are_looked_for(uow, session_id):
        await uow.session.execute(delete(LiveSessionRow).where(LiveSessionRow.session_id == session_id))


def _followed(session_id: UUID) -> Select[UUID]:
    return (
        select(LiveOrderRow.order_id)
        .join(OrderRow, OrderRow.id == LiveOrderRow.order_id)
        .where(OrderRow.session_id == session_id, LiveOrderRow.due_at.is_not(None))
    )


async def kept_from(uow: UnitOfWork, session_id: UUID) -> OrderRow | None:
    """Return the last order of a session to close a position at the market if the exchange was not reached.

    Such an order was rejected here, for no worker came to it in time, or for the exchange did not answer; it
    has certainly not taken it, and has not refused it either.
    """
    found = (
        await uow.session.execute(
            select(OrderRow, LiveOrderRow.sent_at, LiveOrderRow.failures)
            .join(LiveOrderRow, LiveOrderRow.order_id == OrderRow.id)
            .where(
                OrderRow.session_id == session_id,
                OrderRow.reduce_only,
                OrderRow.type == OrderType.MARKET.value,
            )
            .order_by(OrderRow.number.desc())
            .limit(1)
        )
    ).one_or_none()
    if found is None or found.sent_at is not None or not found.failures:
        return None
    order: OrderRow = found.OrderRow
    return order if order.status == OrderStatus.REJECTED.value else None


async def reference_prices(uow: UnitOfWork, orders: Sequence[OrderRow]) -> dict[UUID, Decimal]:
    """Return about what the markets of some orders traded at when they were placed, by order."""
    rows = await uow.session.execute(
        select(LiveOrderRow.order_id, LiveOrderRow.reference_price).where(
            LiveOrderRow.order_id.in_([each.id for each in orders]),
            LiveOrderRow.reference_price.is_not(None),
        )
    )
    return {row.order_id: row.reference_price for row in rows}


async def due(uow: UnitOfWork) -> list[UUID]:
    """Return the orders that a worker should be at and none is."""
    statement = (
        select(LiveOrderRow.order_id)
        .where(LiveOrderRow.due_at <= _now(), _free())
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
            .where(LiveOrderRow.order_id == order_id, LiveOrderRow.due_at <= _now(), _free())
            .values(fence=LiveOrderRow.fence + 1, lease_expires_at=_now() + LEASE)
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
        await _finish(uow, order_id)
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
            await _set(uow, order_id, failures=LiveOrderRow.failures + 1)
        elif not await markets.is_compared(uow, session_id, order.market_id):
            problem = problem or "The account at the exchange was not compared with this key."
        if problem is not None:
            await _reject(uow, order, f"{problem} Nothing was sent.")
            return None
        order.status = OrderStatus.UNKNOWN.value
        await uow.session.flush()
        await _set(uow, order_id, sent_at=_now(), key_version=key.record.version)
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
    )


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
            .returning(*LiveOrderRow.__table__.c, _now().label("now"))
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
            await _set(uow, order.id, key_version=task.key.record.version)
        case Answer.REFUSED:
            log.info("live_order_refused")
            await _reject(uow, order, outcome.message)
        case Answer.NOT_TAKEN:
            await _put_back(uow, order, live, outcome)
        case Answer.ABSENT:
            await _not_there(uow, ledger, order, live, task, outcome)
        case Answer.UNTOLD:
            log.warning("live_order_untold", sent=task.sends, failures=live.failures + 1)
            if order.status not in _WAITING and live.failures + 1 >= LATE_FAILURES:
                await _finish(uow, order.id)
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
    elsewhere = await _book(uow, ledger, order, outcome)
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
            await _set(uow, order.id, cancel_reason="It arrived at the exchange after it had been given up.")
        pause = poll if settled else min(_pause(live.failures), poll)
        wants_cancel = order.cancel_requested_at is not None
        await _set(
            uow,
            order.id,
            due_at=_now() + timedelta(seconds=min(pause, 1.0) if wants_cancel else pause),
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
    await _finish(uow, order.id)


async def _book(uow: UnitOfWork, ledger: HandLedger, order: OrderRow, outcome: Outcome) -> Decimal:
    """Book the fills that are not booked yet; return how much of them was booked for other orders.

    What fills after an order was given up may have been taken for a closing there, `accounts.vanished`.
    """
    assert order.market_id is not None
    statement = (
        select(OrderFillRow.fill_id, OrderFillRow.order_id)
        .join(OrderRow, OrderRow.id == OrderFillRow.order_id)
        # The exchange's ids are those of a market.
        .where(OrderRow.session_id == order.session_id, OrderRow.market_id == order.market_id)
    )
    known, others = set(), set()
    for row in await uow.session.execute(statement):
        known.add(row.fill_id)
        if row.order_id != order.id:
            others.add(row.fill_id)
    market, base = await market_data.market_with_base(uow, order.market_id)
    quote = market.symbol.partition("/")[2]
    for fill in sorted(outcome.fills, key=lambda each: (each.time, each.id)):
        if fill.id in known:
            continue
        known.add(fill.id)
        worth, base_fee = worth_of(fill.fee, quote, outcome.prices), _NOTHING
        if fill.fee is not None and fill.fee.currency == base.symbol and not ledger.contracts:
            worth, base_fee = _NOTHING, fill.fee.amount
        time = to_milliseconds(fill.time)
        booked = Filled(fill.amount, fill.price, time, worth or _NOTHING, base_fee)
        cash = ledger.book(order, booked)
        trade = ledger.held.get(order.market_id)
        if trade is not None and trade.marked_until is None:
            trade.marked_until = time
        await uow.session.execute(
            insert(OrderFillRow).values(
                order_id=order.id,
                fill_id=fill.id,
                session_id=order.session_id,
                price=fill.price,
                quantity=fill.amount,
                fee=fill.fee.amount if fill.fee else None,
                fee_currency=fill.fee.currency if fill.fee else None,
                fee_worth=None if worth is None else worth + booked.base_fee_worth,
                maker=fill.maker,
                cash=cash,
                time=fill.time,
            )
        )
    if ledger.told:
        await write_ledger(uow, ledger)
    return sum((each.amount for each in outcome.fills if each.id in others), _NOTHING)


def worth_of(fee: Fee | None, quote: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what a fee is counted as in the quote currency; None if nobody knows.

    Parameters
    ----------
    prices
        Of third currencies.
    """
    if fee is None:
        return _NOTHING
    if fee.currency == quote:
        return fee.amount
    price = prices.get(fee.currency)
    return None if price is None else (fee.amount * price).quantize(_CENT)


async def _put_back(uow: UnitOfWork, order: OrderRow, live: Row[Any], outcome: Outcome) -> None:
    """Let an order be sent again that the exchange has certainly not taken, if it is not too late then."""
    pause = max(outcome.retry_after or 0.0, _pause(live.failures))
    if order.cancel_requested_at is not None:
        order.status, order.reason = OrderStatus.CANCELLED.value, live.cancel_reason
        await _finish(uow, order.id)
    elif uow.clock.now() + timedelta(seconds=pause) - order.created_at > FRESH:
        await _reject(uow, order, f"{outcome.message} It was not placed.")
        await _set(uow, order.id, sent_at=None, failures=live.failures + 1)
    else:
        order.status = OrderStatus.NEW.value
        await _set(
            uow,
            order.id,
            due_at=_now() + timedelta(seconds=pause),
            failures=live.failures + 1,
            sent_at=None,
        )


async def _not_there(
    uow: UnitOfWork, ledger: HandLedger, order: OrderRow, live: Row[Any], task: Task, outcome: Outcome
) -> None:
    """Reject an order that the exchange has not got, once it can no longer arrive there."""
    if outcome.cancelled:
        await _book(uow, ledger, order, outcome)
        is_filled = order.filled_quantity >= order.quantity
        order.status = (OrderStatus.FILLED if is_filled else OrderStatus.CANCELLED).value
        order.reason = None if is_filled else live.cancel_reason or "The exchange has cancelled it."
        await _finish(uow, order.id)
    elif order.status not in _WAITING:
        await _finish(uow, order.id)
    elif order.status in _AT_EXCHANGE and live.key_version == task.key.record.version:
        await _forgotten(uow, ledger, order, live, outcome)
    elif order.status == OrderStatus.UNKNOWN.value and live.key_version == task.key.record.version:
        if live.now - live.sent_at < LEASE:
            await _ask_again(uow, order, live)
            return
        order.reason = "No answer came when it was sent, and the exchange has not got it: it was not placed."
        order.status = OrderStatus.REJECTED.value
        # Should a worker that was asleep have sent it after all, it is found.
        await _set(uow, order.id, due_at=_now() + LATE_LOOK, failures=0)
    else:
        # Another account's key: nothing that may be concluded from.
        _log.warning("live_order_absent", order_id=str(order.id), status=order.status)
        await _set(
            uow,
            order.id,
            due_at=_now() + timedelta(seconds=_pause(live.failures)),
            failures=live.failures + 1,
        )


async def _forgotten(
    uow: UnitOfWork, ledger: HandLedger, order: OrderRow, live: Row[Any], outcome: Outcome
) -> None:
    """Count that an exchange does not know an order which it has had; after enough such answers it is over.

    What it has filled is booked each time. Before it counts as over, the exchange is told to cancel it: some
    do not tell of old orders that are open. Should it remember the order later, it is cancelled there.
    """
    await _book(uow, ledger, order, outcome)
    if order.filled_quantity >= order.quantity:
        order.status, order.reason = OrderStatus.FILLED.value, None
        await _finish(uow, order.id)
        return
    if order.filled_quantity:
        order.status = OrderStatus.PARTIALLY_FILLED.value
    absences, since = live.absences + 1, live.absent_since or live.now
    _log.warning("live_order_forgotten", order_id=str(order.id), status=order.status, absences=absences)
    if absences < FORGETTINGS or live.now - since < FORGOTTEN:
        due_at = live.now + timedelta(seconds=min(_pause(absences), 60.0))
        await _set(uow, order.id, due_at=due_at, absences=absences, absent_since=since)
        return
    minutes = round((live.now - since).total_seconds() / 60)
    reason = (
        f"The exchange does not know it any more: it was asked {absences} times within {minutes} minutes."
    )
    if order.cancel_requested_at is None:
        order.cancel_requested_at = uow.clock.now()
        await _set(uow, order.id, due_at=_now(), absences=absences, absent_since=since, cancel_reason=reason)
        uow.enqueue(order_job(order.id))
        return
    order.status, order.reason = OrderStatus.CANCELLED.value, reason
    await _set(uow, order.id, due_at=_now() + LATE_LOOK, failures=0)


async def _ask_again(uow: UnitOfWork, order: OrderRow, live: Row[Any]) -> None:
    due_at = live.now + timedelta(seconds=_pause(live.failures))
    if order.status == OrderStatus.UNKNOWN.value and live.sent_at is not None:
        # Once more when it can be told that it will never be there, and before that now and then.
        settled_at = live.sent_at + LEASE
        if live.now < settled_at < due_at:
            due_at = settled_at
    await _set(uow, order.id, due_at=due_at, failures=live.failures + 1)


async def _reject(uow: UnitOfWork, order: OrderRow, reason: str) -> None:
    order.status, order.reason = OrderStatus.REJECTED.value, reason
    await uow.session.flush()
    await _finish(uow, order.id)
    uow.enqueue(session_job(order.session_id))


async def _finish(uow: UnitOfWork, order_id: UUID) -> None:
    await _set(uow, order_id, due_at=None, lease_expires_at=None)


async def _set(uow: UnitOfWork, order_id: UUID, **values: Any) -> None:
    await uow.session.execute(
        update(LiveOrderRow)
        .where(LiveOrderRow.order_id == order_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


async def _locked(uow: UnitOfWork, session_id: UUID) -> TradingSessionRow:
    statement = select(TradingSessionRow).where(TradingSessionRow.id == session_id).with_for_update()
    found = await uow.session.scalar(statement.execution_options(populate_existing=True))
    assert found is not None, "the foreign key keeps it"
    return found


def _pause(failures: int) -> float:
    return min(_LONGEST_PAUSE, 2.0 ** min(failures, 10))


def _now() -> ColumnElement[Any]:
    return func.clock_timestamp()


def _free() -> ColumnElement[bool]:
    return or_(LiveOrderRow.lease_expires_at.is_(None), LiveOrderRow.lease_expires_at < _now())
