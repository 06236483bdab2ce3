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
    RISK_FRACTION = "RISK_FRACTION"


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
    # Ledgers hold the number of the reason: new ones come last.
    MAX_DRAWDOWN = "MAX_DRAWDOWN"


@dataclass(frozen=True, slots=True)
class Sizing:
    """Size of a new position.

    Attributes
    ----------
    value
        EQUITY_FRACTION: notional + fee as a fraction of equity × leverage, in (0, 1]; CASH: notional in
        the quote currency; QUANTITY: in the base currency; RISK_FRACTION: the loss at the stop-loss, fees
        and slippage included, as a fraction of equity, in (0, 1]; needs a stop-loss.
    """

    kind: SizingKind = SizingKind.EQUITY_FRACTION
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class ExecutionSpec:
    """Costs, size, protective levels and guards. All fractions are fractions, not percent.

    Attributes
    ----------
    maker_fee, taker_fee
        Of the notional, in [0, 0.1].
    slippage
        Of the price, against the trader, in [0, 0.1].
    stop_loss, take_profit, trailing_stop
        Distance from the entry price (trailing: from the best price since entry); None: off. In (0, 1)
        for stop_loss and trailing_stop; take_profit > 0, and < 1 where shorts are allowed.
    trailing_activation
        Distance in favour from the entry price that the best price must have reached before the trailing
        stop begins to follow; None: from the entry.
    minimal_roi
        Table of returns, (minutes, distance) by ascending minutes: once a position is that old, a limit
        order at that distance in favour from the entry price closes it; the last step reached counts.
    leverage
        Notional over margin, ≥ 1. Above 1 the margin is isolated.
    maintenance_margin
        Fraction of the entry's notional; with leverage a position is liquidated when no more of its margin
        is left. Below 1 / leverage.
    funding_rate_per_day
        Cost of holding a position of either side, as a fraction of its notional a day, in [0, 0.1].
    max_daily_loss, daily_target
        Change of equity since the beginning of the day, down in (0, 1) or up > 0, on which the position
        is closed and no other opened on that day; None: off.
    max_daily_trades
        Positions opened on a day at most, ≥ 1; None: any number.
    max_drawdown
        Fall of equity from its highest close so far, in (0, 1), on which the position is closed and no
        other is opened again; None: off.
    cooldown_bars
        Bars after the bar of an exit on which none is opened, ≥ 0; 0 also lets a position be reversed.
    timezone
        Name in the IANA database of the time zone whose days these guards count; None: UTC.
    amount_precision
        Decimals of a quantity, which is rounded down; None: not rounded.
    min_amount, min_notional
        Smallest position, in the base and in the quote currency; below there is no trade.
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
    trailing_activation: float | None = None
    minimal_roi: tuple[tuple[int, float], ...] = ()
    leverage: float = 1.0
    maintenance_margin: float = 0.005
    funding_rate_per_day: float = 0.0
    max_daily_loss: float | None = None
    daily_target: float | None = None
    max_daily_trades: int | None = None
    max_drawdown: float | None = None
    cooldown_bars: int = 0
    timezone: str | None = None
    amount_precision: int | None = None
    min_amount: float = 0.0
    min_notional: float = 0.0
