"""Sums as numpy adds, for compiled loops."""

from typing import Final

import numpy as np

from gql_trader.engine.bars import Floats
from gql_trader.engine.jit import compiled

HALVE_ABOVE: Final = 128
"""Values that are added without halving them."""

STACK: Final = 4 * 64
"""Numbers that a sum remembers."""


@compiled(allocates=False)
def _short_sum(values: Floats, begin: int, count: int) -> float:
    """Return the sum of at most 128 values, in eight lanes."""
    total = 0.0
    k = 0
    if count >= 8:
        a = values[begin]
        b = values[begin + 1]
        c = values[begin + 2]
        d = values[begin + 3]
        e = values[begin + 4]
        f = values[begin + 5]
        g = values[begin + 6]
        h = values[begin + 7]
        k = 8
        while k < count - count % 8:
            a += values[begin + k]
            b += values[begin + k + 1]
            c += values[begin + k + 2]
            d += values[begin + k + 3]
            e += values[begin + k + 4]
            f += values[begin + k + 5]
            g += values[begin + k + 6]
            h += values[begin + k + 7]
            k += 8
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for rest in range(begin + k, begin + count):
        total += values[rest]
    return total


@compiled(allocates=False)
def sum_of(values: Floats, count: int, stack: Floats) -> float:
    """Return a sum in the order in which numpy adds: by halves, whose error grows with the logarithm.

    Numba does not keep functions that call themselves, so the halves that wait are on a stack.

    Parameters
    ----------
    stack
        float64[STACK], for the begin, count, state and first half's sum of each level.
    """
    level = 0
    stack[0] = 0.0
    stack[1] = count
    stack[2] = 0.0
    total = 0.0
    while level >= 0:
        at = 4 * level
        size = int(stack[at + 1])
        if stack[at + 2] == 0.0 and size <= HALVE_ABOVE:
            total = _short_sum(values, int(stack[at]), size)
            level -= 1
            continue
        half = size // 2
        half -= half % 8
        if stack[at + 2] == 2.0:
            total = stack[at + 3] + total
            level -= 1
            continue
        first = stack[at + 2] == 0.0
        if not first:
            stack[at + 3] = total
        stack[at + 2] += 1.0
        level += 1
        stack[at + 4] = stack[at] if first else stack[at] + half
        stack[at + 5] = half if first else size - half
        stack[at + 6] = 0.0
    return total


@compiled(allocates=False)
def deviation_of(values: Floats, count: int, mean: float, scratch: Floats, stack: Floats) -> float:
    """Return the standard deviation, ddof 1, of the first `count` values; exactly 0.0 if all are equal."""
    lowest = values[0]
    highest = values[0]
    for k in range(count):
        lowest = min(lowest, values[k])
        highest = max(highest, values[k])
        scratch[k] = (values[k] - mean) * (values[k] - mean)
    if lowest == highest:
        return 0.0
    return float(np.sqrt(sum_of(scratch, count, stack) / (count - 1)))
