"""The space that a search looks through: its axes, and the combinations by number.

A combination is a row of codes, one float64 for each axis: the index of a value where an axis has a list of
them, else the value itself. Combinations are numbered, and the number and the seed say all about one, so
that any part of a search is made again anywhere from a few numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.rules import ParameterValue

BLOCK: int = 1024
"""Random combinations that are drawn together."""

Value = ParameterValue | None


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter that is searched.

    Attributes
    ----------
    values
        What it may be; empty: any number from ``low`` to ``high``.
    low, high
        Inclusive bounds where there are no values.
    logarithmic
        Whether equal ratios, rather than equal differences, are equally likely. Listed values are numbers
        above 0 in ascending order then.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    logarithmic: bool = False

    def value(self, code: float) -> Value:
        """Return what a code stands for."""
        return self.values[int(code)] if self.values else float(code)

    def draw(self, uniform: Floats) -> Floats:
        """Return codes for numbers that are evenly spread over [0, 1).

        Parameters
        ----------
        uniform
            float64[n].
        """
        if self.values:
            if self.logarithmic and len(self.values) > 1:
                return np.searchsorted(self._shares(), uniform, side="right").astype(np.float64)
            return np.minimum(np.floor(uniform * len(self.values)), len(self.values) - 1.0)
        if self.logarithmic:
            first, last = log(self.low), log(self.high)
            return np.clip(np.exp(first + (last - first) * uniform), self.low, self.high)
        return np.clip(self.low + (self.high - self.low) * uniform, self.low, self.high)

    def _shares(self) -> Floats:
        numbers = np.array([float(each) for each in self.values if each is not None])
        # Each stands for all numbers up to the next one; the last for a step as long as the one before.
        ends = np.append(numbers[1:], 2.0 * numbers[-1] - numbers[-2])
        shares = np.cumsum(np.log(ends) - np.log(numbers))
        scaled: Floats = shares / shares[-1]
        return scaled[:-1]

    def buckets(self, most: int) -> tuple[Floats, list[Value]]:
        """Return the edges between the buckets of a chart's axis, and what to write at each bucket.

        Listed values have a bucket each; the edges are between their codes. A range is cut into ``most``
        equal parts, each named by its middle.
        """
        if self.values:
            return np.arange(1.0, len(self.values)) - 0.5, list(self.values)
        if self.logarithmic:
            edges = np.exp(np.linspace(log(self.low), log(self.high), most + 1))
            return edges[1:-1], np.sqrt(edges[:-1] * edges[1:]).tolist()
        edges = np.linspace(self.low, self.high, most + 1)
        return edges[1:-1], ((edges[:-1] + edges[1:]) / 2).tolist()


@dataclass(frozen=True, slots=True)
class Space:
    """The axes of a search, the slowest first: combinations next to each other differ in the last ones."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int | None:
        """The number of combinations; None if there are endlessly many."""
        total = 1
        for axis in self.axes:
            if not axis.values:
                return None
            total *= len(axis.values)
        return total

    def grid(self, first: int, count: int) -> Floats:
        """Return the combinations with these numbers of all there are.

        Returns
        -------
        float64[count, axes]
        """
        rest: Integers = np.arange(first, first + count, dtype=np.int64)
        codes = np.empty((count, len(self.axes)))
        for column in range(len(self.axes) - 1, -1, -1):
            rest, codes[:, column] = np.divmod(rest, len(self.axes[column].values))
        return codes

    def random(self, seed: int, first: int, count: int) -> Floats:
        """Return random combinations by number, drawn independently of one another.

        The same seed gives the same combinations, whichever part of them is asked for at a time.

        Returns
        -------
        float64[count, axes]
        """
        uniform = np.concatenate(
            [
                # PCG64, whose stream for a seed numpy keeps the same.
                np.random.Generator(np.random.PCG64([seed, block])).random((BLOCK, len(self.axes)))
                for block in range(first // BLOCK, -(-(first + count) // BLOCK))
            ]
        )
        begin = first % BLOCK
        uniform = uniform[begin : begin + count]
        columns = [axis.draw(uniform[:, place]) for place, axis in enumerate(self.axes)]
        return np.ascontiguousarray(np.stack(columns, axis=1))

    def values(self, codes: Sequence[float]) -> dict[str, Value]:
        """Return the values of one combination by axis name."""
        return {axis.name: axis.value(code) for axis, code in zip(self.axes, codes, strict=True)}
