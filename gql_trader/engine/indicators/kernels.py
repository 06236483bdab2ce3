"""Compiled loops over all bars at once: extremes of windows, and where two columns cross.

What bars before a window have a part in is in `recurrences`. Signatures are explicit, so that importing this
module compiles or loads everything at once.
"""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats
from gql_trader.engine.jit import FLOATS, FLOATS_IN, compiled
from gql_trader.engine.signals import Words
from gql_trader.engine.vectors import above, below, not_above, not_below, prefetch

_INT = types.int64
_FLOAT = types.float64
_FLAGS = types.Array(types.boolean, 1, "C")
_TWO_FLAGS = types.UniTuple(_FLAGS, 2)  # type: ignore[no-untyped-call]
_TWO_WORDS = types.UniTuple(types.Array(types.uint64, 1, "C"), 2)  # type: ignore[no-untyped-call]


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT, types.boolean))
def extreme(x: Floats, period: int, sign: float, ages: bool) -> Floats:
    """Highest (sign 1) or lowest (sign −1) value of a window, or how many bars ago it was.

    NaN until the window is full. A value that is not finite interrupts it: it starts again behind it, as if
    the data began there.

    Candidates wait in a ring in order of value, so that the cost does not grow with the period.
    """
    n = x.size
    out = np.empty(n)
    ring = np.empty(period, dtype=np.int64)
    head, length, count = 0, 0, 0
    for i in range(n):
        value = x[i]
        out[i] = np.nan
        if not np.isfinite(value):
            length, count = 0, 0
            continue
        count += 1
        if length > 0 and ring[head] <= i - period:
            head = head + 1 if head + 1 < period else 0
            length -= 1
        while length > 0:
            last = head + length - 1
            if last >= period:
                last -= period
            if (value - x[ring[last]]) * sign < 0.0:
                break
            length -= 1
        tail = head + length
        if tail >= period:
            tail -= period
        ring[tail] = i
        length += 1
        if count >= period:
            out[i] = i - ring[head] if ages else x[ring[head]]
    return out


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT))
def extreme_of_finite(x: Floats, period: int, sign: float) -> Floats:
    """Highest (sign 1) or lowest (sign −1) value of a window, where every value is finite.

    Faster than `extreme`, with the same values. The bars are cut into blocks of one period; a window is
    the end of one block and the beginning of the next, whose maxima are carried along (van Herk, 1992).
    """
    n = x.size
    out = np.empty(n)
    # Maximum of the block before from an offset to its end; nothing begins behind its end.
    ends = np.full(period + 1, -np.inf)
    for start in range(0, n, period):
        stop = min(start + period, n)
        best = -np.inf
        for i in range(start, stop):
            best = max(best, x[i] * sign)
            out[i] = max(best, ends[i - start + 1]) * sign
        best = -np.inf
        for i in range(stop - 1, start - 1, -1):
            best = max(best, x[i] * sign)
            ends[i - start] = best
    out[: period - 1] = np.nan
    return out


@compiled(_FLAGS(FLOATS_IN, FLOATS_IN))
def crosses(x: Floats, y: Floats) -> Flags:
    """Return where x is above y and was not on the bar before; false on the first bar and next to NaN."""
    n = x.size
    out = np.empty(n, dtype=np.bool_)
    if n > 0:
        out[0] = False
    for i in range(1, n):
        out[i] = (x[i] > y[i]) & (x[i - 1] <= y[i - 1])
    return out


@compiled(_TWO_FLAGS(FLOATS_IN, FLOATS_IN))
def both_crosses(x: Floats, y: Floats) -> tuple[Flags, Flags]:
    """Return where x crosses above y and where below, as `crosses` does, in one pass over both columns."""
    n = x.size
    above = np.empty(n, dtype=np.bool_)
    below = np.empty(n, dtype=np.bool_)
    if n > 0:
        above[0] = False
        below[0] = False
    for i in range(1, n):
        above[i] = (x[i] > y[i]) & (x[i - 1] <= y[i - 1])
        below[i] = (x[i] < y[i]) & (x[i - 1] >= y[i - 1])
    return above, below


@compiled(_TWO_WORDS(FLOATS_IN, FLOATS_IN))
def packed_crosses(x: Floats, y: Floats) -> tuple[Words, Words]:
    """Return where x crosses above y and where below, as `both_crosses` does, a bit a bar."""
    n = x.size
    over = np.zeros((n + 63) // 64, dtype=np.uint64)
    under = np.zeros((n + 63) // 64, dtype=np.uint64)
    one = np.uint64(1)
    was_not_above, was_not_below = np.uint64(0), np.uint64(0)
    for word in range(n // 64):
        begin = 64 * word
        for line in range(8):
            prefetch(x, begin + 512 + 8 * line)
            prefetch(y, begin + 512 + 8 * line)
        lower, higher = not_above(x, y, begin), not_below(x, y, begin)
        over[word] = above(x, y, begin) & ((lower << one) | was_not_above)
        under[word] = below(x, y, begin) & ((higher << one) | was_not_below)
        was_not_above, was_not_below = lower >> np.uint64(63), higher >> np.uint64(63)
    for i in range(max(n // 64 * 64, 1), n):
        bit = one << np.uint64(i % 64)
        if x[i] > y[i] and x[i - 1] <= y[i - 1]:
            over[i // 64] |= bit
        if x[i] < y[i] and x[i - 1] >= y[i - 1]:
            under[i // 64] |= bit
    return over, under
