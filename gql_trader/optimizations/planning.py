"""How a search is cut into chunks, and how far its indicators look back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from gql_trader.core.intervals import Interval
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.rules import RuleIssues
from gql_trader.engine.search.space import Axis, Space, Value
from gql_trader.optimizations.ranges import PREFIX, trial_parameters
from gql_trader.optimizations.types import ChunkKind

MOST_TRIALS = 1024
"""Trials of a chunk: as many as are read to show one of them."""

MOST_WORK = 200_000_000
"""Bars times trials of a chunk: a second or two, which is what a killed worker loses."""

LEAST_WORK = 4_000_000
"""Less than this is not worth a job of its own."""

SHARES = 16
"""Chunks that a search has at least if each has enough to do: several workers begin at once."""

_MOST_TRIED = 512


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a search: ``count`` trials from number ``first`` on."""

    kind: ChunkKind
    stage: int
    first: int
    count: int


def plan_chunks(trials: int, bars: Sequence[int], generation: int | None = None) -> list[Chunk]:
    """Return the chunks of a search, the report last.

    They depend on the search alone and not on the workers there are.

    Parameters
    ----------
    trials
        Of each window.
    bars
        Bars of a trial in each window; one number if the search does not walk forward.
    generation
        Trials that are chosen knowing all before them, so that these must be done first; None: none are.
    """
    step = generation or trials
    chunks = [
        Chunk(ChunkKind.TRIALS, stage, window * trials + first, min(size, stop - first))
        for window, count in enumerate(bars)
        for size in [chunk_size(step, count)]
        for stage, begin in enumerate(range(1, trials + 1, step))
        for stop in [min(begin + step, trials + 1)]
        for first in range(begin, stop, size)
    ]
    last = max(chunk.stage for chunk in chunks)
    return [*chunks, Chunk(ChunkKind.REPORT, last + 1, len(bars) * trials + 1, 0)]


def chunk_size(trials: int, bars: int) -> int:
    """Return how many trials over so many bars go into one chunk."""
    shared = -(-trials // SHARES)
    return max(1, min(MOST_TRIALS, MOST_WORK // bars, max(shared, -(-LEAST_WORK // bars))))


def largest_warmup(
    rules: StrategyCode, parameters: Mapping[str, Any], space: Space, interval: Interval
) -> int | None:
    """Return how many bars the slowest of the combinations needs before its first signal.

    All of them where they are few; else those at the ends of the axes, which have the longest periods. None
    if none of those can be run.
    """
    axes = [axis for axis in space.axes if not axis.name.startswith(PREFIX)]
    longest: int | None = None
    for values in _tried(axes):
        try:
            found = rules.warmup(trial_parameters(parameters, values), interval.milliseconds)
        except RuleIssues:
            continue
        longest = found if longest is None else max(longest, found)
    return longest


def _tried(axes: list[Axis]) -> Iterator[dict[str, Value]]:
    lists = [axis.values or (axis.low, axis.high) for axis in axes]
    total = 1
    for values in lists:
        total *= len(values)
    if total > _MOST_TRIED:
        lists = [(values[0], values[-1]) if len(values) > 2 else values for values in lists]
        lists = lists[:9] + [values[-1:] for values in lists[9:]]
    for chosen in product(*lists):
        yield {axis.name: value for axis, value in zip(axes, chosen, strict=True)}
