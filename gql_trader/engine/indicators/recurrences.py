"""Loops whose values depend on all bars before, made to go on where they stopped.

A backtest runs one over all its bars, a bot over those that are new: what is computed, operation by
operation, stands here for both. ``state`` is what a loop remembers between calls, float64, all zeros before
the first one. A loop that reads values again, to drop them, is given them at the beginning of ``x``: only
those from ``start`` on are new, and results are of those.

Every loop reads its input once, oldest bar first, and returns float64 with NaN where there is no value, by
TA-Lib's conventions. A value that is not finite interrupts it: it starts again behind it, as if the data
began there. Signatures are explicit, so that importing this module compiles or loads everything at once.

Only where averages are asked for nothing but their crossings does `crossings` add up the same numbers in
loops of its own, two averages at a time; a test compares these with the averages themselves.
"""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS_IN, compiled

_INT = types.int64
_FLOAT = types.float64
_THREE = types.UniTuple(FLOATS, 3)  # type: ignore[no-untyped-call]

SETTLING = 60.0
"""After so many times the average age of what it remembers, an average has forgotten where it began."""


@compiled(FLOATS(FLOATS_IN, _INT, _INT, _FLOAT, FLOATS))
def windowed_sum(x: Floats, start: int, period: int, divider: float, state: Floats) -> Floats:
    """Sum over a sliding window, divided by a number: the new value is added before the oldest is dropped.

    ``period`` − 1 values are read again. State: sum without the oldest, values in the window.
    """
    n = x.size
    out = np.empty(n)
    total, missing = state[0], period - int(state[1])
    for i in range(max(start, 0), n):
        value = x[i]
        if not np.isfinite(value):
            total, missing = 0.0, period
            out[i] = np.nan
            continue
        total += value
        missing -= 1
        if missing > 0:
            out[i] = np.nan
        else:
            out[i] = total / divider
            total -= x[i - period + 1]
    state[0], state[1] = total, period - missing
    return out[start:]


@compiled(allocates=False)
def moved(average: float, value: float, factor: float) -> float:
    """Return an exponential average after one more value."""
    return average + (value - average) * factor


@compiled(allocates=False)
def _smoothed_halves(x: Floats, period: int, factor: float, out: Floats) -> bool:
    """Smooth both halves of a series at once; return False if that did not work out, and out is useless.

    Each value waits for the one before, which is all that an exponential average costs. But it forgets: an
    average that starts from anywhere some way before the second half has, when that half begins, become the
    very number that the first half ends with, or has not, which can be seen.
    """
    n = x.size
    settling = int(SETTLING / factor)
    middle = period + (n - period) // 2
    if middle - period < 4 * settling:
        return False
    early = 0.0
    for i in range(period - 1):
        early += x[i]
        out[i] = np.nan
    early = (early + x[period - 1]) / period
    out[period - 1] = early
    late = x[middle - settling]
    for i in range(middle - settling, middle):
        late = moved(late, x[i], factor)
    begun = late
    first, second = x[period:middle], x[middle:]
    first_out, second_out = out[period:middle], out[middle:]
    for k in range(middle - period):
        early = moved(early, first[k], factor)
        late = moved(late, second[k], factor)
        first_out[k] = early
        second_out[k] = late
    for k in range(middle - period, n - middle):
        late = moved(late, second[k], factor)
        second_out[k] = late
    # What is not finite stays so, and has to be interrupted.
    return bool(early == begun and np.isfinite(late))


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT, FLOATS))
def smoothed(x: Floats, period: int, factor: float, state: Floats) -> Floats:
    """Exponential average ``a + (x − a) × factor``, seeded with the mean of the first ``period`` values.

    All of ``x`` is new. State: average, or the sum that it will be seeded with; values seen.
    """
    n = x.size
    out = np.empty(n)
    if state[1] == 0.0 and _smoothed_halves(x, period, factor, out):
        state[0], state[1] = out[n - 1], n
        return out
    average, count = state[0], int(state[1])
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            average, count = 0.0, 0
            out[i] = np.nan
            continue
        count += 1
        if count < period:
            average += value
            out[i] = np.nan
        elif count == period:
            average = (average + value) / period
            out[i] = average
        else:
            average = moved(average, value, factor)
            out[i] = average
    state[0], state[1] = average, count
    return out


@compiled(FLOATS(FLOATS_IN, _INT, _INT, FLOATS))
def wma(x: Floats, start: int, period: int, state: Floats) -> Floats:
    """Linearly weighted average, weights 1 (oldest) to ``period`` (newest).

    ``period`` − 1 values are read again. State: weighted and plain sum without the oldest, values seen.
    """
    n = x.size
    out = np.empty(n)
    divider = period * (period + 1) / 2.0
    weighted, total, count = state[0], state[1], int(state[2])
    for i in range(max(start, 0), n):
        value = x[i]
        if not np.isfinite(value):
            weighted, total, count = 0.0, 0.0, 0
            out[i] = np.nan
            continue
        count += 1
        total += value
        if count < period:
            weighted += value * count
            out[i] = np.nan
        else:
            weighted += value * period
            out[i] = weighted / divider
            weighted -= total
            total -= x[i - period + 1]
    state[0], state[1], state[2] = weighted, total, count
    return out[start:]


@compiled(FLOATS(FLOATS_IN, _INT, FLOATS))
def rsi(x: Floats, period: int, state: Floats) -> Floats:
    """Wilder's relative strength index: 100 × average gain / (average gain + average loss), 0 if flat.

    All of ``x`` is new. State: average gain and loss, or their sums so far; last value; values seen.
    """
    n = x.size
    out = np.empty(n)
    factor = 1.0 / period
    gain, loss, previous, count = state[0], state[1], state[2], int(state[3])
    for i in range(n):
        value = x[i]
        out[i] = np.nan
        if not np.isfinite(value):
            count = 0
            continue
        if count == 0:
            gain, loss = 0.0, 0.0
        else:
            change = value - previous
            up = change if change > 0.0 else 0.0
            down = -change if change < 0.0 else 0.0
            if count <= period:
                gain += up
                loss += down
                if count == period:
                    gain /= period
                    loss /= period
            else:
                gain = moved(gain, up, factor)
                loss = moved(loss, down, factor)
            if count >= period:
                total = gain + loss
                out[i] = 100.0 * (gain / total) if total > 1e-14 else 0.0
        previous = value
        count += 1
    state[0], state[1], state[2], state[3] = gain, loss, previous, count
    return out


@compiled(FLOATS(FLOATS_IN, FLOATS_IN, FLOATS_IN, _INT, FLOATS))
def atr(high: Floats, low: Floats, close: Floats, period: int, state: Floats) -> Floats:
    """Wilder's average of the true range, seeded with the mean of the first ``period`` ranges.

    All bars are new. State: average, or the sum that it will be seeded with; last close; bars seen.
    """
    n = close.size
    out = np.full(n, np.nan)
    factor = 1.0 / period
    average, previous, seen = state[0], state[1], int(state[2])
    begin = 0
    if seen == 0 and n > 0:
        # There is no close before the first bar.
        previous, seen, begin = close[0], 1, 1
    for i in range(begin, n):
        reach = high[i] - low[i]
        above = abs(high[i] - previous)
        below = abs(low[i] - previous)
        true_range = max(reach, above, below)
        if seen < period:
            average += true_range
        elif seen == period:
            average = (average + true_range) / period
            out[i] = average
        else:
            average = moved(average, true_range, factor)
            out[i] = average
        previous = close[i]
        seen += 1
    state[0], state[1], state[2] = average, previous, seen
    return out


@compiled(_THREE(FLOATS_IN, _INT, _INT, _INT, FLOATS))
def macd(x: Floats, fast: int, slow: int, signal: int, state: Floats) -> tuple[Floats, Floats, Floats]:
    """MACD line, signal line and histogram; all three begin with the first value of the signal line.

    As in TA-Lib the fast average is seeded with the ``fast`` values that end where the slow one's seed
    ends, so that both lines begin on the same bar.

    All of ``x`` is new. State: fast, slow and signal average, or the sums that seed them; values seen.
    """
    if fast > slow:
        fast, slow = slow, fast
    n = x.size
    line, signals, histogram = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    fast_factor, slow_factor, signal_factor = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (signal + 1)
    quick, late, average, count = state[0], state[1], state[2], int(state[3])
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            quick, late, average, count = 0.0, 0.0, 0.0, 0
            continue
        count += 1
        if count <= slow:
            late += value
            if count > slow - fast:
                quick += value
            if count < slow:
                continue
            late /= slow
            quick /= fast
        else:
            late = moved(late, value, slow_factor)
            quick = moved(quick, value, fast_factor)
        difference = quick - late
        seen = count - slow + 1
        if seen < signal:
            average += difference
            continue
        if seen == signal:
            average = (average + difference) / signal
        else:
            average = moved(average, difference, signal_factor)
        line[i], signals[i], histogram[i] = difference, average, difference - average
    state[0], state[1], state[2], state[3] = quick, late, average, count
    return line, signals, histogram


@compiled(FLOATS(FLOATS_IN, _INT, _INT, FLOATS))
def stdev(x: Floats, start: int, period: int, state: Floats) -> Floats:
    """Population standard deviation over a sliding window, by Welford's update.

    The sum of squared deviations is updated directly, not as a difference of two large sums, so that a
    small spread around a large price keeps its digits. A window of equal values gives exactly 0.

    ``period`` values are read again. State: mean, squares, values in the window, equal ones up to the last.
    """
    n = x.size
    out = np.empty(n)
    mean, squares, count, equal = state[0], state[1], int(state[2]), int(state[3])
    for i in range(max(start, 0), n):
        value = x[i]
        if not np.isfinite(value):
            mean, squares, count, equal = 0.0, 0.0, 0, 0
            out[i] = np.nan
            continue
        equal = equal + 1 if count > 0 and value == x[i - 1] else 1
        if count < period:
            count += 1
            step = value - mean
            mean += step / count
            squares += step * (value - mean)
        else:
            oldest = x[i - period]
            step = value - oldest
            before = mean
            mean += step / period
            squares += step * (value - mean + oldest - before)
        if equal >= period:
            mean, squares = value, 0.0
        out[i] = np.sqrt(max(squares, 0.0) / period) if count == period else np.nan
    state[0], state[1], state[2], state[3] = mean, squares, count, equal
    return out[start:]


@compiled(FLOATS(FLAGS_IN, FLOATS_IN, _INT, FLOATS))
def value_when(condition: Flags, x: Floats, occurrence: int, state: Floats) -> Floats:
    """Value of x when the condition held for the last time, or ``occurrence`` times before that.

    All bars are new. State: how often it held, and the last ``occurrence`` + 1 values, a ring.
    """
    n = x.size
    out = np.empty(n)
    seen, ring = int(state[0]), state[1:]
    # Where the next value will be, which until then has the oldest.
    place = seen % (occurrence + 1)
    found = ring[place] if seen > occurrence else np.nan
    for i in range(n):
        if condition[i]:
            ring[place] = x[i]
            seen += 1
            place = place + 1 if place < occurrence else 0
            if seen > occurrence:
                found = ring[place]
        out[i] = found
    state[0] = seen
    return out


@compiled(FLOATS(INTEGERS_IN, FLOATS_IN, FLOATS_IN, FLOATS))
def anchored_average(group: Integers, price: Floats, volume: Floats, state: Floats) -> Floats:
    """Average price weighted by volume since the group number last changed; NaN while there is no volume.

    All bars are new. State: paid, traded, the group.
    """
    n = price.size
    out = np.empty(n)
    paid, traded, last = state[0], state[1], int(state[2])
    for i in range(n):
        # Before the first bar there are sums of nothing, whatever its group is.
        if group[i] != last:
            paid, traded, last = 0.0, 0.0, group[i]
        paid += price[i] * volume[i]
        traded += volume[i]
        out[i] = paid / traded if traded > 0.0 else np.nan
    state[0], state[1], state[2] = paid, traded, last
    return out
