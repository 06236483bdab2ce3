"""How far and how long the account was below its peak."""

from dataclasses import dataclass

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats, Integers, require
from gql_trader.engine.jit import FLOATS_IN, INTEGERS_IN, compiled
from gql_trader.engine.sums import STACK, sum_of
from gql_trader.engine.trading_days import DAY
from gql_trader.engine.vectors import (
    AHEAD,
    CACHE_LINE,
    WIDTH,
    highest_of_block,
    lowest_of_block,
    prefetch,
    sum_of_block,
)


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The worst of all drawdowns.

    Attributes
    ----------
    deepest
        Largest loss from a peak as a fraction of the peak, in [0, 1].
    longest_days
        Longest time from a peak to the first close at or above it, or to the end; None if the account never
        was below a peak.
    mean_equity
        Mean of the equity, taken in the same pass.
    """

    deepest: float
    longest_days: float | None
    mean_equity: float


def drawdown(time: Integers, equity: Floats, interval: int, initial: float) -> Drawdown:
    """Return the deepest and the longest drawdown over bars.

    Parameters
    ----------
    time
        int64[n], opening times of n ≥ 1 bars, Unix milliseconds.
    equity
        float64[n], at the closes, not negative.
    interval
        Length of a bar, milliseconds.
    initial
        Starting capital: the first peak, at the opening of the first bar.
    """
    deepest, longest, total = _scan(require(time, np.int64), require(equity, np.float64), interval, initial)
    return Drawdown(deepest, longest / DAY if longest else None, total / len(equity))


def ulcer_index(values: Floats, initial: float) -> float:
    """Return the root of the mean squared drawdown, as a fraction (P. Martin, 1987, who gives percent).

    Parameters
    ----------
    values
        float64[d], daily equity, d ≥ 1.
    initial
        Starting capital, the first peak.
    """
    return _ulcer(require(values, np.float64), initial)


@compiled(types.float64(FLOATS_IN, types.float64))
def _ulcer(values: Floats, initial: float) -> float:
    n = len(values)
    scratch, stack = np.empty(n), np.empty(STACK)
    peak = initial
    for k in range(n):
        peak = max(peak, values[k])
        loss = 1.0 - values[k] / peak
        scratch[k] = loss * loss
    return float(np.sqrt(sum_of(scratch, n, stack) / n))


_WORST = types.Tuple((types.float64, types.int64, types.float64))  # type: ignore[no-untyped-call]


@compiled(_WORST(INTEGERS_IN, FLOATS_IN, types.int64, types.float64), allocates=False)
def _scan(time: Integers, equity: Floats, interval: int, initial: float) -> tuple[float, int, float]:
    # One division for each peak, not for each bar: below one peak the lowest equity is the deepest loss,
    # and division does not change that order. Blocks below the peak, or flat at it, are done at once.
    n = len(equity)
    peak = initial
    peak_time = time[0]
    trough = initial
    deepest = 0.0
    longest = 0
    total = 0.0
    i = 0
    while i < n:
        while i + WIDTH <= n:
            for line in range(i + AHEAD, i + AHEAD + WIDTH, CACHE_LINE):
                prefetch(equity, line)
            lowest, highest = lowest_of_block(equity, i), highest_of_block(equity, i)
            if highest < peak:
                trough = min(trough, lowest)
            elif lowest == peak and highest == peak and trough == peak:
                peak_time = time[i + WIDTH - 1] + interval
            else:
                break
            total += sum_of_block(equity, i)
            i += WIDTH
        for k in range(i, min(i + WIDTH, n)):
            value = equity[k]
            total += value
            if value >= peak:
                if trough < peak:
                    deepest = max(deepest, 1.0 - trough / peak)
                    longest = max(longest, time[k] + interval - peak_time)
                peak = value
                trough = value
                peak_time = time[k] + interval
            elif value < trough:
                trough = value
        i += WIDTH
    if trough < peak:
        deepest = max(deepest, 1.0 - trough / peak)
        longest = max(longest, time[-1] + interval - peak_time)
    return deepest, longest, total
