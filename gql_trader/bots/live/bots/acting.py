"""What a live bot does with its locked account: orders, each placed once, until the position is as it should.

Every decision is stored with the order that follows from it, in one transaction under the session's lock, and
whatever is placed waits until it is known what became of all before it. So a job may be killed anywhere and
run again, by any number of workers: it finds what was decided, and places nothing twice.
"""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import closing_order
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live.bots.ending import end, fail, is_spent, is_too_soon, why_not_closed
from gql_trader.bots.live.bots.entering import enter, place
from gql_trader.bots.live.bots.positions import tradable
from gql_trader.bots.live.bots.stops import keep_stop
from gql_trader.bots.live.checks import markets, rights
from gql_trader.bots.live.orders import following, placing
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.ticks.marking import looks_between
from gql_trader.bots.types import CLOSING, OrderType, SessionStatus
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord


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
        if not ledger.waiting and not quantity and await following.are_looked_for(uow, session.id):
            # One that was given up may have filled after all: then there is more to close.
            return
        await end(uow, ledger, live, market, trade, quantity)
    elif live.exiting is None:
        plan_check(uow, ledger, live, quantity)
        await keep_stop(uow, ledger, live, quantity)
    elif quantity and not await markets.is_compared(uow, session.id, session.market_id):
        # Nothing is taken back or sent until it has been, with the key as it is now; then it is asked again.
        return
    elif quantity and (problem := await rights.problem_of_session(uow, session)) is not None:
        # What holds the position's stop is not taken back for an order that would not be sent.
        await fail(uow, ledger, live, f"The position could not be closed. {problem}")
    elif await _awaits(uow, ledger):
        return
    elif not quantity:
        live.exiting = live.exit_at = live.best = live.check_at = None
        live.exit_orders = 0
        await _enter_next(uow, ledger, live, market)
    elif is_spent(rejected := await following.rejected_closing(uow, session.id), live.exit_orders):
        await fail(uow, ledger, live, await why_not_closed(uow, session.id))
    elif is_too_soon(uow, rejected):
        return
    else:
        live.exit_orders += rejected is None or not rejected.unsent
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


async def _awaits(uow: UnitOfWork, ledger: HandLedger) -> bool:
    """Take back the stops that lock what is to be sold; return whether anything is still under way."""
    for order in list(ledger.waiting):
        if order.type == OrderType.STOP.value and order.cancel_requested_at is None:
            await placing.request_cancel(uow, ledger, order, "Its position is being closed.")
    return bool(ledger.waiting)


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
