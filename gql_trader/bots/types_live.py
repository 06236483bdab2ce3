"""Specs, enums and names of live trading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import Final
from uuid import UUID

from gql_trader.bots.types import OrderSide, OrderType
from gql_trader.exchange_keys.types import OpenedKey
from gql_trader.infra.exchange.orders import ExchangeOrder, Fill, OrderName

ORDERS_QUEUE: Final = "orders"
LIVE_ORDER: Final = "live_order"
LIVE_SESSION: Final = "live_session"

LEASE: Final = timedelta(seconds=120)
"""How long a worker may be at an order. What it sends, it sends within `LONGEST_CALL`."""
LONGEST_CALL: Final = 100.0
"""Seconds that talking to the exchange about an order takes, at most; shorter than the lease."""
FRESH: Final = timedelta(seconds=60)
"""An order that could not be sent this long after it was placed is not sent any more."""
LATE_LOOK: Final = timedelta(minutes=10)
"""After this the exchange is asked once more for an order that it did not have."""
LATE_FAILURES: Final = 10
"""If that fails so many times in a row, within about a quarter of an hour, it is given up."""
FORGETTINGS: Final = 5
"""An order that the exchange has had counts as gone after so many answers that it does not know it,"""
FORGOTTEN: Final = timedelta(minutes=5)
"""all of them, over at least this long."""


@dataclass(frozen=True, slots=True)
class LiveOrderSpec:
    """An order that a program, not a person, has placed in a live session.

    Attributes
    ----------
    quantity
        In the base currency, a multiple of the market's step.
    reference_price
        About what the market trades at.
    exit_reason
        Why it closes a position, as `gql_trader.engine.execution.ExitReason`; None if it opens one.
    """

    market_id: UUID
    side: OrderSide
    type: OrderType
    quantity: Decimal
    reference_price: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    exit_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A worker's right to act on an order, and all that it needs for that.

    Attributes
    ----------
    fence
        Fencing token: whatever the worker writes names it.
    sends
        Whether it has to send the order; else it asks for it, and has it cancelled if `cancels`.
    symbol
        ``BASE/QUOTE``.
    contracts
        Whether a contract on that pair is traded instead of the pair itself.
    closes
        Whether it makes a position smaller.
    booked
        How much of the order has been booked as filled.
    claimed_at
        When the worker took it.
    created_at
        When it was placed.
    exchange_order_id
        The exchange's id of it; None until it is known.
    witness
        If the key was rotated since it was sent: our id, and the exchange's, of an order filled before.
        An account that has that one is the same still. None: there is none, or no need of one.
    """

    order_id: UUID
    session_id: UUID
    fence: int
    sends: bool
    cancels: bool
    key: OpenedKey
    symbol: str
    contracts: bool
    closes: bool
    client_order_id: str
    side: OrderSide
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    reference_price: Decimal | None
    booked: Decimal
    claimed_at: datetime
    created_at: datetime
    exchange_order_id: str | None = None
    witness: tuple[str, str] | None = None

    def name(self, symbol: str) -> OrderName:
        """Return what the exchange finds the order by, under ccxt's symbol."""
        return OrderName(symbol, self.client_order_id, self.type.has_stop, self.exchange_order_id)


class Answer(Enum):
    """What a worker has learnt of an order."""

    FOUND = auto()
    """The exchange has it."""
    REFUSED = auto()
    """It was not placed, and will not be."""
    NOT_TAKEN = auto()
    """It was certainly not placed, and may be sent again."""
    ABSENT = auto()
    """The exchange was asked, and has not got it; its fills are told all the same if it had it before."""
    UNTOLD = auto()
    """Nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of asking the exchange.

    Attributes
    ----------
    message
        Why, a sentence for the user.
    retry_after
        Seconds that the exchange wants to be left alone.
    prices
        What third currencies of the fills' fees are worth in the quote currency.
    cancelled
        Whether the exchange, which has not got it any more, has just cancelled it; the fills are all then.
    same_account
        Whether the account that was asked has the task's witness.
    """

    answer: Answer
    order: ExchangeOrder | None = None
    fills: Sequence[Fill] = ()
    message: str = ""
    retry_after: float | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    cancelled: bool = False
    same_account: bool = False
