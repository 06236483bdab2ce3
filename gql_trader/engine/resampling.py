"""Higher intervals from lower ones: their candles, and from which bar on each of them is known."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Integers


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
    return join(bars, starts, buckets[starts], length)


def join(bars: Bars, starts: NDArray[np.intp], time: Integers, length: int) -> Bars:
    """Return a candle for each run of bars: first open, extremes, last close, total volume.

    Parameters
    ----------
    starts
        Index of the first bar of each run, ascending; a run ends where the next begins.
    time
        Opening times of the candles.
    length
        Their interval, milliseconds.
    """
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


@dataclass(frozen=True, slots=True)
class HigherBars:
    """The bars of a higher interval, as somebody sees them who receives the lower ones one by one.

    Attributes
    ----------
    bars
        k complete bars. The first is left out if the lower bars begin in its middle.
    known
        int64[k], the lower bar at whose close each is known: the first that closes at its end or later.
    """

    bars: Bars
    known: Integers


def higher_bars(bars: Bars, interval: Interval) -> HigherBars:
    """Return the bars of a higher interval, and when each is known.

    Parameters
    ----------
    bars
        Bars of an interval that divides the higher one.
    """
    higher = resample(bars, interval)
    if len(higher) and bars.time[0] != higher.time[0]:
        # What came before the first bar is not here: its open and extremes are not those of the interval.
        higher = higher.slice(1, len(higher))
    return HigherBars(higher, known_at(bars, higher))


def known_at(bars: Bars, higher: Bars) -> Integers:
    """Return at the close of which bar each of some complete bars of a higher interval is known, int64[k]."""
    known = np.searchsorted(bars.time + bars.interval, higher.time + higher.interval)
    return known.astype(np.int64)
