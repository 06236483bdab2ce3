"""Where a session's orders go: to the simulation on paper, or to the exchange."""

from typing import Protocol

from gql_trader.bots.by_hand.resting import Resting, at_once
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.live.orders import placing
from gql_trader.bots.models import OrderRow, TradingSessionRow
from gql_trader.bots.quotes import Quote
from gql_trader.bots.types import OrderSide, OrderStatus, OrderType
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import to_exact
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.types import SessionMode


class Broker(Protocol):
    """Takes the orders of a session whose account is locked."""

    async def place(
        self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, quote: Quote, costs: ExecutionSpec
    ) -> None:
        """Take a new order that has been checked; what becomes of it may be known at once, or later."""

    async def cancel(self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reason: str) -> None:
        """Take back an order that waits; it may fill all the same until that is known."""


class PaperBroker:
    """Fills orders from stored candles."""

    async def place(
        self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, quote: Quote, costs: ExecutionSpec
    ) -> None:
        """Fill an order at the last close if that fills it; else let it wait."""
        now = to_milliseconds(uow.clock.now())
        hit, order.triggered = at_once(resting_of(order), quote.close, now, costs.slippage)
        if hit is not None:
            ledger.fill(order, hit, costs.taker_fee, quote)
        else:
            # The bar that is under way began before the order: it cannot tell what came after.
            order.status, order.tested_until = OrderStatus.OPEN.value, max(quote.until, now + 1)
            ledger.waiting.append(order)

    async def cancel(self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reason: str) -> None:
        """Cancel an order that waits."""
        order.status, order.reason = OrderStatus.CANCELLED.value, reason
        ledger.waiting.remove(order)


class LiveBroker:
    """Hands orders to the workers that talk to the exchange."""

    async def place(
        self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, quote: Quote, costs: ExecutionSpec
    ) -> None:
        """Have an order sent once this transaction has committed."""
        placing.stage(uow, ledger, order, to_exact(quote.close))

    async def cancel(self, uow: UnitOfWork, ledger: HandLedger, order: OrderRow, reason: str) -> None:
        """Cancel an order that was not sent; have the exchange asked to cancel one that was."""
        await placing.request_cancel(uow, ledger, order, reason)


_PAPER: Broker = PaperBroker()
_LIVE: Broker = LiveBroker()


def broker_of(session: TradingSessionRow) -> Broker:
    """Return where a session's orders go."""
    return _LIVE if session.mode == SessionMode.LIVE.value else _PAPER


def resting_of(order: OrderRow) -> Resting:
    """Return what decides when an order on paper fills."""
    return Resting(
        side=OrderSide(order.side),
        type=OrderType(order.type),
        price=order.price,
        stop_price=order.stop_price,
        triggered=order.triggered or False,
        tested_until=order.tested_until or 0,
    )
