"""The stop of a live bot's position: which it is, and that the exchange holds it."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from gql_trader.backtests.execution import execution_from_json
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.live.bots import rules
from gql_trader.bots.live.bots.positions import holding
from gql_trader.bots.live.bots.protection import Protection, protect
from gql_trader.bots.live.checks import amounts, markets, rights
from gql_trader.bots.models import OrderRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import OrderStatus, OrderType
from gql_trader.core.money import to_price
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data

_AT_EXCHANGE = (OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value)


async def keep_stop(uow: UnitOfWork, ledger: HandLedger, live: LiveBotRow, quantity: Decimal) -> None:
    """Have the exchange hold the stop of a position, where it takes one."""
    session = ledger.session
    assert session.market_id is not None
    if is_held_there(ledger) and not await _may_move(uow, ledger, quantity):
        return
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


async def _may_move(uow: UnitOfWork, ledger: HandLedger, quantity: Decimal) -> bool:
    """Whether a stop that the exchange holds may be taken back for another one, or for none.

    Not for one that would not be sent, nor because the position is worth too little for new orders by now:
    what waits there closes it all the same.
    """
    session = ledger.session
    assert session.market_id is not None
    trade = ledger.held.get(session.market_id)
    if trade is None:
        return True
    if not quantity:
        market, _ = await market_data.market_with_base(uow, session.market_id)
        return not await amounts.whole_steps(uow, market, trade)
    if not await markets.is_compared(uow, session.id, session.market_id):
        return False
    return await rights.problem_of_session(uow, session) is None


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
