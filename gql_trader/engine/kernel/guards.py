"""Guards: the trader's days, and the limits of what may be lost or won."""

import numpy as np

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import compiled
from gql_trader.engine.kernel.layout import (
    BALANCE,
    CLOSING,
    DAILY_TARGET,
    DAY,
    DAY_ENTRIES,
    DAY_START_EQUITY,
    ENTRY_FEE,
    ENTRY_PRICE,
    EQUITY,
    FOR_GOOD,
    FOR_THE_DAY,
    HALTED,
    MAX_DAILY_LOSS,
    MAX_DRAWDOWN,
    MILLISECONDS_A_DAY,
    PEAK_EQUITY,
    QUANTITY,
    ROI_STEPS,
    SIDE,
    SPEC_FLOATS,
    ZONE_STEPS,
)
from gql_trader.engine.kernel.levels import opening_before


@compiled(allocates=False)
def _zone_step(spec: Floats, choice: Integers, time: int) -> int:
    """Return where the spec says how far clocks are ahead at a moment: the last step not after it."""
    first = SPEC_FLOATS + 2 * choice[ROI_STEPS]
    low, high = int(np.int64(1)), choice[ZONE_STEPS]
    while low < high:
        middle = (low + high) // 2
        if spec[first + 2 * middle] <= time:
            low = middle + 1
        else:
            high = middle
    step: int = first + 2 * (low - 1)
    return step


@compiled(allocates=False)
def _day_of(spec: Floats, choice: Integers, time: int) -> int:
    """Return the day that clocks show at a moment."""
    if choice[ZONE_STEPS] == 0:
        return time // MILLISECONDS_A_DAY
    ahead = int(spec[_zone_step(spec, choice, time) + 1])
    return (time + ahead) // MILLISECONDS_A_DAY


@compiled(allocates=False)
def _end_of_day(spec: Floats, choice: Integers, time: int) -> int:
    """Return a moment up to which clocks show the day that they show at another: midnight, or a change."""
    if choice[ZONE_STEPS] == 0:
        return (time // MILLISECONDS_A_DAY + 1) * MILLISECONDS_A_DAY
    step = _zone_step(spec, choice, time)
    ahead = int(spec[step + 1])
    end = ((time + ahead) // MILLISECONDS_A_DAY + 1) * MILLISECONDS_A_DAY - ahead
    if step + 2 < SPEC_FLOATS + 2 * (choice[ROI_STEPS] + choice[ZONE_STEPS]):
        end = min(end, int(spec[step + 2]))
    return end


@compiled(allocates=False)
def begin_day(state: Floats, counts: Integers, spec: Floats, choice: Integers, time: int) -> None:
    """Begin the day of a moment, unless it has begun: the account counts from its last mark.

    A day does not begin again when clocks are set back over midnight.
    """
    day = _day_of(spec, choice, time)
    if day > counts[DAY]:
        counts[DAY] = day
        counts[DAY_ENTRIES] = 0
        if counts[HALTED] == FOR_THE_DAY:
            counts[HALTED] = 0
        state[DAY_START_EQUITY] = state[EQUITY]


@compiled(allocates=False)
def guard(state: Floats, counts: Integers, spec: Floats) -> None:
    """Let the guards look at the equity marked at a close."""
    if spec[MAX_DRAWDOWN] > 0.0:
        state[PEAK_EQUITY] = max(state[PEAK_EQUITY], state[EQUITY])
        if counts[HALTED] != FOR_GOOD and state[EQUITY] <= state[PEAK_EQUITY] * (1.0 - spec[MAX_DRAWDOWN]):
            counts[HALTED] = FOR_GOOD
            counts[CLOSING] = abs(counts[SIDE])
    if counts[HALTED] == 0:
        start = state[DAY_START_EQUITY]
        lost = spec[MAX_DAILY_LOSS] > 0.0 and state[EQUITY] <= start * (1.0 - spec[MAX_DAILY_LOSS])
        won = spec[DAILY_TARGET] > 0.0 and state[EQUITY] >= start * (1.0 + spec[DAILY_TARGET])
        if lost or won:
            counts[HALTED] = FOR_THE_DAY
            counts[CLOSING] = abs(counts[SIDE])


@compiled(allocates=False)
def unguarded(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    time: Integers,
    close: Floats,
    interval: int,
    start: int,
    stop: int,
) -> int:
    """Return for how many bars from start no day begins and no guard trips, while a position is open."""
    if counts[CLOSING] != 0 or _day_of(spec, choice, time[start]) != counts[DAY]:
        return 0
    # A bar that closes at midnight is the old day's.
    n = opening_before(time, start, stop, _end_of_day(spec, choice, time[start]) - interval + 1)
    begun = state[DAY_START_EQUITY]
    least = begun * (1.0 - spec[MAX_DAILY_LOSS]) if spec[MAX_DAILY_LOSS] > 0.0 else -np.inf
    most = begun * (1.0 + spec[DAILY_TARGET]) if spec[DAILY_TARGET] > 0.0 else np.inf
    peak = state[PEAK_EQUITY]
    kept = 1.0 - spec[MAX_DRAWDOWN] if spec[MAX_DRAWDOWN] > 0.0 else -np.inf
    paid = state[BALANCE] - state[ENTRY_FEE]
    signed = counts[SIDE] * state[QUANTITY]
    for k in range(n):
        mark = paid + signed * (close[start + k] - state[ENTRY_PRICE])
        peak = max(peak, mark)
        if mark <= least or mark >= most or mark <= peak * kept:
            return k
    return n
