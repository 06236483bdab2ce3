"""Scans over bars on which nothing can fill, with the arithmetic of one bar, in registers."""

from typing import Final

import numpy as np

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import compiled
from gql_trader.engine.kernel.layout import (
    HIGHEST,
    LOWEST,
    MARGIN_LEVEL,
    STOP_LEVEL,
    TRAILING_LEVEL,
    TRAILING_STOP,
)
from gql_trader.engine.kernel.levels import activation_level
from gql_trader.engine.vectors import (
    CACHE_LINE,
    FLAGS,
    LANES,
    WIDTH,
    highest_of_block,
    highest_of_vector,
    lowest_of_block,
    lowest_of_vector,
    lowest_set,
    prefetch,
    raised,
)

MOST_FETCHED: Final = 1024
"""Bars of one position whose prices are fetched in advance, at most; the processor foresees the others."""


@compiled(allocates=False)
def until_a_flag(some: Flags, others: Flags) -> int:
    """Return how many elements come before the first one that is true in either column."""
    n = len(some)
    quiet = 0
    while quiet + FLAGS <= n:
        found = raised(some, others, quiet)
        if found != np.uint64(0):
            return quiet + lowest_set(found)
        quiet += FLAGS
    while quiet < n and not (some[quiet] or others[quiet]):
        quiet += 1
    return quiet


@compiled(allocates=False)
def quiet_without_position(longs: Flags, shorts: Flags, equity: Floats, balance: float) -> int:
    """Return on how many bars nothing is opened, and mark them. Flags are those that would fill there."""
    quiet = until_a_flag(longs, shorts)
    for k in range(quiet):
        equity[k] = balance
    return quiet


@compiled(allocates=False)
def mark(equity: Floats, close: Floats, quiet: int, paid: float, signed: float, entry_price: float) -> None:
    """Mark an open position at the closes of the quiet bars."""
    for k in range(quiet):
        equity[k] = paid + signed * (close[k] - entry_price)


@compiled(allocates=False)
def _fetch(high: Floats, low: Floats, close: Floats, equity: Floats, place: int) -> int:
    """Fetch a block of bars. Return the bar behind it."""
    for line in range(place, place + WIDTH, CACHE_LINE):
        prefetch(high, line)
        prefetch(low, line)
        prefetch(close, line)
        prefetch(equity, line)
    return place + WIDTH


@compiled(allocates=False)
def quiet_long(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    equity: Floats,
    ceiling: float,
    n: int,
    fetched: int,
    wanted: int,
) -> int:
    """Return on how many of the next n bars a long position stays untouched by its levels.

    Meanwhile the bars from one to before another are fetched, a few at a time: the processor has not got much
    room for what it waits for.
    """
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    activation = activation_level(state, spec, 1.0)
    floor = max(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    k = 0
    while True:
        # A block at once, if no bar in it meets even the level that its own highest price would give.
        while k + WIDTH <= n:
            if fetched < wanted:
                fetched = _fetch(high, low, close, equity, fetched)
            block_highest = max(highest, highest_of_block(high, k))
            block_lowest = lowest_of_block(low, k)
            level = floor
            if trailing and block_highest > highest and block_highest >= activation:
                level = max(floor, block_highest * (1.0 - spec[TRAILING_STOP]))
            if block_lowest <= level or block_highest >= ceiling:
                break
            highest = block_highest
            lowest = min(lowest, block_lowest)
            floor = level
            k += WIDTH
        # Likewise what is left; the last vector may begin among bars that have been looked at.
        while k < n and n >= LANES:
            place = min(k, n - LANES)
            block_highest = max(highest, highest_of_vector(high, place))
            block_lowest = lowest_of_vector(low, place)
            level = floor
            if trailing and block_highest > highest and block_highest >= activation:
                level = max(floor, block_highest * (1.0 - spec[TRAILING_STOP]))
            if block_lowest <= level or block_highest >= ceiling:
                break
            highest = block_highest
            lowest = min(lowest, block_lowest)
            floor = level
            k = place + LANES
        stop = min(k + LANES, n)
        while k < stop and low[k] > floor and high[k] < ceiling:
            if low[k] < lowest:
                lowest = low[k]
            if high[k] > highest:
                highest = high[k]
                if trailing and highest >= activation:
                    floor = max(floor, highest * (1.0 - spec[TRAILING_STOP]))
            k += 1
        if k < stop or k == n:
            break
    while fetched < wanted:
        fetched = _fetch(high, low, close, equity, fetched)
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    if trailing and k > 0 and highest >= activation:
        state[TRAILING_LEVEL] = highest * (1.0 - spec[TRAILING_STOP])
    return k


@compiled(allocates=False)
def quiet_short(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    equity: Floats,
    floor: float,
    n: int,
    fetched: int,
    wanted: int,
) -> int:
    """Return on how many of the next n bars a short position stays untouched by its levels.

    Meanwhile the bars from one to before another are fetched, a few at a time: the processor has not got much
    room for what it waits for.
    """
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    activation = activation_level(state, spec, -1.0)
    ceiling = min(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    k = 0
    while True:
        while k + WIDTH <= n:
            if fetched < wanted:
                fetched = _fetch(high, low, close, equity, fetched)
            block_highest = highest_of_block(high, k)
            block_lowest = min(lowest, lowest_of_block(low, k))
            level = ceiling
            if trailing and block_lowest < lowest and block_lowest <= activation:
                level = min(ceiling, block_lowest * (1.0 + spec[TRAILING_STOP]))
            if block_highest >= level or block_lowest <= floor:
                break
            highest = max(highest, block_highest)
            lowest = block_lowest
            ceiling = level
            k += WIDTH
        while k < n and n >= LANES:
            place = min(k, n - LANES)
            block_highest = highest_of_vector(high, place)
            block_lowest = min(lowest, lowest_of_vector(low, place))
            level = ceiling
            if trailing and block_lowest < lowest and block_lowest <= activation:
                level = min(ceiling, block_lowest * (1.0 + spec[TRAILING_STOP]))
            if block_highest >= level or block_lowest <= floor:
                break
            highest = max(highest, block_highest)
            lowest = block_lowest
            ceiling = level
            k = place + LANES
        stop = min(k + LANES, n)
        while k < stop and low[k] > floor and high[k] < ceiling:
            if high[k] > highest:
                highest = high[k]
            if low[k] < lowest:
                lowest = low[k]
                if trailing and lowest <= activation:
                    ceiling = min(ceiling, lowest * (1.0 + spec[TRAILING_STOP]))
            k += 1
        if k < stop or k == n:
            break
    while fetched < wanted:
        fetched = _fetch(high, low, close, equity, fetched)
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    if trailing and k > 0 and lowest <= activation:
        state[TRAILING_LEVEL] = lowest * (1.0 + spec[TRAILING_STOP])
    return k


@compiled(allocates=False)
def next_position(
    time: Integers,
    open_: Floats,
    longs: Flags,
    shorts: Flags,
    long_ends: Flags,
    short_ends: Flags,
    begin: int,
    end: int,
    lag: int,
) -> tuple[int, int]:
    """Return the bars of the next position that signals open on a bar or later, and close: from, and before.

    What it is opened and closed at is fetched. Between positions lie bars that nobody looks at, which is why
    the processor does not see them coming.
    """
    if begin + 1 >= end:
        return begin, begin
    first = begin + until_a_flag(longs[begin - lag : end - lag], shorts[begin - lag : end - lag])
    last = min(first + 1, end)
    last += until_a_flag(long_ends[last - lag : end - lag], short_ends[last - lag : end - lag])
    prefetch(open_, first)
    prefetch(time, first)
    prefetch(open_, last)
    prefetch(time, last)
    return first, min(last + 1, first + MOST_FETCHED)
