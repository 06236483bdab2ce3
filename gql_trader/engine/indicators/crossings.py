"""Where two running averages of one series cross, without a column for either.

The averages are those of `recurrences`, digit by digit, since equal ones that their rounding makes unequal
are a crossing or none; what is changed there is changed here. But nearly everywhere they lie further apart
than rounding can move them. So both are computed for many bars at once first, in another order, and it is
only asked which is the higher; where that is in doubt for a single bar, all is done again one by one.

How far two orders of summation may lie apart, in half digits of the largest magnitude so far (each operation
is wrong by half a digit of its result at most, and the second order may or may not multiply and add in one).
A simple average is made by a sum and a difference a bar, wrong for ever by half a digit of a whole period's
sum each: of two averages, 4 a bar. In blocks, the distance of two averages is carried from eight bars to the
next: 1/4 a bar. Its steps, at most twice one value's share of the shorter average each, are wrong by 11 such
shares with their rounded factors, and adding up eight of them by 6 a bar. An exponential average forgets, so
that what is wrong adds up to that of as many bars as it remembers: 1 a bar and 4 of its factor's share one
by one, 18 and 184 of that share for each eight bars in blocks. The margins below are larger than that, and
contain what does not add up.
"""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats
from gql_trader.engine.indicators.crossing_vectors import (
    clear_block,
    largest_of_block,
    simple_sides,
    smoothed_sides,
)
from gql_trader.engine.indicators.recurrences import SETTLING, moved
from gql_trader.engine.jit import FLOATS_IN, compiled
from gql_trader.engine.signals import WORD
from gql_trader.engine.vectors import AHEAD, CACHE_LINE, lowest_set, prefetch

_INT = types.int64
_FLOAT = types.float64
_TWO_FLAGS = types.UniTuple(types.Array(types.boolean, 1, "C"), 2)  # type: ignore[no-untyped-call]

_CLOSE = 1e-12
"""Two averages that differ by more than this share of one were not made unequal by rounding."""

_TINY = 1e-290
"""Numbers of this size are rounded by more than their share."""

_HUGE = 1e290
"""Sums of numbers of this size may be too large to be numbers."""

_HALF_DIGIT = 2.0**-53
_AVERAGED_ERRORS = 5.0
"""Half digits a bar, of simple averages."""

_STEPPED_ERRORS = 20.0
"""Half digits a bar, of one value's share of the shorter simple average."""

_ERRORS_AT_ONCE = 80.0
"""Half digits that do not add up."""

_SMOOTHED_ERRORS = 150.0
"""Half digits for each bar that an average remembers."""

_UNKNOWN = np.nan
"""Side of an average that has no value."""


@compiled(allocates=False)
def _clear(flags: Flags, start: int, stop: int) -> None:
    """Take back the flags of some bars."""
    for i in range(start, stop):
        flags[i] = False


@compiled(allocates=False)
def _mark(flags: Flags, start: int, bits: np.uint64) -> None:
    """Set the flags of the bars from a start on whose bits are set."""
    one = np.uint64(1)
    while bits != np.uint64(0):
        flags[start + lowest_set(bits)] = True
        bits &= bits - one


@compiled(allocates=False)
def _mark_changes(over: Flags, under: Flags, start: int, above: np.uint64, was_above: np.uint64) -> None:
    """Mark on which of 64 bars the side changes, and on no other; what is not above is below."""
    # Not all flags of the series at once before: the processor would have nothing else to do meanwhile.
    clear_block(over, start)
    clear_block(under, start)
    before = (above << np.uint64(1)) | was_above
    _mark(over, start, above & ~before)
    _mark(under, start, ~above & before)


@compiled(allocates=False)
def _largest(x: Floats, start: int, stop: int) -> float:
    """Return the largest magnitude of some bars; infinite where one is not a number."""
    largest = 0.0
    for i in range(start, stop):
        size = abs(x[i])
        if not size <= largest:
            largest = size if size > largest else np.inf
    return largest


@compiled(allocates=False)
def _simple_at_once(x: Floats, shorter: int, longer: int, over: Flags, under: Flags) -> bool:
    """Find the crossings of simple averages in blocks of bars; return False if a side is in doubt."""
    n = x.size
    everywhere = ~np.uint64(0)
    begin = longer
    if n < begin + WORD:
        return False
    quick, late = 0.0, 0.0
    for i in range(longer):
        late += x[i]
    for i in range(longer - shorter, longer):
        quick += x[i]
    apart = quick / shorter - late / longer
    largest = _largest(x, 0, longer)
    at_once = _ERRORS_AT_ONCE * _HALF_DIGIT
    each_bar = (_AVERAGED_ERRORS + _STEPPED_ERRORS / shorter) * _HALF_DIGIT
    doubt = 2.0 * longer * each_bar * largest + _TINY
    margin = doubt + at_once * largest
    if not (largest < _HUGE / longer and abs(apart) > margin):
        return False
    was_above = np.uint64(apart > 0.0)
    _clear(over, 0, begin)
    _clear(under, 0, begin)
    while begin + WORD <= n:
        largest = max(largest, largest_of_block(x, begin))
        doubt += WORD * each_bar * largest
        margin = doubt + at_once * largest
        for line in range(begin + AHEAD, begin + AHEAD + WORD, CACHE_LINE):
            prefetch(x, line)
        above, below, apart = simple_sides(x, begin, shorter, longer, apart, margin)
        if (above | below) != everywhere or not largest < _HUGE / longer:
            return False
        _mark_changes(over, under, begin, above, was_above)
        was_above = above >> np.uint64(WORD - 1)
        begin += WORD
    margin = doubt + (WORD * each_bar + at_once) * max(largest, _largest(x, begin, n))
    for i in range(begin, n):
        apart += (x[i] - x[i - shorter]) / shorter - (x[i] - x[i - longer]) / longer
        if not (margin < _HUGE * _HALF_DIGIT and abs(apart) > margin):
            return False
        now = np.uint64(apart > 0.0)
        over[i] = now > was_above
        under[i] = now < was_above
        was_above = now
    return True


@compiled(_TWO_FLAGS(FLOATS_IN, _INT, _INT))
def sma_crosses(x: Floats, first: int, second: int) -> tuple[Flags, Flags]:
    """Where the simple average of the first period rises above that of the second, and the other way."""
    n = x.size
    over, under = np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.bool_)
    shorter, longer = min(first, second), max(first, second)
    if _simple_at_once(x, shorter, longer, over, under):
        return (over, under) if first <= second else (under, over)
    over[:] = False
    under[:] = False
    quick_share, late_share = 1.0 / shorter, 1.0 / longer
    start = 0
    while start + longer <= n:
        quick, late = 0.0, 0.0
        warm = start + longer - 1
        restart = n
        for i in range(start, warm):
            if not np.isfinite(x[i]):
                restart = i + 1
                break
            quick += x[i]
            late += x[i]
            if i >= start + shorter - 1:
                quick -= x[i - shorter + 1]
        if restart < n:
            start = restart
            continue
        new, quick_old, late_old = x[warm:], x[warm - shorter + 1 :], x[start:]
        side = _UNKNOWN
        for k in range(n - warm):
            quick += new[k]
            late += new[k]
            # Divisions cost more than all the rest, and are not needed to see that nothing has crossed. What
            # is not finite never passes.
            about = quick * quick_share
            if not ((about - late * late_share) * side > _CLOSE * abs(about) + _TINY):
                if not np.isfinite(new[k]):
                    restart = warm + k + 1
                    break
                quick_average, late_average = quick / shorter, late / longer
                now = _UNKNOWN
                if quick_average > late_average:
                    now = 1.0
                    over[warm + k] = side in (0.0, -1.0)
                elif quick_average < late_average:
                    now = -1.0
                    under[warm + k] = side in (0.0, 1.0)
                elif quick_average == late_average:
                    now = 0.0
                side = now
            quick -= quick_old[k]
            late -= late_old[k]
        start = restart
    return (over, under) if first <= second else (under, over)


@compiled(allocates=False)
def _smoothed_at_once(
    x: Floats, first: int, second: int, first_factor: float, second_factor: float, over: Flags, under: Flags
) -> bool:
    """Find the crossings of exponential averages in blocks of bars; return False if a side is in doubt."""
    n = x.size
    everywhere = ~np.uint64(0)
    begin = max(first, second)
    if n < begin + WORD:
        return False
    a, b = 0.0, 0.0
    for i in range(begin):
        if i < first:
            a += x[i]
            if i == first - 1:
                a /= first
        else:
            a = moved(a, x[i], first_factor)
        if i < second:
            b += x[i]
            if i == second - 1:
                b /= second
        else:
            b = moved(b, x[i], second_factor)
    largest = _largest(x, 0, begin)
    errors = _SMOOTHED_ERRORS * _HALF_DIGIT * (1.0 / first_factor + 1.0 / second_factor)
    margin = errors * largest + _TINY
    if not (largest < _HUGE / begin and abs(a - b) > margin):
        return False
    was_above = np.uint64(a > b)
    _clear(over, 0, begin)
    _clear(under, 0, begin)
    while begin + WORD <= n:
        largest = max(largest, largest_of_block(x, begin))
        margin = errors * largest + _TINY
        for line in range(begin + AHEAD, begin + AHEAD + WORD, CACHE_LINE):
            prefetch(x, line)
        above, below, a, b = smoothed_sides(x, begin, first_factor, second_factor, a, b, margin)
        if (above | below) != everywhere or not largest < _HUGE:
            return False
        _mark_changes(over, under, begin, above, was_above)
        was_above = above >> np.uint64(WORD - 1)
        begin += WORD
    margin = errors * max(largest, _largest(x, begin, n)) + _TINY
    for i in range(begin, n):
        a = moved(a, x[i], first_factor)
        b = moved(b, x[i], second_factor)
        if not (margin < _HUGE * _HALF_DIGIT and abs(a - b) > margin):
            return False
        now = np.uint64(a > b)
        over[i] = now > was_above
        under[i] = now < was_above
        was_above = now
    return True


@compiled(allocates=False)
def _smoothed_crosses_halves(
    x: Floats, first: int, second: int, first_factor: float, second_factor: float, over: Flags, under: Flags
) -> bool:
    """Find crossings in both halves of a series at once, as `recurrences.smoothed` does; false if in vain."""
    n = x.size
    start = max(first, second)
    settling = int(SETTLING / min(first_factor, second_factor))
    middle = start + (n - start) // 2
    if middle - start < 4 * settling:
        return False
    a, b = 0.0, 0.0
    before_a, before_b = np.nan, np.nan
    for i in range(start):
        before_a = a if i >= first else np.nan
        before_b = b if i >= second else np.nan
        if i < first - 1:
            a += x[i]
        elif i == first - 1:
            a = (a + x[i]) / first
        else:
            a = moved(a, x[i], first_factor)
        if i < second - 1:
            b += x[i]
        elif i == second - 1:
            b = (b + x[i]) / second
        else:
            b = moved(b, x[i], second_factor)
        warm = i >= start - 1
        over[i] = warm & (a > b) & (before_a <= before_b)
        under[i] = warm & (b > a) & (before_b <= before_a)
    c = d = x[middle - settling]
    for i in range(middle - settling, middle):
        c = moved(c, x[i], first_factor)
        d = moved(d, x[i], second_factor)
    begun_c, begun_d = c, d
    early, late = x[start:middle], x[middle:]
    for k in range(middle - start):
        before_a, before_b, before_c, before_d = a, b, c, d
        a = moved(a, early[k], first_factor)
        b = moved(b, early[k], second_factor)
        c = moved(c, late[k], first_factor)
        d = moved(d, late[k], second_factor)
        over[start + k] = (a > b) & (before_a <= before_b)
        under[start + k] = (b > a) & (before_b <= before_a)
        over[middle + k] = (c > d) & (before_c <= before_d)
        under[middle + k] = (d > c) & (before_d <= before_c)
    for i in range(2 * middle - start, n):
        before_c, before_d = c, d
        c = moved(c, x[i], first_factor)
        d = moved(d, x[i], second_factor)
        over[i] = (c > d) & (before_c <= before_d)
        under[i] = (d > c) & (before_d <= before_c)
    return bool(a == begun_c and b == begun_d and np.isfinite(c) and np.isfinite(d))


@compiled(_TWO_FLAGS(FLOATS_IN, _INT, _INT, _FLOAT, _FLOAT))
def smoothed_crosses(
    x: Floats, first: int, second: int, first_factor: float, second_factor: float
) -> tuple[Flags, Flags]:
    """Where the first exponential average rises above the second, and the other way."""
    n = x.size
    over, under = np.empty(n, dtype=np.bool_), np.empty(n, dtype=np.bool_)
    if _smoothed_at_once(x, first, second, first_factor, second_factor, over, under):
        return over, under
    if _smoothed_crosses_halves(x, first, second, first_factor, second_factor, over, under):
        return over, under
    first_state, second_state, count = 0.0, 0.0, 0
    first_before, second_before = np.nan, np.nan
    for i in range(n):
        value = x[i]
        first_average, second_average = np.nan, np.nan
        if not np.isfinite(value):
            first_state, second_state, count = 0.0, 0.0, 0
        else:
            count += 1
            if count > first:
                first_state = moved(first_state, value, first_factor)
                first_average = first_state
            elif count < first:
                first_state += value
            else:
                first_state = (first_state + value) / first
                first_average = first_state
            if count > second:
                second_state = moved(second_state, value, second_factor)
                second_average = second_state
            elif count < second:
                second_state += value
            else:
                second_state = (second_state + value) / second
                second_average = second_state
        over[i] = (first_average > second_average) & (first_before <= second_before)
        under[i] = (second_average > first_average) & (second_before <= first_before)
        first_before, second_before = first_average, second_average
    return over, under
