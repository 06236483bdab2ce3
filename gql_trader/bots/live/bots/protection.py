"""Stops that the exchange holds for the positions of programs: placed, moved and taken back with them.

An exchange locks what an order closes, so that a stop is moved by cancelling it first: for the moments
between, nothing at the exchange protects the position.
"""

from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import select

from gql_trader.bots.ledger.fills import closing_order
from gql_trader.bots.ledger.storing import lock_ledger
from gql_trader.bots.live.checks import markets
from gql_trader.bots.live.checks.amounts import sellable
from gql_trader.bots.live.orders import placing
from gql_trader.bots.models import OrderRow
from gql_trader.bots.types import OrderStatus, OrderType
from gql_trader.bots.types_live import LiveOrderSpec
from gql_trader.engine.execution import ExitReason, Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data


class Protection(Enum):
    """Whether a position is protected."""

    HELD = auto()
    """The exchange holds its stop."""
    PENDING = auto()
    """It is being placed, moved or taken back: ask again with the session's next job."""
    REFUSED = auto()
    """The exchange does not take it: watch the price instead."""
    NONE = auto()
    """There is nothing to protect, and no stop."""


_REFUSED = timedelta(minutes=5)
"""What was refused is tried again after this: it may not have been sent, or the price has moved."""

_AT_EXCHANGE = (OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value)


async def protect(
    uow: UnitOfWork,
    session_id: UUID,
    market_id: UUID,
    stop_price: Decimal | None,
    reason: ExitReason = ExitReason.STOP_LOSS,
) -> Protection:
    """Bring the stop of a live session's position to a price, for all that is held; say how it stands.

    Only this function's orders with the same reason are touched. May be called any number of times, by any
    number of workers: the session is locked, and what is there already is left alone.

    Parameters
    ----------
    stop_price
        Where to close it at the market; rounded to the market's steps, so that it is not reached later. None:
        without a stop.
    """
    locked = await lock_ledger(uow, session_id)
    if locked is None or (ledger := locked[1]) is None:
        return Protection.NONE
    market, _ = await market_data.market_with_base(uow, market_id)
    trade = ledger.held.get(market_id)
    is_long = trade is None or trade.side == Side.LONG.value
    # What other orders close is not there to be protected.
    promised = sum(
        (
            each.quantity - each.filled_quantity
            for each in ledger.waiting
            if each.market_id == market_id and ledger.closes(each) and each.exit_reason != reason.value
        ),
        Decimal(0),
    )
    quantity = Decimal(0)
    if trade is not None:
        step = await markets.step_of(uow, session_id, market_id)
        free = max(trade.quantity - promised, Decimal(0))
        quantity = sellable(market, free, step, contracts=ledger.contracts)
    wanted = None
    if stop_price is not None and quantity:
        rounding = ROUND_CEILING if is_long else ROUND_FLOOR
        wanted = stop_price.quantize(Decimal(1).scaleb(-market.price_precision), rounding=rounding)
    stops = [
        each
        for each in ledger.waiting
        if each.market_id == market_id
        and each.type == OrderType.STOP.value
        and each.exit_reason == reason.value
    ]
    for each in stops:
        fits = each.stop_price == wanted and each.quantity - each.filled_quantity == quantity
        if not fits and each.cancel_requested_at is None:
            await placing.request_cancel(uow, ledger, each, "Its position or its stop has changed.")
    left = [each for each in stops if each in ledger.waiting]
    if left:
        fits = len(left) == 1 and left[0].cancel_requested_at is None and left[0].status in _AT_EXCHANGE
        return Protection.HELD if fits else Protection.PENDING
    if wanted is None or trade is None:
        return Protection.NONE
    last = await uow.session.scalar(
        select(OrderRow)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.market_id == market_id,
            OrderRow.exit_reason == reason.value,
            OrderRow.type == OrderType.STOP.value,
        )
        .order_by(OrderRow.number.desc())
        .limit(1)
    )
    if (
        last is not None
        and last.status == OrderStatus.REJECTED.value
        and last.stop_price == wanted
        and last.quantity == quantity
        and uow.clock.now() - last.created_at < _REFUSED
    ):
        return Protection.REFUSED
    assert trade.mark_price is not None, "live trades are valued from their first fill on"
    spec = LiveOrderSpec(
        market_id=market_id,
        side=closing_order(Side(trade.side)),
        type=OrderType.STOP,
        quantity=quantity,
        reference_price=trade.mark_price,
        stop_price=wanted,
        exit_reason=reason.value,
    )
    await placing.submit(uow, session_id, spec, f"stop:{trade.id}:{ledger.orders + 1}")
    return Protection.PENDING
