"""Higher intervals from lower ones, and fewer points for a chart: vectorised, OHLC-preserving."""

import numpy as np

from gql_trader.engine.bars import Bars
from gql_trader.engine.resampling import join, resample

__all__ = ["downsample", "resample"]


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
    return join(bars, starts, bars.time[starts], bars.interval * size)
