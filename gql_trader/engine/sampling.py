"""Fewer points of a long curve for a chart, without losing what the eye looks for."""

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import FLOATS, FLOATS_IN, INTEGERS, INTEGERS_IN, compiled

FEWEST_POINTS = 4


def downsample_indices(values: Floats, max_points: int) -> Integers:
    """Return which points of a curve to draw: first, last, lowest and highest of each equal share.

    Drawn at a width of a quarter of the points, the lines of these points cover the same pixels as those of
    all (M4: Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014).

    Parameters
    ----------
    values
        float64[n], n ≥ 0.
    max_points
        At least 4.

    Returns
    -------
    int64[m]
        Ascending, m ≤ max_points; all of them if n ≤ max_points. The first and last point are among them.

    Raises
    ------
    ValueError
        If fewer than 4 points are asked for.
    """
    if max_points < FEWEST_POINTS:
        raise ValueError(f"a curve needs at least {FEWEST_POINTS} points; got {max_points}")
    if len(values) <= max_points:
        return np.arange(len(values), dtype=np.int64)
    buckets = max_points // FEWEST_POINTS
    found = np.empty(buckets * FEWEST_POINTS, dtype=np.int64)
    _extremes(np.require(values, np.float64, ("C", "A")), buckets, found)
    return np.unique(found)


def downsample(time: Integers, values: Floats, max_points: int) -> tuple[Integers, Floats]:
    """Return the times and values of the points that `downsample_indices` chooses.

    Parameters
    ----------
    time
        int64[n].
    values
        float64[n].
    max_points
        At least 4.
    """
    chosen = downsample_indices(values, max_points)
    return time[chosen], values[chosen]


def drawdown_at(equity: Floats, indices: Integers, initial: float) -> Floats:
    """Return the drawdown at some points of an equity curve, measured over the whole curve.

    Parameters
    ----------
    equity
        float64[n], account currency.
    indices
        int64[m], ascending, each in [0, n).
    initial
        Starting capital, the first peak; positive.

    Returns
    -------
    float64[m]
        1 − equity / highest equity so far, in [0, 1].
    """
    peaks = np.empty(len(indices))
    _peaks(
        np.require(equity, np.float64, ("C", "A")), np.require(indices, np.int64, ("C", "A")), initial, peaks
    )
    drawdown: Floats = 1.0 - equity[indices] / peaks
    return drawdown


@compiled(types.void(FLOATS_IN, types.int64, INTEGERS), allocates=False)
def _extremes(values: Floats, buckets: int, found: Integers) -> None:
    n = len(values)
    for bucket in range(buckets):
        first = bucket * n // buckets
        end = (bucket + 1) * n // buckets
        lowest = first
        highest = first
        for i in range(first, end):
            if values[i] < values[lowest]:
                lowest = i
            if values[i] > values[highest]:
                highest = i
        found[4 * bucket] = first
        found[4 * bucket + 1] = lowest
        found[4 * bucket + 2] = highest
        found[4 * bucket + 3] = end - 1


@compiled(types.void(FLOATS_IN, INTEGERS_IN, types.float64, FLOATS), allocates=False)
def _peaks(equity: Floats, indices: Integers, initial: float, peaks: Floats) -> None:
    peak = initial
    i = 0
    for k in range(len(indices)):
        while i <= indices[k]:
            peak = max(peak, equity[i])
            i += 1
        peaks[k] = peak
