"""Orders, fills, balances and positions, in exact decimals."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "buy"
    SELL = "sell"


class OrderKind(StrEnum):
    """When and at what price an order is filled."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    """At the market, once the stop price is reached."""
    STOP_LIMIT = "STOP_LIMIT"
    """At the limit, once the stop price is reached."""

    @property
    def has_limit(self) -> bool:
        """Whether it has a price."""
        return self in {OrderKind.LIMIT, OrderKind.STOP_LIMIT}

    @property
    def has_stop(self) -> bool:
        """Whether it waits for a stop price."""
        return self in {OrderKind.STOP, OrderKind.STOP_LIMIT}


class OrderState(StrEnum):
    """What has become of an order at the exchange."""

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    """Also expired; what was filled before stays filled."""
    REJECTED = "REJECTED"


class MarginMode(StrEnum):
    """What answers for a leveraged position."""

    CROSS = "cross"
    ISOLATED = "isolated"


class Wallet(StrEnum):
    """A wallet of an account, by ccxt's name: for the currencies themselves, and for contracts."""

    SPOT = "spot"
    FUTURES = "swap"


def client_order_id(order: UUID) -> str:
    """Return the name that the exchange is given for an order of ours: 32 letters and digits.

    Binance takes 36 characters, OKX 32 without dashes, Kraken a UUID with or without them.
    """
    return order.hex


@dataclass(frozen=True, slots=True)
class OrderName:
    """What an order is found by.

    Attributes
    ----------
    waits_for_stop
        Whether it has a stop price: for contracts some exchanges keep such orders apart.
    exchange_id
        The exchange's own id of it; None: not known.
    """

    symbol: str
    client_order_id: str
    waits_for_stop: bool = False
    exchange_id: str | None = None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to be placed.

    Attributes
    ----------
    symbol
        ccxt's, such as ``BTC/USDT``, or ``BTC/USDT:USDT`` for a contract.
    amount
        In the base currency; on contracts as well.
    price, stop_price
        As the kind needs them.
    reference_price
        About what a market order is expected to cost for one; some exchanges want to be told.
    """

    symbol: str
    client_order_id: str
    side: Side
    kind: OrderKind
    amount: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    reference_price: Decimal | None = None

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("an order needs a positive amount")
        if (self.price is not None) != self.kind.has_limit:
            raise ValueError(f"a price does not fit, or is missing, with {self.kind}")
        if (self.stop_price is not None) != self.kind.has_stop:
            raise ValueError(f"a stop price does not fit, or is missing, with {self.kind}")

    @property
    def name(self) -> OrderName:
        """What it is found by."""
        return OrderName(self.symbol, self.client_order_id, self.kind.has_stop)


@dataclass(frozen=True, slots=True)
class Fee:
    """What the exchange took for a trade; negative if it paid."""

    amount: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class ExchangeOrder:
    """An order as the exchange knows it.

    Attributes
    ----------
    amount, filled
        In the base currency.
    average
        Mean price of what was filled; None if nothing was, or the exchange does not tell.
    fees
        As far as the exchange tells them with the order; its fills tell all.
    """

    id: str
    client_order_id: str | None
    symbol: str
    side: Side
    state: OrderState
    amount: Decimal
    filled: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    average: Decimal | None
    fees: tuple[Fee, ...]
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade of an order."""

    id: str
    order_id: str
    symbol: str
    side: Side
    price: Decimal
    amount: Decimal
    fee: Fee | None
    maker: bool | None
    time: datetime


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What an account paid or received for holding a contract.

    Attributes
    ----------
    id
        The exchange's, unique among an account's payments.
    amount
        Positive if it was received, negative if it was paid.
    """

    id: str
    symbol: str
    amount: Decimal
    currency: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """Funds of one currency; ``locked`` is what orders hold."""

    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """All of it."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class ExchangePosition:
    """A contract position; ``amount`` is in the base currency, positive for long and negative for short."""

    symbol: str
    amount: Decimal
    entry_price: Decimal | None
    unrealised_profit: Decimal | None
    leverage: Decimal | None
    margin_mode: MarginMode | None
    liquidation_price: Decimal | None
