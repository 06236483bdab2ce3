"""The long tail: functions that TA-Lib computes."""

from collections.abc import Sequence

import numpy as np
import talib

from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.indicators.catalogue import AVERAGES, Function, Value, Values
from gql_trader.engine.indicators.columns import Operand, Result, column, series


def call_talib(function: Function, operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    """Return what TA-Lib computes of each run of defined values, NaN elsewhere."""
    routine = getattr(talib, function.name.upper())
    inputs = [*map(series, operands), *(column(bars, name) for name in function.columns)]
    arguments = constants_of(function, values)
    count = max(len(function.outputs), 1)
    outputs = tuple(np.full(len(bars), np.nan) for _ in range(count))
    lookback = function.lookback(values)
    for start, stop in finite_runs(inputs[: len(operands)], len(bars)):
        if stop - start <= lookback:
            continue
        found = routine(*(each[start:stop] for each in inputs), **arguments)
        for output, values_found in zip(outputs, found if count > 1 else (found,), strict=True):
            output[start + lookback : stop] = values_found[lookback:]
    return outputs if function.outputs else outputs[0]


def constants_of(function: Function, values: Values) -> dict[str, int | float]:
    """Return a function's constant arguments as TA-Lib takes them."""
    return {
        argument.alias or argument.name: _plain(values[argument.name])
        for argument in function.arguments
        if argument.kind.constant
    }


def _plain(value: Value) -> int | float:
    return AVERAGES[value] if isinstance(value, str) else value


def finite_runs(inputs: Sequence[Floats], n: int) -> list[tuple[int, int]]:
    """Return where each run of bars begins and ends (exclusive) at which all inputs are finite.

    TA-Lib's running sums never recover from a NaN in the middle, so each run is computed on its own.
    """
    if not inputs:
        return [(0, n)]
    finite = np.isfinite(inputs[0])
    for other in inputs[1:]:
        finite &= np.isfinite(other)
    edges = np.flatnonzero(np.diff(finite, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
