"""Fewer points of a long curve for a chart, without losing what the eye looks for.

Numpy alone, since the process that serves the API draws charts and loads no compiled code.
"""

import numpy as np

from gql_trader.engine.bars import Floats, Integers

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
    size = -(-len(values) // (max_points // FEWEST_POINTS))
    whole = len(values) // size * size
    firsts = np.arange(0, len(values), size, dtype=np.int64)
    lasts = np.append(firsts[1:], len(values)) - 1
    shares = values[:whole].reshape(-1, size)
    lowest = firsts[: len(shares)] + shares.argmin(axis=1)
    highest = firsts[: len(shares)] + shares.argmax(axis=1)
    if whole < len(values):
        lowest = np.append(lowest, whole + values[whole:].argmin())
        highest = np.append(highest, whole + values[whole:].argmax())
    # In order as they are, with neighbours that may be equal: sorting takes longer than finding them.
    points = np.column_stack(
        (firsts, np.minimum(lowest, highest), np.maximum(lowest, highest), lasts)
    ).ravel()
    kept: Integers = points[np.append(True, points[1:] != points[:-1])]
    return kept


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
        int64[m], ascending without repetition, each in [0, n).
    initial
        Starting capital, the first peak; positive.

    Returns
    -------
    float64[m]
        1 − equity / highest equity so far, in [0, 1].
    """
    if not len(indices):
        return np.empty(0)
    # The highest value of each stretch that ends at a point, then the highest so far: the long curve is
    # passed over by a reduction, which is several times faster than a running maximum.
    starts = np.append(0, indices[:-1] + 1)
    highest = np.maximum.reduceat(equity[: indices[-1] + 1], starts)
    peaks = np.maximum(np.maximum.accumulate(highest), initial)
    drawdown: Floats = 1.0 - equity[indices] / peaks
    return drawdown
