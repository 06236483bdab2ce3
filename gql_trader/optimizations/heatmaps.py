"""A search seen along two of its axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from gql_trader.core.errors import InvalidInput
from gql_trader.engine.bars import Floats
from gql_trader.engine.search.space import Value
from gql_trader.optimizations.trials import codes_of, decode_scores, space_of

BUCKETS = 20
"""Parts of a range without steps."""

MOST_CELLS = 100_000


@dataclass(frozen=True, slots=True)
class Cells:
    """The objective along two axes.

    Attributes
    ----------
    xs, ys
        What is written at the columns and the rows.
    best, mean
        float64[ys, xs], over all trials of a cell, whatever the other parameters were; NaN where no trial has
        a score.
    trials
        int64[ys, xs], how many trials have a score there.
    """

    xs: Sequence[Value]
    ys: Sequence[Value]
    best: Floats
    mean: Floats
    trials: NDArray[np.int64]


def cells_of(search: Row[Any], x: str, y: str) -> int:
    """Return how many cells a heatmap has.

    Raises
    ------
    InvalidInput
        If one of the two is not searched, they are the same, or there would be too many cells.
    """
    names = {axis.name: axis for axis in space_of(search).axes}
    for argument, name in (("x", x), ("y", y)):
        if name not in names:
            message = f"{name[:60]!r} is not searched here; {', '.join(names)} are."
            raise InvalidInput(message, (argument,))
    if x == y:
        raise InvalidInput("x and y are two different parameters.", ("y",))
    cells = (len(names[x].values) or BUCKETS) * (len(names[y].values) or BUCKETS)
    if cells > MOST_CELLS:
        raise InvalidInput(f"A heatmap has at most {MOST_CELLS:,} cells; this would have {cells:,}.", ("y",))
    return cells


def heatmap(search: Row[Any], chunks: Sequence[Row[Any]], x: str, y: str) -> Cells:
    """Return the trials that are done, in cells along two axes."""
    space = space_of(search)
    places = [next(i for i, axis in enumerate(space.axes) if axis.name == name) for name in (x, y)]
    axes = [space.axes[place] for place in places]
    (x_edges, xs), (y_edges, ys) = (axis.buckets(BUCKETS) for axis in axes)
    _, scores = decode_scores(chunks)
    codes = [codes_of(search, space, row)[:, places] for row in chunks]
    both = np.concatenate(codes) if codes else np.empty((0, 2))
    kept = np.isfinite(scores)
    scores, both = scores[kept], both[kept]
    columns = np.searchsorted(x_edges, both[:, 0], side="right")
    rows = np.searchsorted(y_edges, both[:, 1], side="right")
    cell, shape = rows * len(xs) + columns, (len(ys), len(xs))
    counts = np.bincount(cell, minlength=len(xs) * len(ys))
    sums = np.bincount(cell, weights=scores, minlength=len(xs) * len(ys))
    best = np.full(len(xs) * len(ys), -np.inf)
    np.maximum.at(best, cell, scores)
    with np.errstate(invalid="ignore"):
        mean = np.where(counts > 0, sums / counts, np.nan)
    best = np.where(counts > 0, best, np.nan)
    return Cells(xs, ys, best.reshape(shape), mean.reshape(shape), counts.reshape(shape))
