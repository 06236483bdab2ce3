"""Trials through the compiled search kernel: what is prepared once for all of them, and which it takes."""

from functools import lru_cache

import numpy as np

from gql_trader.engine import kernel_arrays
from gql_trader.engine.bars import Floats
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, SizingKind
from gql_trader.engine.metrics.daily import daily_curve
from gql_trader.engine.search import figures, kernel
from gql_trader.engine.search.scoring import METRICS
from gql_trader.engine.search.setting import Setting
from gql_trader.engine.signals import RawSignals
from gql_trader.engine.sums import STACK
from gql_trader.engine.trading_days import DAY

MOST_TRADES = 100_000
"""Trials with more are run by the engine as it is."""

_SIZES = {
    SizingKind.EQUITY_FRACTION: kernel.SIZE_EQUITY_FRACTION,
    SizingKind.CASH: kernel.SIZE_CASH,
    SizingKind.QUANTITY: kernel.SIZE_QUANTITY,
}


def takes(spec: ExecutionSpec) -> bool:
    """Return whether the kernel knows all that a spec asks for; the rest is left to the engine as it is."""
    return (
        spec.fill is FillModel.NEXT_OPEN
        and spec.sizing.kind in _SIZES
        and spec.leverage == 1.0
        and spec.funding_rate_per_day == 0.0
        and spec.trailing_activation is None
        and not spec.minimal_roi
        and spec.max_daily_loss is None
        and spec.daily_target is None
        and spec.max_drawdown is None
        and spec.max_daily_trades is None
        and spec.cooldown_bars == 0
    )


@lru_cache(maxsize=256)
def _spec_array(spec: ExecutionSpec) -> Floats:
    numbers = np.zeros(kernel.SPEC_FLOATS)
    numbers[kernel.MAKER_FEE] = spec.maker_fee
    numbers[kernel.TAKER_FEE] = spec.taker_fee
    numbers[kernel.SLIPPAGE] = spec.slippage
    numbers[kernel.SIZE] = spec.sizing.value
    numbers[kernel.STOP_LOSS] = spec.stop_loss or 0.0
    numbers[kernel.TAKE_PROFIT] = spec.take_profit or 0.0
    numbers[kernel.TRAILING_STOP] = spec.trailing_stop or 0.0
    numbers[kernel.AMOUNT_SCALE] = 0.0 if spec.amount_precision is None else 10.0**spec.amount_precision
    numbers[kernel.MIN_AMOUNT] = spec.min_amount
    numbers[kernel.MIN_NOTIONAL] = spec.min_notional
    return numbers


class FastTrials:
    """Runs trials over the same bars one after the other, in memory that does not grow with their number."""

    def __init__(self, setting: Setting) -> None:
        bars, start = setting.bars, setting.start
        self._setting = setting
        self._prices = kernel_arrays.prices(bars)
        _, high, low, close = self._prices
        self._table = np.empty((kernel.TABLE_ROWS, len(bars) // kernel.BLOCK))
        kernel.fill_table(high, low, close, self._table)
        # The curve of the bars' own numbers tells which bar each day ends with.
        time = bars.time[start:]
        numbers = np.arange(start, len(bars), dtype=np.float64)
        ends = daily_curve(time, numbers, bars.interval, -1.0, setting.trading_days).value
        self._day_ends = np.ascontiguousarray(ends, dtype=np.int64)
        self._calendar_days = (int(time[-1]) + bars.interval - int(time[0])) / DAY
        self._daily = np.empty(len(ends))
        room = min(MOST_TRADES, len(time) + 1)
        self._profits = np.empty(room)
        self._scratch = np.empty(max(room, len(ends)))
        self._stack = np.empty(STACK)
        self._found = np.empty(2)
        self._figures = np.empty(len(METRICS))

    def run(self, signals: RawSignals, spec: ExecutionSpec) -> Floats | None:
        """Return a trial's figures in the order of `METRICS`, NaN where undefined; None if it is too long.

        The array is written again by the next call.
        """
        setting = self._setting
        trades = kernel.run(
            _spec_array(spec),
            _SIZES[spec.sizing.kind],
            spec.direction is not Direction.SHORT,
            spec.direction is not Direction.LONG,
            *self._prices,
            signals.entry_long,
            signals.exit_long,
            signals.entry_short,
            signals.exit_short,
            signals.warmup,
            self._table,
            self._day_ends,
            setting.start,
            setting.initial_capital,
            self._daily,
            self._profits,
            self._found,
        )
        if trades < 0:
            return None
        figures.figures(
            self._daily,
            self._profits,
            trades,
            self._found,
            setting.initial_capital,
            self._calendar_days,
            setting.trading_days.per_year,
            self._scratch,
            self._stack,
            self._figures,
        )
        return self._figures
