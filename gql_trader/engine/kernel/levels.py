"""Prices that are not known until a bar: where a trailing stop begins to follow, and the table of returns."""

import numpy as np

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import compiled
from gql_trader.engine.kernel.layout import (
    ENTRY_PRICE,
    ENTRY_TIME,
    ROI_STEPS,
    SIDE,
    SPEC_FLOATS,
    TRAILING_ACTIVATION,
)


@compiled(allocates=False)
def activation_level(state: Floats, spec: Floats, side: float) -> float:
    """Return the price from which the trailing stop follows."""
    level: float = state[ENTRY_PRICE] * (1.0 + side * spec[TRAILING_ACTIVATION])
    return level


@compiled(allocates=False)
def roi_level(state: Floats, counts: Integers, spec: Floats, choice: Integers, time: int) -> float:
    """Return the price that the table of returns asks for at a moment."""
    side = float(counts[SIDE])
    level = side * np.inf
    age = time - counts[ENTRY_TIME]
    for step in range(choice[ROI_STEPS]):
        if age >= spec[SPEC_FLOATS + 2 * step]:
            level = state[ENTRY_PRICE] * (1.0 + side * spec[SPEC_FLOATS + 2 * step + 1])
    return level


@compiled(allocates=False)
def opening_before(time: Integers, start: int, stop: int, moment: int) -> int:
    """Return how many of the bars from start to stop open before a moment."""
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        if time[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low - start


@compiled(allocates=False)
def same_return_step(
    counts: Integers, spec: Floats, choice: Integers, time: Integers, start: int, stop: int
) -> int:
    """Return for how many bars from start the table of returns asks for what it asks for at the first."""
    age = time[start] - counts[ENTRY_TIME]
    for step in range(choice[ROI_STEPS]):
        if spec[SPEC_FLOATS + 2 * step] > age:
            moment = counts[ENTRY_TIME] + int(spec[SPEC_FLOATS + 2 * step])
            return opening_before(time, start, stop, moment)
    return stop - start
