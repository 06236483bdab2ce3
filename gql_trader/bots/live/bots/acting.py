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
from gql_trader.bots.live.bots.ending import end, fail
from gql_trader.bots.live.bots.entering import enter, place
from gql_trader.bots.live.bots.stops import keep_stop
from gql_trader.bots.live.checks import amounts
from gql_trader.bots.live.exits import prepare, standing_stops
from gql_trader.bots.live.orders import following, placing
from gql_trader.bots.models import TradeRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.ticks.marking import looks_between
from gql_trader.bots.types import CLOSING, SessionStatus
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
    quantity = await amounts.tradable(uow, market, trade)
    if session.status == CLOSING:
        if not ledger.waiting and not quantity and await following.are_looked_for(uow, session.id):
            # One that was given up may have filled after all: then there is more to close.
            return
        await end(uow, ledger, live, market, trade, quantity)
    elif live.exiting is None:
        plan_check(uow, ledger, live, quantity)
        await keep_stop(uow, ledger, live, quantity)
    elif quantity:
        await _exit(uow, ledger, live, market, trade, quantity)
    elif await _awaits(uow, ledger, market, trade):
        return
    else:
        live.exiting = live.exit_at = live.best = live.check_at = None
        live.exit_orders = 0
        await _enter_next(uow, ledger, live, market)
    await uow.session.flush()


async def _enter_next(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, market: MarketRecord) -> None:
    """Open the position that the bar asked for that had another one closed, once that is done."""
    side, opening = live.entering, live.entering_at
    live.entering = live.entering_at = None
    if side is not None and opening is not None:
        await enter(uow, ledger, live, market, Side(side), opening)


async def _exit(
    uow: UnitOfWork,
    ledger: HandLedger,
    live: LiveBotRow,
    market: MarketRecord,
    trade: TradeRow | None,
    quantity: Decimal,
) -> None:
    """Go on with closing a position."""
    session = ledger.session
    exit_ = await prepare(uow, ledger, market.id, live.exit_orders, "Its position is being closed.")
    if exit_.problem is not None:
        await fail(uow, ledger, live, exit_.problem)
    elif exit_.may_place:
        live.exit_orders += exit_.counts
        key = f"bot:{session.id}:{live.exit_at}:exit:{ledger.orders + 1}"
        assert trade is not None, "something is held"
        assert live.exiting is not None, "and is to be closed"
        price = trade.mark_price or trade.entry_price
        side = closing_order(Side(trade.side))
        await place(uow, ledger, market, side, quantity, price, key, ExitReason(live.exiting))


async def _awaits(uow: UnitOfWork, ledger: HandLedger, market: MarketRecord, trade: TradeRow | None) -> bool:
    """Whether anything is still under way where nothing is left to be closed by an order at the market.

    The stop of what is worth too little for such an order stays: it closes it all the same.
    """
    stops = standing_stops(ledger, market.id)
    if stops and await amounts.whole_steps(uow, market, trade):
        return len(ledger.waiting) > len(stops)
    for order in stops:
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
