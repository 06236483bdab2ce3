"""Conditions over a window of bars: crossings and runs."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.indicators import kernels
from gql_trader.engine.indicators.catalogue import Values
from gql_trader.engine.indicators.columns import Implementation, Operand, Result, flags, integer, series


def _crossover(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    return _crosses(operands[0], operands[1], len(bars))


def _crossunder(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    return _crosses(operands[1], operands[0], len(bars))


def _crosses(x: Operand, y: Operand, n: int) -> Flags:
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return kernels.crosses(series(x), series(y))
    out = np.zeros(n, dtype=np.bool_)
    if n > 1:
        after_x, before_x = (x[1:], x[:-1]) if isinstance(x, np.ndarray) else (x, x)
        after_y, before_y = (y[1:], y[:-1]) if isinstance(y, np.ndarray) else (y, y)
        out[1:] = np.greater(after_x, after_y) & np.less_equal(before_x, before_y)
    return out


def _cross(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    return _crosses(operands[0], operands[1], len(bars)) | _crosses(operands[1], operands[0], len(bars))


def _monotone(compare: Callable[[Floats, Floats], Flags]) -> Implementation:
    def implementation(operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
        x = series(operands[0])
        steps = np.zeros(len(bars), dtype=np.bool_)
        steps[1:] = compare(x[1:], x[:-1])
        period = integer(values, "period")
        return steps if period == 1 else _count_in(steps, period) == period

    return implementation


def _count_in(flags: Flags, period: int) -> NDArray[np.int64]:
    total = np.cumsum(flags, dtype=np.int64)
    total[period:] -= total[:-period].copy()
    return total


def _count(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    period = integer(values, "period")
    found = _count_in(flags(operands[0]), period).astype(np.float64)
    found[: period - 1] = np.nan
    return found


CONDITIONS: Mapping[str, Implementation] = {
    "crossover": _crossover,
    "crossunder": _crossunder,
    "cross": _cross,
    "rising": _monotone(np.greater),
    "falling": _monotone(np.less),
    "count": _count,
}
