"""Indicators that go on with later bars, at a cost that does not depend on how many there were before.

The values are those that `implementations.compute` has for the same bars if it is given all of them, bit for
bit. A function is continued in one of four ways: what looks at one bar is computed for the new ones; what
looks back a fixed number of bars is computed again over so many; what `recurring` has goes on from what it
remembers; and TA-Lib has a handle for each of its own, which it promises to agree with itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import talib
from talib import stream

from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.indicators import CATALOGUE
from gql_trader.engine.indicators.catalogue import Function, Values
from gql_trader.engine.indicators.columns import Column, Operand, Result, column, integer, series
from gql_trader.engine.indicators.implementations import compute, is_own
from gql_trader.engine.indicators.recurring import (
    RECURRING,
    Beginning,
    Continuing,
    bands,
    deviation,
    mean,
)
from gql_trader.engine.indicators.talib_calls import constants_of, finite_runs


def load() -> None:
    """Do nothing: importing this module has loaded every kernel."""


def continuing(function: Function, values: Values) -> Continuing:
    """Return what computes a function from its first bar on, some bars at a time.

    Parameters
    ----------
    values
        Its constant arguments, as for `compute`.
    """
    if function.pointwise:
        return lambda operands, bars: compute(function, operands, bars, values)
    own = _OWN.get(function.name)
    if own is not None:
        return own(values)
    if function.name in WINDOWED:
        return _Windowed(function, values)
    if is_own(function.name):
        raise LookupError(f"nobody has said how {function.name}() goes on with later bars")
    return _Streamed(function, values)


WINDOWED = frozenset(
    {
        "crossover",
        "crossunder",
        "cross",
        "rising",
        "falling",
        "count",
        "highest",
        "lowest",
        "highestbars",
        "lowestbars",
        "donchian",
        "ichimoku",
    }
)
"""Functions whose value at a bar is made of those that they look back at, and has no rounding to hand on."""

_EMPTY = np.empty(0)
_NO_COLUMNS: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close", "volume"), _EMPTY)


class _Windowed:
    """Computes a function over the new bars and those that it looks back at."""

    def __init__(self, function: Function, values: Values) -> None:
        self._function = function
        self._values = values
        self._lookback = function.lookback(values)
        self._kept: list[Column] = []

    def __call__(self, operands: Sequence[Operand], bars: Bars) -> Result:
        names = self._function.columns
        inputs = [each for each in operands if isinstance(each, np.ndarray)]
        inputs += [getattr(bars, name) for name in names]
        old = len(self._kept[0]) if self._kept else 0
        if old:
            joined = zip(self._kept, inputs, strict=True)
            inputs = [cast("Column", np.concatenate(pair)) for pair in joined]
        n = old + len(bars)
        # Copies: a view would hold the whole array for one that is as long as the look-back.
        self._kept = [each[max(0, n - self._lookback) :].copy() for each in inputs]
        waiting = iter(inputs)
        given = [next(waiting) if isinstance(each, np.ndarray) else each for each in operands]
        # None of them asks for the time of a bar.
        columns = _NO_COLUMNS | dict(zip(names, waiting, strict=True))
        found = compute(
            self._function,
            given,
            Bars(np.empty(n, np.int64), **columns, interval=bars.interval),
            self._values,
        )
        return tuple(each[old:] for each in found) if isinstance(found, tuple) else found[old:]


class _Streamed:
    """Computes a function of TA-Lib, each run of defined values with a handle of its own."""

    def __init__(self, function: Function, values: Values) -> None:
        self._function = function
        self._values = values
        self._kind: Any = getattr(stream, function.name.upper())
        self._constants = constants_of(function, values)
        self._lookback = function.lookback(values)
        self._handle: Any = None
        # The run that has begun, as long as it is too short for a handle.
        self._begun: list[Floats] = []

    def __call__(self, operands: Sequence[Operand], bars: Bars) -> Result:
        inputs = [*map(series, operands), *(column(bars, name) for name in self._function.columns)]
        outputs = tuple(np.full(len(bars), np.nan) for _ in range(max(len(self._function.outputs), 1)))
        before = 0
        for start, stop in finite_runs(inputs[: len(operands)], len(bars)):
            if start > before:
                self._interrupt()
            self._go_on([each[start:stop] for each in inputs], [each[start:stop] for each in outputs])
            before = stop
        if before < len(bars):
            self._interrupt()
        return outputs if self._function.outputs else outputs[0]

    def _interrupt(self) -> None:
        self._handle, self._begun = None, []

    def _go_on(self, inputs: Sequence[Floats], outputs: Sequence[Floats]) -> None:
        if self._handle is None:
            self._begin(inputs, outputs)
            return
        update = self._handle.update
        if len(outputs) == 1:
            (output,) = outputs
            for at, values in enumerate(zip(*(each.tolist() for each in inputs), strict=True)):
                output[at] = update(*values)
        else:
            for at, values in enumerate(zip(*(each.tolist() for each in inputs), strict=True)):
                for output, value in zip(outputs, update(*values), strict=True):
                    output[at] = value

    def _begin(self, inputs: Sequence[Floats], outputs: Sequence[Floats]) -> None:
        old = len(self._begun[0]) if self._begun else 0
        joined = [np.concatenate(pair) for pair in zip(self._begun, inputs, strict=True)] if old else inputs
        n = len(joined[0])
        if n > self._lookback:
            try:
                self._handle, found = self._kind.open_and_fill(*joined, **self._constants)
            except talib.InsufficientHistory:  # type: ignore[attr-defined]
                found = getattr(talib, self._function.name.upper())(*joined, **self._constants)
            first = max(old, self._lookback)
            for output, values in zip(outputs, found if isinstance(found, tuple) else (found,), strict=True):
                output[first - old :] = values[first:]
        self._begun = [] if self._handle is not None else [np.array(each) for each in joined]


def _average(values: Values) -> Callable[[Sequence[Operand], Bars], Floats]:
    # Of the kind that the values name, as bands() has it.
    period = integer(values, "period")
    if values["matype"] == "sma":
        extend = mean(period)
        return lambda operands, _: extend(series(operands[0]))
    other = _Streamed(CATALOGUE["ma"], {"period": period, "matype": values["matype"]})

    def streamed(operands: Sequence[Operand], bars: Bars) -> Floats:
        found = other(operands, bars)
        assert isinstance(found, np.ndarray)
        return found.astype(np.float64, copy=False)

    return streamed


def _bands(values: Values) -> Continuing:
    middle, spread = _average(values), deviation(integer(values, "period"))
    return lambda operands, bars: bands(middle(operands, bars), spread(series(operands[0])), values)


_OWN: Mapping[str, Beginning] = {
    **RECURRING,
    "bbands": _bands,
    "keltner": lambda values: _Streamed(CATALOGUE["kc"], values),
}
