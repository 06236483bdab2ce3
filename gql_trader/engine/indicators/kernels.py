"""Hot indicators as compiled loops: TA-Lib's conventions, one fixed order of summation.

Every kernel reads its input once, oldest bar first, and writes float64[n] with NaN where there is no
value. A value that is not finite interrupts an indicator: it starts again behind it, as if the data began
there. Signatures are explicit, so that importing this module compiles or loads everything at once.

`continuing_kernels` has the same operations in the same order, to go on with later bars: what is changed
here is changed there. A test compares the two for every function.
"""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS_IN, compiled
from gql_trader.engine.signals import Words
from gql_trader.engine.vectors import above, below, not_above, not_below, prefetch

_INT = types.int64
_FLOAT = types.float64
_FLAGS = types.Array(types.boolean, 1, "C")
_TWO_FLAGS = types.UniTuple(_FLAGS, 2)  # type: ignore[no-untyped-call]
_TWO_WORDS = types.UniTuple(types.Array(types.uint64, 1, "C"), 2)  # type: ignore[no-untyped-call]
_THREE = types.UniTuple(FLOATS, 3)  # type: ignore[no-untyped-call]


_SETTLING = 60.0
"""After so many times the average age of what it remembers, an average has forgotten where it began."""


@compiled(FLOATS(FLOATS_IN, _INT))
def sma(x: Floats, period: int) -> Floats:
    """Simple moving average: a running sum that adds the new value before it drops the oldest."""
    n = x.size
    out = np.empty(n)
    total, count = 0.0, 0
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            total, count = 0.0, 0
            out[i] = np.nan
            continue
        total += value
        count += 1
        if count < period:
            out[i] = np.nan
        else:
            out[i] = total / period
            total -= x[i - period + 1]
    return out


@compiled(allocates=False)
def _smoothed_halves(x: Floats, period: int, factor: float, out: Floats) -> bool:
    """Smooth both halves of a series at once; return False if that did not work out, and out is useless.

    Each value waits for the one before, which is all that an exponential average costs. But it forgets: an
    average that starts from anywhere some way before the second half has, when that half begins, become the
    very number that the first half ends with, or has not, which can be seen.
    """
    n = x.size
    settling = int(_SETTLING / factor)
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
        late += (x[i] - late) * factor
    begun = late
    first, second = x[period:middle], x[middle:]
    first_out, second_out = out[period:middle], out[middle:]
    for k in range(middle - period):
        early += (first[k] - early) * factor
        late += (second[k] - late) * factor
        first_out[k] = early
        second_out[k] = late
    for k in range(middle - period, n - middle):
        late += (second[k] - late) * factor
        second_out[k] = late
    # What is not finite stays so, and has to be interrupted.
    return bool(early == begun and np.isfinite(late))


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT))
def smoothed(x: Floats, period: int, factor: float) -> Floats:
    """Exponential average ``a + (x − a) × factor``, seeded with the mean of the first ``period`` values."""
    n = x.size
    out = np.empty(n)
    if _smoothed_halves(x, period, factor, out):
        return out
    average, count = 0.0, 0
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
            average += (value - average) * factor
            out[i] = average
    return out


@compiled(FLOATS(FLOATS_IN, _INT))
def wma(x: Floats, period: int) -> Floats:
    """Linearly weighted average, weights 1 (oldest) to ``period`` (newest)."""
    n = x.size
    out = np.empty(n)
    divider = period * (period + 1) / 2.0
    weighted, total, count = 0.0, 0.0, 0
    for i in range(n):
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
    return out


@compiled(FLOATS(FLOATS_IN, _INT))
def rsi(x: Floats, period: int) -> Floats:
    """Wilder's relative strength index: 100 × average gain / (average gain + average loss), 0 if flat."""
    n = x.size
    out = np.empty(n)
    factor = 1.0 / period
    gain, loss, previous, count = 0.0, 0.0, 0.0, 0
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
                gain += (up - gain) * factor
                loss += (down - loss) * factor
            if count >= period:
                total = gain + loss
                out[i] = 100.0 * (gain / total) if total > 1e-14 else 0.0
        previous = value
        count += 1
    return out


@compiled(FLOATS(FLOATS_IN, FLOATS_IN, FLOATS_IN, _INT))
def atr(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Wilder's average of the true range, seeded with the mean of the first ``period`` ranges."""
    n = close.size
    out = np.full(n, np.nan)
    factor = 1.0 / period
    average = 0.0
    for i in range(1, n):
        reach = high[i] - low[i]
        above = abs(high[i] - close[i - 1])
        below = abs(low[i] - close[i - 1])
        true_range = max(reach, above, below)
        if i < period:
            average += true_range
        elif i == period:
            average = (average + true_range) / period
            out[i] = average
        else:
            average += (true_range - average) * factor
            out[i] = average
    return out


@compiled(_THREE(FLOATS_IN, _INT, _INT, _INT))
def macd(x: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats, Floats]:
    """MACD line, signal line and histogram; all three begin with the first value of the signal line.

    As in TA-Lib the fast average is seeded with the ``fast`` values that end where the slow one's seed
    ends, so that both lines begin on the same bar.
    """
    if fast > slow:
        fast, slow = slow, fast
    n = x.size
    line, signals, histogram = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    fast_factor, slow_factor, signal_factor = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (signal + 1)
    quick, late, average, count = 0.0, 0.0, 0.0, 0
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
            late += (value - late) * slow_factor
            quick += (value - quick) * fast_factor
        difference = quick - late
        seen = count - slow + 1
        if seen < signal:
            average += difference
            continue
        average = (
            (average + difference) / signal
            if seen == signal
            else (average + (difference - average) * signal_factor)
        )
        line[i], signals[i], histogram[i] = difference, average, difference - average
    return line, signals, histogram


@compiled(FLOATS(FLOATS_IN, _INT))
def stdev(x: Floats, period: int) -> Floats:
    """Population standard deviation over a sliding window, by Welford's update.

    The sum of squared deviations is updated directly, not as a difference of two large sums, so that a
    small spread around a large price keeps its digits. A window of equal values gives exactly 0.
    """
    n = x.size
    out = np.empty(n)
    mean, squares, count, equal = 0.0, 0.0, 0, 0
    for i in range(n):
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
    return out


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT, types.boolean))
def extreme(x: Floats, period: int, sign: float, ages: bool) -> Floats:
    """Highest (sign 1) or lowest (sign −1) value of a window, or how many bars ago it was.

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


@compiled(FLOATS(FLOATS_IN, _INT))
def windowed_sum(x: Floats, period: int) -> Floats:
    """Sum over a sliding window, in the same order as the simple average."""
    n = x.size
    out = np.empty(n)
    total, count = 0.0, 0
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            total, count = 0.0, 0
            out[i] = np.nan
            continue
        total += value
        count += 1
        if count < period:
            out[i] = np.nan
        else:
            out[i] = total
            total -= x[i - period + 1]
    return out


@compiled(FLOATS(FLAGS_IN, FLOATS_IN, _INT))
def value_when(condition: Flags, x: Floats, occurrence: int) -> Floats:
    """Value of x when the condition held for the last time, or ``occurrence`` times before that."""
    n = x.size
    out = np.empty(n)
    ring = np.empty(occurrence + 1)
    seen = 0
    for i in range(n):
        if condition[i]:
            ring[seen % (occurrence + 1)] = x[i]
            seen += 1
        out[i] = ring[(seen - 1 - occurrence) % (occurrence + 1)] if seen > occurrence else np.nan
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


@compiled(FLOATS(INTEGERS_IN, FLOATS_IN, FLOATS_IN))
def anchored_average(group: Integers, price: Floats, volume: Floats) -> Floats:
    """Average price weighted by volume since the group number last changed; NaN while there is no volume."""
    n = price.size
    out = np.empty(n)
    paid, traded = 0.0, 0.0
    for i in range(n):
        if i == 0 or group[i] != group[i - 1]:
            paid, traded = 0.0, 0.0
        paid += price[i] * volume[i]
        traded += volume[i]
        out[i] = paid / traded if traded > 0.0 else np.nan
    return out
