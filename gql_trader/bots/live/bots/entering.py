"""The orders of live bots: each placed once under a key that follows from what it is for."""

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import select, update

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import opening_order
from gql_trader.bots.ledger.storing import add_order
from gql_trader.bots.live.bots import rules
from gql_trader.bots.live.checks.amounts import sellable
from gql_trader.bots.live.orders import placing
from gql_trader.bots.models import GuardRow, OrderRow, SessionStateRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import OrderRequest, OrderSide, OrderType
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_exact
from gql_trader.engine.execution import ExecutionSpec, ExitReason, Side
from gql_trader.engine.results import GuardFigures
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.types import MarketRecord

_LATE = timedelta(minutes=15)
"""This long after a close its price says nothing any more about what a position costs."""


async def place(
    uow: UnitOfWork,
    ledger: HandLedger,
    market: MarketRecord,
    side: OrderSide,
    quantity: Decimal,
    price: Decimal,
    key: str,
    reason: ExitReason | None = None,
) -> OrderRow | None:
    """Place a market order under a key that follows from what it is for; None if that was done before.

    Parameters
    ----------
    price
        About what the market trades at.
    reason
        Why it closes a position; None: it opens one.
    """
    session = ledger.session
    known = select(OrderRow.id).where(OrderRow.user_id == session.user_id, OrderRow.idempotency_key == key)
    if await uow.session.scalar(known) is not None:
        return None
    request = OrderRequest(
        session.id, "", side, OrderType.MARKET, quantity, key, reduce_only=reason is not None
    )
    order = add_order(uow, ledger, request, market.id)
    # The database refuses a second one, whatever happens.
    order.idempotency_key = key
    order.exit_reason = None if reason is None else reason.value
    placing.stage(uow, ledger, order, price)
    await uow.session.flush()
    return order


def is_fresh(uow: UnitOfWork, interval: Interval, opening: int) -> bool:
    """Whether a bar is the newest that has closed, and its close recent enough to open a position at."""
    now, closing = to_milliseconds(uow.clock.now()), opening + interval.milliseconds
    return opening == interval.floor(now) - interval.milliseconds and (
        uow.clock.now() - from_milliseconds(closing) <= _LATE
    )


async def enter(
    uow: UnitOfWork,
    ledger: HandLedger,
    live: LiveBotRow,
    market: MarketRecord,
    side: Side,
    opening: int,
) -> None:
    """Open a position for what a bar has said, if the guards, the means and the market let it.

    Nothing may be held or under way.

    Parameters
    ----------
    opening
        When the bar opened, Unix milliseconds; a bar opens one position at most.
    """
    session = ledger.session
    assert session.interval is not None, "bots have one"
    interval, spec = Interval[session.interval], execution_from_json(session.execution)
    if not is_fresh(uow, interval, opening):
        return
    state = await uow.session.get_one(SessionStateRow, session.id)
    if state.last_close is None or not rules.may_enter(spec, figures_of(state)):
        return
    wanted = rules.quantity_to_enter(spec, side, ledger.free_cash, state.last_close, market.amount_precision)
    if live.amount_step:
        wanted = wanted // live.amount_step * live.amount_step
    price = to_exact(state.last_close)
    least = max(market.min_amount or Decimal(0), live.least_amount or Decimal(0))
    cost = max(market.min_notional or Decimal(0), live.least_cost or Decimal(0))
    if not wanted or wanted < least or wanted * price < cost:
        return
    if not ledger.contracts and not _can_be_closed(
        spec, market, wanted, price, live.amount_step, least, cost
    ):
        return
    order_key = f"bot:{session.id}:{opening}:enter"
    if await place(uow, ledger, market, opening_order(side), wanted, price, order_key):
        state.day_entries += 1
        await uow.session.flush()
        await uow.session.execute(
            update(GuardRow)
            .where(GuardRow.session_id == session.id, GuardRow.time == opening)
            .values(day_entries=state.day_entries)
            .execution_options(synchronize_session=False)
        )


def _can_be_closed(
    spec: ExecutionSpec,
    market: MarketRecord,
    quantity: Decimal,
    price: Decimal,
    step: Decimal | None,
    least: Decimal,
    cost: Decimal,
) -> bool:
    """Whether what is bought of a currency can be sold again, at its stop too.

    Exchanges take their fee of what is bought, and no order that is worth too little, whatever it is for.
    """
    left = sellable(market, quantity * (1 - to_exact(spec.taker_fee)), step)
    return left > 0 and left >= least and left * price * (1 - to_exact(spec.stop_loss or 0.0)) >= cost


def figures_of(state: SessionStateRow) -> GuardFigures:
    """Return what a session's guards count."""
    return GuardFigures(
        day=state.day,
        day_start_equity=state.day_start_equity,
        day_entries=state.day_entries,
        halted=state.halted,
        resting_bars=state.resting_bars,
        peak_equity=state.peak_equity,
        drawn_down=state.drawn_down,
    )


def note_figures(state: SessionStateRow, figures: GuardFigures) -> None:
    """Write down what a session's guards count."""
    state.day, state.day_start_equity = figures.day, figures.day_start_equity
    state.day_entries, state.halted = figures.day_entries, figures.halted
    state.resting_bars = figures.resting_bars
    state.peak_equity, state.drawn_down = figures.peak_equity, figures.drawn_down
