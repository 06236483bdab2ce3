"""What fills orders, on paper or at an exchange, and which side of an order does what."""

from dataclasses import dataclass
from decimal import Decimal

from gql_trader.bots.models import TradeRow
from gql_trader.bots.types import OrderSide
from gql_trader.core.money import MONEY_DIGITS
from gql_trader.engine.execution import Side

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


def fee_of(notional: Decimal, rate: float) -> Decimal:
    """Return the fee of a fill, to eight places."""
    return (notional * Decimal(repr(rate))).quantize(_CENT)


@dataclass(frozen=True, slots=True)
class Filled:
    """A fill of an order, whole or of a part.

    Attributes
    ----------
    time
        Unix milliseconds.
    fee
        In the quote currency.
    base_fee
        Taken from what is bought, in the base currency.
    """

    quantity: Decimal
    price: Decimal
    time: int
    fee: Decimal = _NOTHING
    base_fee: Decimal = _NOTHING

    @property
    def base_fee_worth(self) -> Decimal:
        """What was taken in the base currency, in the quote currency."""
        return (self.base_fee * self.price).quantize(_CENT) if self.base_fee else _NOTHING


@dataclass(frozen=True, slots=True)
class Hit:
    """A fill of a resting order on paper.

    Attributes
    ----------
    time
        Unix milliseconds: the bar's opening for a fill at the open, else its close.
    price
        Slippage included.
    maker
        Whether the order had waited at this price.
    at_open
        Whether it is a fill at a bar's open.
    opened, volume
        Of the bar that fills it: when it opened, Unix milliseconds, and what was traded in it, in the base
        currency; 0 for a fill at the last close.
    """

    time: int
    price: Decimal
    maker: bool
    at_open: bool = False
    opened: int = 0
    volume: float = 0.0


def sign_of(trade: TradeRow) -> int:
    """Return 1 for a long position, −1 for a short one."""
    return 1 if trade.side == Side.LONG.value else -1


def opening_order(side: Side) -> OrderSide:
    """Return the side of the orders that open a position; the others close it."""
    return OrderSide.BUY if side is Side.LONG else OrderSide.SELL


def closing_order(side: Side) -> OrderSide:
    """Return the side of the orders that close a position."""
    return OrderSide.SELL if side is Side.LONG else OrderSide.BUY
