"""Closing what a live session holds, at the market: the same for bots and for sessions by hand.

The stop that an exchange holds for a position stays until the order that takes its place may really be sent.
An order that is not taken is followed by another one, after a while and a few times; what is left then is
told.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, select

from gql_trader.bots.announcing import tell_not_closed
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.ledger.fills import sign_of
from gql_trader.bots.live.checks import doubts, markets, rights
from gql_trader.bots.live.orders import following, placing
from gql_trader.bots.live.orders.following import Rejected
from gql_trader.bots.models import OrderRow, TradeRow
from gql_trader.bots.models_live import LiveSessionRow
from gql_trader.bots.types import OrderStatus, OrderType
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.types import MarketRecord

MOST_CLOSINGS: Final = 3
"""How often an exchange is asked to close a position, each time after it is known what came of the last."""

AT_EXCHANGE: Final = frozenset({OrderStatus.OPEN.value, OrderStatus.PARTIALLY_FILLED.value})
UNREACHED: Final = 10
"""After so many orders that could not be sent, some minutes, it is told that a position is not closed yet."""

TOO_LITTLE: Final = "It is worth too little for an order of the market."

_STOPS = [each.value for each in OrderType if each.has_stop]
_ASK_AGAIN = timedelta(seconds=30)
"""An exchange that has not taken an order to close is asked again this long after: it may be out of order,
have halted the market, or not have unlocked yet what a stop had locked."""


@dataclass(frozen=True, slots=True)
class Exit:
    """Where the closing of a position stands; without anything, something is waited for.

    Attributes
    ----------
    may_place
        Whether an order that closes it may be placed now.
    counts
        Whether that one is one more that the exchange is asked to take.
    problem
        Why it cannot be closed, sentences; None: nothing says so yet.
    """

    may_place: bool = False
    counts: bool = False
    problem: str | None = None


async def prepare(uow: UnitOfWork, ledger: HandLedger, market_id: UUID, tried: int, reason: str) -> Exit:
    """Say whether a position may be closed by an order now; take its stops back once nothing else is missing.

    May be called any number of times: whatever is missing is asked again, and an exchange that was asked to
    cancel a stop is not asked again.

    Parameters
    ----------
    tried
        How many orders to close it the exchange was asked to take.
    reason
        Why stops are taken back, a sentence.
    """
    session = ledger.session
    if not await markets.is_compared(uow, session.id, market_id):
        # Its key was rotated: a worker compares the account again, and then this is asked again.
        return Exit()
    if (problem := await rights.problem_of_session(uow, session)) is not None:
        return Exit(problem=f"The position could not be closed. {problem}")
    waiting = [each for each in ledger.waiting if each.market_id == market_id]
    if not all(protects(ledger, each) for each in waiting):
        # What becomes of those decides on what there is to close.
        return Exit()
    rejected = await following.rejected_closing(uow, session.id, market_id)
    if _is_spent(rejected, tried):
        return Exit(problem=await _why_not_closed(uow, session.id, market_id))
    if _is_too_soon(uow.clock.now(), rejected):
        return Exit()
    for order in waiting:
        if order.cancel_requested_at is None:
            await placing.take_back(uow, ledger, order, reason)
    if any(each.market_id == market_id for each in ledger.waiting):
        return Exit()
    if rejected is not None and rejected.unsent:
        await _tell_unreached(uow, ledger, market_id)
        return Exit(may_place=True)
    return Exit(may_place=True, counts=True)


async def _tell_unreached(uow: UnitOfWork, ledger: HandLedger, market_id: UUID) -> None:
    """Tell, once, that an exchange has not been reached for long; the next order is placed with it."""
    session = ledger.session
    if await following.unsent_closings(uow, session.id, market_id) != UNREACHED:
        return
    market, _ = await market_data.market_with_base(uow, market_id)
    reason = (
        "It is to be closed, and the exchange has not been reached for some minutes: it is tried again every "
        "half minute. No stop of it is at the exchange meanwhile. Look at your account there."
    )
    await tell_not_closed(uow, session.user_id, session.id, market.name, reason)


def _is_spent(rejected: Rejected | None, orders: int) -> bool:
    """Whether so many orders to close are as many as an exchange is asked to take, if it was reached."""
    return orders >= MOST_CLOSINGS and (rejected is None or not rejected.unsent)


def _is_too_soon(now: datetime, rejected: Rejected | None) -> bool:
    """Whether an exchange that has not taken an order to close was asked just now."""
    return rejected is not None and now - rejected.placed_at < _ASK_AGAIN


async def _why_not_closed(uow: UnitOfWork, session_id: UUID, market_id: UUID) -> str:
    statement = (
        select(OrderRow.reason)
        .where(
            OrderRow.session_id == session_id,
            OrderRow.market_id == market_id,
            OrderRow.status == OrderStatus.REJECTED.value,
        )
        .order_by(OrderRow.number.desc())
        .limit(1)
    )
    told = await uow.session.scalar(statement)
    return f"The position could not be closed. {told or ''}".strip()


def protects(ledger: HandLedger, order: OrderRow) -> bool:
    """Whether an order is a stop that closes a position."""
    return order.type in _STOPS and ledger.closes(order)


def standing_stops(ledger: HandLedger, market_id: UUID) -> list[OrderRow]:
    """Return the stops of a position that were not taken back, also those not at the exchange yet."""
    return [
        each
        for each in ledger.waiting
        if each.market_id == market_id and each.cancel_requested_at is None and protects(ledger, each)
    ]


def is_untouched() -> ColumnElement[bool]:
    """Return the condition on orders that one is a stop which was not taken back."""
    return OrderRow.type.in_(_STOPS) & OrderRow.cancel_requested_at.is_(None)


def words_of_stop(stop: OrderRow) -> str:
    """Return the words for a stop that stays at the exchange."""
    assert stop.stop_price is not None
    return (
        f"Its stop at {stop.stop_price.normalize():f} stays at the exchange until it fills or you cancel it."
    )


async def words_of_position(
    uow: UnitOfWork, market: MarketRecord, trade: TradeRow | None, quantity: Decimal, who: str
) -> str:
    """Return the words for a position that is left.

    Parameters
    ----------
    who
        Whose it is: the bot, or the session.
    """
    amount = f"{quantity.normalize():f} of {market.symbol}"
    if trade is not None and sign_of(trade) < 0:
        amount = f"a short position of {amount}"
    if trade is not None and await _is_doubtful(uow, trade, market):
        return (
            f"{amount} is what the {who} took itself to hold; how much of it is in the account is not known."
        )
    return f"{amount} is still in the account."


async def _is_doubtful(uow: UnitOfWork, trade: TradeRow, market: MarketRecord) -> bool:
    """Whether a position may not be in the account any more."""
    if await doubts.doubt(uow, trade.session_id, market.id) is not None:
        return True
    held = await uow.session.get(LiveSessionRow, trade.session_id)
    if held is None or held.leverage is not None:
        return False
    # No look at an account tells how much of a currency is the session's: nor is it certain if a sale is
    # refused.
    rejected = await following.rejected_closing(uow, trade.session_id, market.id)
    return rejected is not None and rejected.refused
