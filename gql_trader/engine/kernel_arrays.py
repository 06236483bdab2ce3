"""Specs, bars and signals as the flat arrays that compiled code takes."""

import numpy as np

from gql_trader.core.zones import offsets
from gql_trader.engine.bars import Bars, Flags, Floats, Integers, require
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, SizingKind
from gql_trader.engine.kernel import layout
from gql_trader.engine.signals import Signals

_SIZES = {
    SizingKind.EQUITY_FRACTION: layout.SIZE_EQUITY_FRACTION,
    SizingKind.CASH: layout.SIZE_CASH,
    SizingKind.QUANTITY: layout.SIZE_QUANTITY,
    SizingKind.RISK_FRACTION: layout.SIZE_RISK_FRACTION,
}

_MINUTE = 60_000
_ANY_NUMBER = 2**62


def spec_arrays(spec: ExecutionSpec) -> tuple[Floats, Integers]:
    """Return a spec as float64[SPEC_FLOATS + 2 × steps of its tables] and int64[SPEC_INTEGERS]."""
    limited_by_day = spec.max_daily_loss is not None or spec.daily_target is not None
    counts_days = limited_by_day or spec.max_daily_trades is not None
    guarded = counts_days or spec.max_drawdown is not None
    clocks = offsets(spec.timezone) if counts_days and spec.timezone is not None else ()
    numbers = np.zeros(layout.SPEC_FLOATS + 2 * (len(spec.minimal_roi) + len(clocks)))
    numbers[layout.MAKER_FEE] = spec.maker_fee
    numbers[layout.TAKER_FEE] = spec.taker_fee
    numbers[layout.SLIPPAGE] = spec.slippage
    numbers[layout.SIZE] = spec.sizing.value
    numbers[layout.STOP_LOSS] = spec.stop_loss or 0.0
    numbers[layout.TAKE_PROFIT] = spec.take_profit or 0.0
    numbers[layout.TRAILING_STOP] = spec.trailing_stop or 0.0
    numbers[layout.TRAILING_ACTIVATION] = spec.trailing_activation or 0.0
    numbers[layout.LEVERAGE] = spec.leverage
    numbers[layout.MAINTENANCE_MARGIN] = spec.maintenance_margin
    numbers[layout.FUNDING_RATE] = spec.funding_rate_per_day
    numbers[layout.MAX_DAILY_LOSS] = spec.max_daily_loss or 0.0
    numbers[layout.DAILY_TARGET] = spec.daily_target or 0.0
    numbers[layout.MAX_DRAWDOWN] = spec.max_drawdown or 0.0
    numbers[layout.AMOUNT_SCALE] = 0.0 if spec.amount_precision is None else 10.0**spec.amount_precision
    numbers[layout.MIN_AMOUNT] = spec.min_amount
    numbers[layout.MIN_NOTIONAL] = spec.min_notional
    for at, (minutes, distance) in enumerate(spec.minimal_roi):
        numbers[layout.SPEC_FLOATS + 2 * at] = minutes * _MINUTE
        numbers[layout.SPEC_FLOATS + 2 * at + 1] = distance
    if clocks:
        numbers[-2 * len(clocks) :] = np.array(clocks, dtype=np.float64).ravel()
    choice = np.zeros(layout.SPEC_INTEGERS, dtype=np.int64)
    choice[layout.FILL_AT_CLOSE] = spec.fill is FillModel.CLOSE
    choice[layout.LONG_ALLOWED] = spec.direction is not Direction.SHORT
    choice[layout.SHORT_ALLOWED] = spec.direction is not Direction.LONG
    choice[layout.SIZING] = _SIZES[spec.sizing.kind]
    choice[layout.ROI_STEPS] = len(spec.minimal_roi)
    choice[layout.MAX_DAILY_TRADES] = _ANY_NUMBER if spec.max_daily_trades is None else spec.max_daily_trades
    choice[layout.COOLDOWN_BARS] = spec.cooldown_bars
    choice[layout.GUARDED] = guarded
    choice[layout.EVERY_BAR] = spec.funding_rate_per_day > 0.0
    choice[layout.ZONE_STEPS] = len(clocks)
    return numbers, choice


def prices(bars: Bars) -> tuple[Floats, Floats, Floats, Floats]:
    """Return open, high, low and close."""
    return (
        require(bars.open, np.float64),
        require(bars.high, np.float64),
        require(bars.low, np.float64),
        require(bars.close, np.float64),
    )


def flags(signals: Signals) -> tuple[Flags, Flags, Flags, Flags]:
    """Return entry and exit of longs, then of shorts."""
    return (
        require(signals.entry_long, np.bool_),
        require(signals.exit_long, np.bool_),
        require(signals.entry_short, np.bool_),
        require(signals.exit_short, np.bool_),
    )
