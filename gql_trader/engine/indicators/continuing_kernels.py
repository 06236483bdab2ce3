"""The loops of `kernels` whose values depend on all bars before, made to go on where they stopped.

Each does what its namesake there does, operation by operation, so that the digits are the same. What it has
to remember between calls is in ``state``, float64, all zeros before the first call. Where a loop reads values
that it has seen, ``x`` begins with them: only those from ``start`` on are new, and results are of those.
"""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS_IN, compiled

_INT = types.int64
_FLOAT = types.float64
_THREE = types.UniTuple(FLOATS, 3)  # type: ignore[no-untyped-call]


@compiled(FLOATS(FLOATS_IN, _INT, _INT, FLOATS))
def windowed_sum(x: Floats, start: int, period: int, state: Floats) -> Floats:
    """Sum over a sliding window; ``period`` − 1 values are read again. State: sum, values in it."""
    n = x.size
    out = np.empty(n - start)
    total, count = state[0], state[1]
    for i in range(start, n):
        value = x[i]
        if not np.isfinite(value):
            total, count = 0.0, 0.0
            out[i - start] = np.nan
            continue
        total += value
        count += 1.0
        if count < period:
            out[i - start] = np.nan
        else:
            out[i - start] = total
            total -= x[i - period + 1]
    state[0], state[1] = total, count
    return out


@compiled(FLOATS(FLOATS_IN, _INT, _FLOAT, FLOATS))
def smoothed(x: Floats, period: int, factor: float, state: Floats) -> Floats:
    """Exponential average; all of ``x`` is new. State: average, values in it."""
    n = x.size
    out = np.empty(n)
    average, count = state[0], state[1]
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            average, count = 0.0, 0.0
            out[i] = np.nan
            continue
        count += 1.0
        if count < period:
            average += value
            out[i] = np.nan
        elif count == period:
            average = (average + value) / period
            out[i] = average
        else:
            average += (value - average) * factor
            out[i] = average
    state[0], state[1] = average, count
    return out


@compiled(FLOATS(FLOATS_IN, _INT, _INT, FLOATS))
def wma(x: Floats, start: int, period: int, state: Floats) -> Floats:
    """Linearly weighted average; ``period`` − 1 values are read again. State: both sums, values in them."""
    n = x.size
    out = np.empty(n - start)
    divider = period * (period + 1) / 2.0
    weighted, total, count = state[0], state[1], state[2]
    for i in range(start, n):
        value = x[i]
        if not np.isfinite(value):
            weighted, total, count = 0.0, 0.0, 0.0
            out[i - start] = np.nan
            continue
        count += 1.0
        total += value
        if count < period:
            weighted += value * count
            out[i - start] = np.nan
        else:
            weighted += value * period
            out[i - start] = weighted / divider
            weighted -= total
            total -= x[i - period + 1]
    state[0], state[1], state[2] = weighted, total, count
    return out


@compiled(FLOATS(FLOATS_IN, _INT, FLOATS))
def rsi(x: Floats, period: int, state: Floats) -> Floats:
    """Relative strength index; all of ``x`` is new. State: average gain and loss, last value, values."""
    n = x.size
    out = np.empty(n)
    factor = 1.0 / period
    gain, loss, previous, count = state[0], state[1], state[2], state[3]
    for i in range(n):
        value = x[i]
        out[i] = np.nan
        if not np.isfinite(value):
            count = 0.0
            continue
        if count == 0.0:
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
        count += 1.0
    state[0], state[1], state[2], state[3] = gain, loss, previous, count
    return out


@compiled(FLOATS(FLOATS_IN, FLOATS_IN, FLOATS_IN, _INT, FLOATS))
def atr(high: Floats, low: Floats, close: Floats, period: int, state: Floats) -> Floats:
    """Average true range; all bars are new. State: average, last close, bars."""
    n = close.size
    out = np.full(n, np.nan)
    factor = 1.0 / period
    average, previous, seen = state[0], state[1], state[2]
    for i in range(n):
        if seen > 0.0:
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
                average += (true_range - average) * factor
                out[i] = average
        previous = close[i]
        seen += 1.0
    state[0], state[1], state[2] = average, previous, seen
    return out


@compiled(_THREE(FLOATS_IN, _INT, _INT, _INT, FLOATS))
def macd(x: Floats, fast: int, slow: int, signal: int, state: Floats) -> tuple[Floats, Floats, Floats]:
    """MACD line, signal line, histogram; all of ``x`` is new. State: the three averages, values."""
    if fast > slow:
        fast, slow = slow, fast
    n = x.size
    line, signals, histogram = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    fast_factor, slow_factor, signal_factor = 2.0 / (fast + 1), 2.0 / (slow + 1), 2.0 / (signal + 1)
    quick, late, average, count = state[0], state[1], state[2], state[3]
    for i in range(n):
        value = x[i]
        if not np.isfinite(value):
            quick, late, average, count = 0.0, 0.0, 0.0, 0.0
            continue
        count += 1.0
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
        seen = count - slow + 1.0
        if seen < signal:
            average += difference
            continue
        average = (
            (average + difference) / signal
            if seen == signal
            else (average + (difference - average) * signal_factor)
        )
        line[i], signals[i], histogram[i] = difference, average, difference - average
    state[0], state[1], state[2], state[3] = quick, late, average, count
    return line, signals, histogram


@compiled(FLOATS(FLOATS_IN, _INT, _INT, FLOATS))
def stdev(x: Floats, start: int, period: int, state: Floats) -> Floats:
    """Standard deviation; ``period`` values are read again. State: mean, squares, values, equal ones."""
    n = x.size
    out = np.empty(n - start)
    mean, squares, count, equal = state[0], state[1], state[2], state[3]
    for i in range(start, n):
        value = x[i]
        if not np.isfinite(value):
            mean, squares, count, equal = 0.0, 0.0, 0.0, 0.0
            out[i - start] = np.nan
            continue
        equal = equal + 1.0 if count > 0.0 and value == x[i - 1] else 1.0
        if count < period:
            count += 1.0
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
        out[i - start] = np.sqrt(max(squares, 0.0) / period) if count == period else np.nan
    state[0], state[1], state[2], state[3] = mean, squares, count, equal
    return out


@compiled(FLOATS(FLAGS_IN, FLOATS_IN, _INT, FLOATS))
def value_when(condition: Flags, x: Floats, occurrence: int, state: Floats) -> Floats:
    """Value of x when the condition held last or earlier. State: how often, then the last values."""
    n = x.size
    out = np.empty(n)
    seen = int(state[0])
    ring = state[1:]
    for i in range(n):
        if condition[i]:
            ring[seen % (occurrence + 1)] = x[i]
            seen += 1
        out[i] = ring[(seen - 1 - occurrence) % (occurrence + 1)] if seen > occurrence else np.nan
    state[0] = seen
    return out


@compiled(FLOATS(INTEGERS_IN, FLOATS_IN, FLOATS_IN, FLOATS))
def anchored_average(group: Integers, price: Floats, volume: Floats, state: Floats) -> Floats:
    """Average weighted by volume since the group changed. State: paid, traded, the group."""
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
