"""How signals become fills: the frozen execution spec of a run."""

from dataclasses import dataclass
from enum import StrEnum


class FillModel(StrEnum):
    """When a signal of bar i fills."""

    NEXT_OPEN = "NEXT_OPEN"
    CLOSE = "CLOSE"


class Direction(StrEnum):
    """Which positions may be opened."""

    LONG = "LONG"
    SHORT = "SHORT"
    BOTH = "BOTH"


class SizingKind(StrEnum):
    """What the size of a new position is a share of."""

    EQUITY_FRACTION = "EQUITY_FRACTION"
    CASH = "CASH"
    QUANTITY = "QUANTITY"


class Side(StrEnum):
    """Direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"


class ExitReason(StrEnum):
    """Why a position was closed."""

    SIGNAL = "SIGNAL"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    ROI = "ROI"
    LIQUIDATION = "LIQUIDATION"
    DAILY_LIMIT = "DAILY_LIMIT"
    END_OF_DATA = "END_OF_DATA"


@dataclass(frozen=True, slots=True)
class Sizing:
    """Size of a new position.

    Attributes
    ----------
    value
        EQUITY_FRACTION: notional + fee as a fraction of equity, in (0, 1]; CASH: notional in the quote
        currency; QUANTITY: in the base currency.
    """

    kind: SizingKind = SizingKind.EQUITY_FRACTION
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class ExecutionSpec:
    """Costs, size and protective levels. All fractions are fractions, not percent.

    Attributes
    ----------
    maker_fee, taker_fee
        Of the notional, in [0, 0.1].
    slippage
        Of the price, against the trader, in [0, 0.1].
    stop_loss, take_profit, trailing_stop
        Distance from the entry price (trailing: from the best price since entry); None: off. In (0, 1)
        for stop_loss and trailing_stop; take_profit > 0, and < 1 where shorts are allowed.
    """

    fill: FillModel = FillModel.NEXT_OPEN
    maker_fee: float = 0.001
    taker_fee: float = 0.001
    slippage: float = 0.0
    direction: Direction = Direction.LONG
    sizing: Sizing = Sizing()
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing_stop: float | None = None
