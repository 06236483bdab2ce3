"""The account or a price at the end of each day."""

from dataclasses import dataclass

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats, Integers, require
from gql_trader.engine.jit import FLOATS, FLOATS_IN, INTEGERS, INTEGERS_IN, compiled
from gql_trader.engine.trading_days import DAY, FRIDAY, TradingDays, weekdays


@dataclass(frozen=True, slots=True)
class DailyCurve:
    """Values at the ends of d days.

    Attributes
    ----------
    time
        int64[d], beginning of each UTC day, Unix milliseconds.
    value
        float64[d], the last value of each day.
    returns
        float64[d], value over the one before, less 1; the first over the starting value. 0.0 after a
        value of zero.
    reached
        int64[d], how many bars have closed at the end of each day.
    """

    time: Integers
    value: Floats
    returns: Floats
    reached: Integers

    def __len__(self) -> int:
        return len(self.time)

    def of(self, values: Floats, initial: float) -> "DailyCurve":
        """Return the curve of other values at the closes of the same bars."""
        values = require(values, np.float64)
        return DailyCurve(self.time, *_at_ends(values, self.reached, initial), self.reached)


def daily_curve(
    time: Integers, values: Floats, interval: int, initial: float, counted: TradingDays
) -> DailyCurve:
    """Return the last value of each UTC day.

    Parameters
    ----------
    time
        int64[n], opening times of n ≥ 1 bars, Unix milliseconds, ascending.
    values
        float64[n], at the closes of the bars. A close belongs to the day that it ends or falls into.
    interval
        Length of a bar, milliseconds.
    initial
        The starting value: what a day has whose end no bar has reached.
    counted
        Which days have a value. `EVERY_DAY`: all from the first bar to the last; one without bars carries
        the value of the day before. `WEEKDAYS`: those from Monday to Friday in which a bar closes or at the
        weekend before; a weekend that the bars end with is a day of its own, which is not over. `WITH_BARS`:
        those in which a bar closes. With bars longer than a day both of these are Monday to Friday.
    """
    time, values = require(time, np.int64), require(values, np.float64)
    begins, value, returns, reached = _every_day(time, values, interval, initial)
    if counted is TradingDays.EVERY_DAY:
        return DailyCurve(begins, value, returns, reached)
    weekday = weekdays(begins // DAY)
    if interval > DAY:
        # What a week's bar closes with on Sunday is what the market left on Friday.
        ends = begins + np.where(weekday == FRIDAY, 3, 1) * DAY
        reached = np.searchsorted(time, ends - interval, "right").astype(np.int64, copy=False)
        kept = weekday <= FRIDAY
    else:
        kept = np.ones(len(begins), np.bool_)
        if counted is TradingDays.WEEKDAYS:
            kept = weekday <= FRIDAY
            kept[-1] = True
        # Of the days that are its own, those in which a bar closes.
        kept[kept] = np.diff(reached[kept], prepend=0) > 0
    begins, reached = begins[kept], reached[kept]
    return DailyCurve(begins, *_at_ends(values, reached, initial), reached)


@compiled(allocates=False)
def _bars_until(time: Integers, moment: int, interval: int) -> int:
    """Return how many bars open at a moment or before."""
    n = len(time)
    # Without gaps they can be counted, which asks for two bars instead of searching for it.
    low: int = min(max((moment - time[0]) // interval + 1, 0), n)
    if (low > 0 and time[low - 1] > moment) or (low < n and time[low] <= moment):
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            if time[middle] <= moment:
                low = middle + 1
            else:
                high = middle
    return low


@compiled(allocates=False)
def _mark_ends(values: Floats, reached: Integers, initial: float, value: Floats, returns: Floats) -> None:
    """Note the last value of each day, and its return."""
    for k in range(len(reached)):
        value[k] = values[reached[k] - 1] if reached[k] > 0 else initial
    before = initial
    for k in range(len(reached)):
        returns[k] = (value[k] / before if before != 0.0 else 1.0) - 1.0
        before = value[k]


@compiled(types.UniTuple(FLOATS, 2)(FLOATS_IN, INTEGERS_IN, types.float64))  # type: ignore[no-untyped-call]
def _at_ends(values: Floats, reached: Integers, initial: float) -> tuple[Floats, Floats]:
    """Return the last value of each day, and its return."""
    value, returns = np.empty(len(reached)), np.empty(len(reached))
    _mark_ends(values, reached, initial, value, returns)
    return value, returns


_CURVE = types.Tuple((INTEGERS, FLOATS, FLOATS, INTEGERS))  # type: ignore[no-untyped-call]


@compiled(_CURVE(INTEGERS_IN, FLOATS_IN, types.int64, types.float64))
def _every_day(
    time: Integers, values: Floats, interval: int, initial: float
) -> tuple[Integers, Floats, Floats, Integers]:
    """Return the curve of all days from the first bar to the last."""
    first = time[0] // DAY
    days = (time[-1] + interval - 1) // DAY + 1 - first
    begins, reached = np.empty(days, dtype=np.int64), np.empty(days, dtype=np.int64)
    value, returns = np.empty(days), np.empty(days)
    for k in range(days):
        begins[k] = (first + k) * DAY
        reached[k] = _bars_until(time, begins[k] + DAY - interval, interval)
    _mark_ends(values, reached, initial, value, returns)
    return begins, value, returns, reached
