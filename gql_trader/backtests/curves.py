"""Equity curves as they are shown: thinned where a chart asks for fewer points."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from gql_trader.engine import sampling

Columns = Mapping[str, NDArray[Any]]


def thinned_equity(curve: Columns, initial_capital: float, max_points: int | None) -> Columns:
    """Return time, equity and drawdown at the points of a curve that a chart needs.

    Parameters
    ----------
    curve
        Columns ``time`` and ``equity``, a point per bar.
    max_points
        At least `gql_trader.engine.sampling.FEWEST_POINTS`; None: all points.
    """
    time, equity = curve["time"], curve["equity"]
    kept = sampling.downsample_indices(equity, max_points or max(len(equity), sampling.FEWEST_POINTS))
    return {
        "time": time[kept],
        "equity": equity[kept],
        # Measured over the whole curve, so that thinning does not hide a peak.
        "drawdown": sampling.drawdown_at(equity, kept, initial_capital),
    }
