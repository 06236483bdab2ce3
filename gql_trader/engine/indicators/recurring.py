"""Functions whose values depend on all bars before, over all bars at once or some at a time.

Computing one over all bars is to begin and to go on once, so that both are the same lines.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import DAY
from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.indicators import recurrences
from gql_trader.engine.indicators.catalogue import Values
from gql_trader.engine.indicators.columns import (
    Implementation,
    Operand,
    Result,
    column,
    divide,
    flags,
    integer,
    number,
    series,
)

Continuing = Callable[[Sequence[Operand], Bars], Result]
"""From the operands and bars that are new, in order and nothing left out, to the results at those bars."""

Beginning = Callable[[Values], Continuing]
"""From a function's constant arguments to what computes it from its first bar on."""

FACTORS: Mapping[str, Callable[[int], float]] = {
    "ema": lambda period: 2.0 / (period + 1),
    "rma": lambda period: 1.0 / period,
}
"""Of exponential averages by name: from the period to the weight of the newest value."""


def at_once(begin: Beginning) -> Implementation:
    """Return what computes a function over all bars."""
    return lambda operands, bars, values: begin(values)(operands, bars)


def remembering(
    loop: Callable[..., Floats], tail: int, size: int, *constants: float
) -> Callable[[Floats], Floats]:
    """Return a loop of `recurrences` with what it remembers.

    Parameters
    ----------
    tail
        How many values it reads again; none: it is not told where the new ones begin.
    size
        Length of its state.
    """
    state = np.zeros(size)
    if not tail:
        return lambda x: loop(x, *constants, state)
    kept = np.empty(0)

    def extend(x: Floats) -> Floats:
        nonlocal kept
        start = len(kept)
        joined = np.concatenate((kept, x)) if start else x
        # A copy: a view would hold the whole array for it.
        kept = joined[max(0, len(joined) - tail) :].copy()
        return loop(joined, start, *constants, state)

    return extend


def mean(period: int) -> Callable[[Floats], Floats]:
    """Return a simple average that goes on."""
    return _window(period, float(period))


def deviation(period: int) -> Callable[[Floats], Floats]:
    """Return a standard deviation that goes on."""
    return remembering(recurrences.stdev, period, 4, period)


def bands(middle: Floats, spread: Floats, values: Values) -> tuple[Floats, Floats, Floats]:
    """Return Bollinger bands, the upper one first, from their middle and the standard deviation."""
    return (
        middle + spread * number(values, "nbdevup"),
        middle,
        middle - spread * number(values, "nbdevdn"),
    )


def _window(period: int, divider: float) -> Callable[[Floats], Floats]:
    return remembering(recurrences.windowed_sum, max(period - 1, 1), 2, period, divider)


def _of_source(begin: Callable[[int], Callable[[Floats], Floats]]) -> Beginning:
    def begun(values: Values) -> Continuing:
        extend = begin(integer(values, "period"))
        return lambda operands, _: extend(series(operands[0]))

    return begun


def _smoothed(name: str) -> Beginning:
    factor = FACTORS[name]
    return _of_source(lambda period: remembering(recurrences.smoothed, 0, 2, period, factor(period)))


def _scaled_deviation(values: Values) -> Continuing:
    extend, scale = deviation(integer(values, "period")), number(values, "nbdev")
    return lambda operands, _: extend(series(operands[0])) * scale


def _score(values: Values) -> Continuing:
    period = integer(values, "period")
    average, spread = mean(period), deviation(period)

    def extend(operands: Sequence[Operand], _: Bars) -> Result:
        x = series(operands[0])
        scale = spread(x)
        return divide(x - average(x), scale)

    return extend


def _true_range(values: Values) -> Continuing:
    period, state = integer(values, "period"), np.zeros(3)

    def extend(_: Sequence[Operand], bars: Bars) -> Result:
        high, low, close = (column(bars, name) for name in ("high", "low", "close"))
        return recurrences.atr(high, low, close, period, state)

    return extend


def _macd(values: Values) -> Continuing:
    fast, slow, signal = (integer(values, name) for name in ("fast", "slow", "signal"))
    state = np.zeros(4)
    return lambda operands, _: recurrences.macd(series(operands[0]), fast, slow, signal, state)


def _value_when(values: Values) -> Continuing:
    occurrence = integer(values, "occurrence")
    state = np.zeros(occurrence + 2)

    def extend(operands: Sequence[Operand], _: Bars) -> Result:
        return recurrences.value_when(flags(operands[0]), series(operands[1]), occurrence, state)

    return extend


def _volume_average(values: Values) -> Continuing:
    daily, state = values["anchor"] == "day", np.zeros(3)

    def extend(_: Sequence[Operand], bars: Bars) -> Result:
        group = bars.time // DAY if daily else np.zeros(len(bars), dtype=np.int64)
        price, volume = column(bars, "hlc3"), column(bars, "volume")
        return recurrences.anchored_average(np.ascontiguousarray(group, dtype=np.int64), price, volume, state)

    return extend


class _LastHeld:
    """At which bar a condition held last, counted from the first of all; −1: it never did."""

    def __init__(self) -> None:
        self._seen = 0
        self._last = -1

    def __call__(self, condition: Flags) -> NDArray[np.int64]:
        begin, self._seen = self._seen, self._seen + len(condition)
        index = np.where(condition, np.arange(begin, self._seen, dtype=np.int64), self._last)
        found = np.maximum.accumulate(index)
        if len(found):
            self._last = int(found[-1])
        return found


def _bars_since(_: Values) -> Continuing:
    held, seen = _LastHeld(), 0

    def extend(operands: Sequence[Operand], bars: Bars) -> Result:
        nonlocal seen
        last = held(flags(operands[0]))
        begin, seen = seen, seen + len(bars)
        return np.where(last < 0, np.nan, np.arange(begin, seen) - last)

    return extend


def _since(_: Values) -> Continuing:
    event, reset = _LastHeld(), _LastHeld()

    def extend(operands: Sequence[Operand], _: Bars) -> Result:
        happened, begun = event(flags(operands[0])), reset(flags(operands[1]))
        return (begun >= 0) & (happened >= begun)

    return extend


RECURRING: Mapping[str, Beginning] = {
    "sma": _of_source(mean),
    "sum": _of_source(lambda period: _window(period, 1.0)),
    "ema": _smoothed("ema"),
    "rma": _smoothed("rma"),
    "wma": _of_source(lambda period: remembering(recurrences.wma, max(period - 1, 1), 3, period)),
    "rsi": _of_source(lambda period: remembering(recurrences.rsi, 0, 4, period)),
    "stdev": _of_source(deviation),
    "stddev": _scaled_deviation,
    "atr": _true_range,
    "macd": _macd,
    "zscore": _score,
    "vwap": _volume_average,
    "valuewhen": _value_when,
    "barssince": _bars_since,
    "since": _since,
}
"""Functions of the catalogue by name."""
