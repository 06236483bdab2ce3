"""Higher intervals from lower ones, and fewer points for a chart: vectorised, OHLC-preserving."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars


def resample(bars: Bars, interval: Interval) -> Bars:
    """Return the candles of a higher interval.

    A candle opens with its first bar, closes with its last, spans their extremes and sums their volumes.
    It exists if any of its bars does. The last one is left out as long as bars that belong to it may
    still come, that is, unless the series reaches its end.

    Parameters
    ----------
    bars
        Bars of an interval that divides the higher one.
    """
    length, offset = interval.milliseconds, interval.offset
    if length % bars.interval:
        raise ValueError(f"bars of {bars.interval} ms do not divide {interval.value}")
    buckets = (bars.time - offset) // length * length + offset
    if len(bars) and buckets[-1] + length > bars.time[-1] + bars.interval:
        complete = int(np.searchsorted(buckets, buckets[-1]))
        bars, buckets = bars.slice(0, complete), buckets[:complete]
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] - 1))
    return _reduce(bars, starts, buckets[starts], length)


def downsample(bars: Bars, maximum_points: int) -> Bars:
    """Return at most that many bars that keep every extreme: buckets of equally many bars each.

    A bucket carries the time and open of its first bar, the close of its last, the extremes and the sum
    of the volumes. Fewer bars than asked for are returned as they are.
    """
    if maximum_points < 1:
        raise ValueError("at least one point is needed")
    if len(bars) <= maximum_points:
        return bars
    size = -(-len(bars) // maximum_points)
    starts = np.arange(0, len(bars), size)
    return _reduce(bars, starts, bars.time[starts], bars.interval * size)


def _reduce(bars: Bars, starts: NDArray[np.intp], time: NDArray[np.int64], length: int) -> Bars:
    if not len(starts):
        return replace(bars.slice(0, 0), interval=length)
    ends = np.append(starts[1:], len(bars)) - 1
    return Bars(
        time=np.ascontiguousarray(time),
        open=bars.open[starts],
        high=np.maximum.reduceat(bars.high, starts),
        low=np.minimum.reduceat(bars.low, starts),
        close=bars.close[ends],
        volume=np.add.reduceat(bars.volume, starts),
        interval=length,
    )
