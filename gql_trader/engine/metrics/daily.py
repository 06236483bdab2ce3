"""The account or a price at the end of each day."""

from dataclasses import dataclass

import numpy as np

from gql_trader.engine.bars import Floats, Integers
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
    """

    time: Integers
    value: Floats
    returns: Floats

    def __len__(self) -> int:
        return len(self.time)


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
    first, last = int(time[0]) // DAY, (int(time[-1]) + interval - 1) // DAY
    days = np.arange(first, last + 1, dtype=np.int64)
    ends = (days + 1) * DAY
    weekday = weekdays(days)
    every = counted is TradingDays.EVERY_DAY
    if not every and interval > DAY:
        # What a week's bar closes with on Sunday is what the market left on Friday.
        ends[weekday == FRIDAY] += 2 * DAY
    reached = _count_until(time, ends - interval, interval)
    if not every and interval > DAY:
        days, reached = days[weekday <= FRIDAY], reached[weekday <= FRIDAY]
    elif not every:
        if counted is TradingDays.WEEKDAYS:
            own = weekday <= FRIDAY
            own[-1] = True
            days, reached = days[own], reached[own]
        kept = np.diff(reached, prepend=0) > 0
        days, reached = days[kept], reached[kept]
    value = np.where(reached > 0, values[np.maximum(reached, 1) - 1], initial)
    before = np.concatenate(([initial], value[:-1]))
    ratio = np.divide(value, before, out=np.ones(len(value)), where=before != 0.0)
    return DailyCurve(days * DAY, value, ratio - 1.0)


def _count_until(time: Integers, moments: Integers, interval: int) -> Integers:
    """Return how many bars open at each moment or before."""
    n = len(time)
    # Without gaps they can be counted, which asks for two bars a moment instead of searching for it.
    counted = np.clip((moments - time[0]) // interval + 1, 0, n)
    before = (counted == 0) | (time[counted - 1] <= moments)
    after = (counted == n) | (time[np.minimum(counted, n - 1)] > moments)
    if np.all(before & after):
        return np.asarray(counted, dtype=np.int64)
    found: Integers = np.searchsorted(time, moments, side="right").astype(np.int64, copy=False)
    return found
