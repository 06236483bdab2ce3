"""What a live bot does with its locked account: orders, each placed once, until the position is as it should.

Every decision is stored with the order that follows from it, in one transaction under the session's lock, and
whatever is placed waits until it is known what became of all before it. So a job may be killed anywhere and
run again, by any number of workers: it finds what was decided, and places nothing twice.
"""

from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from uuid import UUID

import structlog
from sqlalchemy import select

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots import lifecycle
from gql_trader.bots.announcing import tell_failed
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order, opening_order, sign_of
from gql_trader.bots.ledger.storing import lock_ledger, write_ledger
from gql_trader.bots.live.bots import rules
from gql_trader.bots.live.bots.entering import enter, place
from gql_trader.bots.live.bots.protection import Protection, protect
from gql_trader.bots.live.bots.rules import Holding
from gql_trader.bots.live.checks import doubts, markets
from gql_trader.bots.live.orders import states
from gql_trader.bots.live.sessions import MOST_CLOSINGS, detach, sellable
from gql_trader.bots.models import BotRow, OrderRow, TradeRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.ticks.marking import looks_between
from gql_trader.bots.types import CLOSING, STARTED, WAITING, BotState, OrderStatus, OrderType, SessionStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float, to_price
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord

_log = structlog.get_logger(__name__)

_AT_EXCHANGE = (OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value)

_NONE = -1
"""In place of a stop's number: the exchange has not taken one."""

_ASK_AGAIN = timedelta(seconds=30)
"""An exchange that could not be reached for a sale is asked again this long after."""


async def advance(uow: UnitOfWork, session_id: UUID) -> None:
    """Go on with a live bot's session after something has happened to its orders; again changes nothing."""
    locked = await lock_ledger(uow, session_id)
    if locked is None or (ledger := locked[1]) is None:
        return
    if (live := await uow.session.get(LiveBotRow, session_id, populate_existing=True)) is not None:
        await pursue(uow, ledger, live)


async def pursue(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow) -> None:
    """Do what a session's end, or a position's, asks for next; nothing while orders are under way."""
    session = ledger.session
    if session.status == SessionStatus.STOPPED.value:
        return
    assert session.market_id is not None, "bots trade one market"
    market, _ = await market_data.market_with_base(uow, session.market_id)
    trade = ledger.held.get(session.market_id)
    quantity = await tradable(uow, market, trade)
    if session.status == CLOSING:
        if not ledger.waiting and not quantity and await states.are_looked_for(uow, session.id):
            # One that was given up may have filled after all: then there is more to close.
            return
        await _end(uow, ledger, live, market, trade, quantity)
    elif live.exiting is None:
        plan_check(uow, ledger, live, quantity)
        await _protect(uow, ledger, live, quantity)
    elif await _awaits(uow, ledger):
        return
    elif not quantity:
        live.exiting = live.exit_at = live.best = live.check_at = None
        live.exit_orders = 0
        await _enter_next(uow, ledger, live, market)
    elif not await markets.is_compared(uow, session.id, session.market_id):
        # Nothing is sent until it has been, with the key as it is now; then this is asked again.
        return
    elif _is_too_soon(uow, unsent := await states.kept_from(uow, session.id)):
        return
    elif unsent is None and live.exit_orders >= MOST_CLOSINGS:
        await fail(uow, ledger, live, await _why_not_closed(uow, session.id))
    else:
        live.exit_orders += unsent is None
        key = f"bot:{session.id}:{live.exit_at}:exit:{ledger.orders + 1}"
        assert trade is not None
        price = trade.mark_price or trade.entry_price
        side = closing_order(Side(trade.side))
        await place(uow, ledger, market, side, quantity, price, key, ExitReason(live.exiting))
    await uow.session.flush()


async def _enter_next(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, market: MarketRecord) -> None:
    """Open the position that the bar asked for that had another one closed, once that is done."""
    side, opening = live.entering, live.entering_at
    live.entering = live.entering_at = None
    if side is not None and opening is not None:
        await enter(uow, ledger, live, market, Side(side), opening)


def _is_too_soon(uow: UnitOfWork, unsent: OrderRow | None) -> bool:
    """Whether an exchange that could not be reached for a sale was asked just now."""
    return unsent is not None and uow.clock.now() - unsent.created_at < _ASK_AGAIN


async def _awaits(uow: UnitOfWork, ledger: HandLedger) -> bool:
    """Take back the stops that lock what is to be sold; return whether anything is still under way."""
    for order in list(ledger.waiting):
        if order.type == OrderType.STOP.value and order.cancel_requested_at is None:
            await states.request_cancel(uow, ledger, order, "Its position is being closed.")
    return bool(ledger.waiting)


async def _protect(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, quantity: Decimal) -> None:
    """Have the exchange hold the stop of a position, where it takes one."""
    session = ledger.session
    assert session.market_id is not None
    stop: tuple[float, ExitReason] | None = None
    rounding = ROUND_CEILING
    if quantity and all(order.type == OrderType.STOP.value for order in ledger.waiting):
        held = await holding(uow, session.id, live.best)
        stop = rules.stop_of(execution_from_json(session.execution), held)
        rounding = ROUND_CEILING if held.side is Side.LONG else ROUND_FLOOR
    await uow.session.flush()
    for reason in (ExitReason.STOP_LOSS, ExitReason.TRAILING_STOP):
        # The one that is not the nearer any more goes first: it locks what the other one is to sell.
        if (stop is not None and stop[1] is reason) or not _stops(ledger, reason):
            continue
        if await protect(uow, session.id, session.market_id, None, reason) is not Protection.NONE:
            return
    if stop is not None:
        price = to_price(stop[0])
        if live.price_tick:
            # Not reached later than it should be.
            steps = (price / live.price_tick).to_integral_value(rounding)
            price = steps * live.price_tick
        await protect(uow, session.id, session.market_id, price, stop[1])


def _stops(ledger: HandLedger, reason: ExitReason) -> list[OrderRow]:
    return [
        each
        for each in ledger.waiting
        if each.type == OrderType.STOP.value and each.exit_reason == reason.value
    ]


def is_held_there(ledger: HandLedger) -> bool:
    """Whether the exchange holds a stop of the position."""
    return any(
        each.type == OrderType.STOP.value and each.cancel_requested_at is None and each.status in _AT_EXCHANGE
        for each in ledger.waiting
    )


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


async def tradable(uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None) -> Decimal:
    """Return how much of a position the market takes; what is too little to be closed counts as nothing."""
    if trade is None:
        return Decimal(0)
    quantity = sellable(market, trade.quantity, await markets.step_of(uow, trade.session_id, market.id))
    worth = quantity * (trade.mark_price or trade.entry_price)
    return quantity if worth >= (market.min_notional or 0) else Decimal(0)


def plan_check(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, quantity: Decimal) -> None:
    """Say when a position is looked at between closes; without one it is not."""
    session = ledger.session
    assert session.interval is not None, "bots have one"
    if not quantity:
        live.best = None
    if not quantity or not looks_between(Interval[session.interval], session.check_seconds):
        live.check_at = None
    elif live.check_at is None:
        live.check_at = uow.clock.now() + timedelta(seconds=session.check_seconds)


async def leave(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, reason: ExitReason) -> None:
    """Have a position closed, for the first reason that there is."""
    if live.exiting is None:
        live.exiting, live.exit_at = reason.value, to_milliseconds(uow.clock.now())
    await pursue(uow, ledger, live)


async def fail(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, reason: str) -> None:
    """Let a bot fail: what is held stays in the account, with its stop at the exchange; tell its user.

    What else waits is cancelled. The session ends with that stop. Even if it is doubtful whether all of it is
    still in the account the stop stays: it only ever reduces what is there.
    """
    session = ledger.session
    assert session.market_id is not None
    market, _ = await market_data.market_with_base(uow, session.market_id)
    trade = ledger.held.get(session.market_id)
    quantity = await tradable(uow, market, trade)
    if quantity:
        undone = "bought back" if trade and sign_of(trade) < 0 else "sold"
        reason += f" Nothing was {undone}: {await _told(uow, market, trade, quantity)}"
    stop = _left(ledger) if quantity else None
    if stop is not None and stop.status in _AT_EXCHANGE:
        reason += f" {_kept(stop)}"
    changed = await lifecycle.change_state(
        uow, BotRow.session_id == session.id, [*STARTED, BotState.STOPPING], BotState.FAILED, reason
    )
    for bot in changed:
        await tell_failed(uow, bot.user_id, bot.id, bot.name, reason)
    _log.warning("live_bot_failed", session_id=str(session.id))
    held = await uow.session.get_one(LiveSessionRow, session.id)
    held.close_positions, session.status = False, CLOSING
    live.check_at, live.left_stop = None, stop.number if stop else 0
    await uow.session.flush()
    await _end(uow, ledger, live, market, trade, quantity)


async def _why_not_closed(uow: UnitOfWork, session_id: UUID) -> str:
    statement = (
        select(OrderRow.reason)
        .where(OrderRow.session_id == session_id, OrderRow.status == OrderStatus.REJECTED.value)
        .order_by(OrderRow.number.desc())
        .limit(1)
    )
    told = await uow.session.scalar(statement)
    return f"The position could not be closed. {told or ''}".strip()


async def _told(uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None, quantity: Decimal) -> str:
    """Return the words for a position that is left."""
    amount = f"{quantity.normalize():f} of {market.symbol}"
    if trade is not None and sign_of(trade) < 0:
        amount = f"a short position of {amount}"
    if trade is not None and await doubts.doubt(uow, trade.session_id, market.id) is not None:
        return f"{amount} is what the bot took itself to hold; how much of it is in the account is not known."
    return f"{amount} is still in the account."


async def tell_more(uow: UnitOfWork, session_id: UUID, more: str) -> None:
    """Tell of what has become of a bot's position since it failed, once."""
    of_session = BotRow.session_id == session_id
    failed = select(BotRow.error).where(of_session, BotRow.state == BotState.FAILED.value)
    error = await uow.session.scalar(failed)
    if error is None or more in error:
        return
    error = f"{error} {more}"
    for bot in await lifecycle.change_state(uow, of_session, [BotState.FAILED], BotState.FAILED, error):
        await tell_failed(uow, bot.user_id, bot.id, bot.name, error)


def _left(ledger: HandLedger) -> OrderRow | None:
    """Return the stop that stays with the exchange after a bot has failed."""
    return next(
        (
            each
            for each in ledger.waiting
            if each.type == OrderType.STOP.value and each.cancel_requested_at is None
        ),
        None,
    )


def _kept(stop: OrderRow) -> str:
    assert stop.stop_price is not None
    return (
        f"Its stop at {stop.stop_price.normalize():f} stays at the exchange until it fills or you cancel it."
    )


async def _last_stop(uow: UnitOfWork, session_id: UUID) -> int | None:
    """Return the number of the stop of a session that waits."""
    statement = (
        select(OrderRow.number)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.type == OrderType.STOP.value,
            OrderRow.status.in_([each.value for each in WAITING]),
        )
        .limit(1)
    )
    return await uow.session.scalar(statement)


async def _tell_ended(uow: UnitOfWork, session_id: UUID, number: int, *, is_held: bool) -> None:
    """Tell what has become of the stop that a failed bot had left."""
    stop = (
        await uow.session.scalars(
            select(OrderRow).where(OrderRow.session_id == session_id, OrderRow.number == number)
        )
    ).one()
    if stop.status == OrderStatus.FILLED.value:
        assert stop.average_price is not None
        more = f"Its stop was filled at {stop.average_price.normalize():f}."
    elif not is_held:
        return
    else:
        more = f"It has no stop at the exchange. {stop.reason or ''}".strip()
    await tell_more(uow, session_id, more)


async def _end(
    uow: UnitOfWork,
    ledger: HandLedger,
    live: LiveBotRow,
    market: MarketRecord,
    trade: TradeRow | None,
    quantity: Decimal,
) -> None:
    """Go on with ending a session: cancel what waits, sell what is held if that was asked for, end it."""
    session = ledger.session
    held = await uow.session.get_one(LiveSessionRow, session.id, populate_existing=True)
    kept = _left(ledger) if quantity and live.left_stop is not None else None
    for order in list(ledger.waiting):
        if order is not kept and order.cancel_requested_at is None:
            await states.request_cancel(uow, ledger, order, "The bot was stopped.")
    if kept is not None:
        live.left_stop = kept.number
        if kept.status in _AT_EXCHANGE:
            await tell_more(uow, session.id, _kept(kept))
    if ledger.waiting:
        return
    if live.left_stop == 0 and quantity:
        # None was there when it failed; this is tried once.
        await _protect(uow, ledger, live, quantity)
        live.left_stop = await _last_stop(uow, session.id) or _NONE
        await uow.session.flush()
        if live.left_stop > 0:
            return
    wanted = bool(held.close_positions) and quantity > 0
    if wanted and not await markets.is_compared(uow, session.id, market.id):
        # Its key was rotated: a worker compares the account again, and then this is asked again.
        return
    unsent = await states.kept_from(uow, session.id) if wanted else None
    if _is_too_soon(uow, unsent):
        return
    if wanted and (unsent is not None or held.closings < MOST_CLOSINGS):
        assert trade is not None
        held.closings += unsent is None
        price = trade.mark_price or trade.entry_price
        key = f"bot:{session.id}:close:{ledger.orders + 1}"
        side = closing_order(Side(trade.side))
        await place(uow, ledger, market, side, quantity, price, key, ExitReason.END_OF_DATA)
        return
    if wanted:
        await fail(uow, ledger, live, await _why_not_closed(uow, session.id))
        return
    if quantity and await doubts.awaits_looks(uow, session.id, market.id):
        # Once it has ended, nobody would book what has become of it.
        return
    session.status, session.ended_at = SessionStatus.STOPPED.value, uow.clock.now()
    await write_ledger(uow, ledger)
    of_session = BotRow.session_id == session.id
    ending = [*STARTED, BotState.STOPPING]
    await lifecycle.change_state(uow, of_session, ending, BotState.STOPPED)
    if quantity:
        await tell_more(uow, session.id, await _told(uow, market, trade, quantity))
    if live.left_stop is not None and live.left_stop > 0:
        await _tell_ended(uow, session.id, live.left_stop, is_held=bool(quantity))
    await uow.session.delete(live)
    await uow.session.flush()
    await detach(uow, session.id)
