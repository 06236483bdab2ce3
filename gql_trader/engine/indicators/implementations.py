"""What the catalogue's functions compute. Importing this loads numba's kernels and TA-Lib."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import talib
from numpy.typing import NDArray

from gql_trader.core.intervals import DAY
from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.indicators import kernels
from gql_trader.engine.indicators.catalogue import AVERAGES, Function, Value, Values

Column = NDArray[np.float64] | NDArray[np.bool_]
Operand = Column | float
C = TypeVar("C", Floats, Flags)
Result = Column | tuple[Floats, ...]
Implementation = Callable[[Sequence[Operand], Bars, Values], Result]


def load() -> None:
    """Do nothing: importing this module has loaded every kernel."""


def compute(function: Function, operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    """Return a function's result, or the tuple of its outputs, over all bars.

    Parameters
    ----------
    operands
        Its series, conditions and operands, in the order of its arguments; arrays have n elements.
    values
        Its constant arguments by name, checked against the catalogue.

    Returns
    -------
    float64[n], or bool[n] for a condition, or one float64[n] for each output. NaN where undefined.
    """
    implementation = _OWN.get(function.name)
    if implementation is not None:
        return implementation(operands, bars, values)
    return _talib(function, operands, bars, values)


def column(bars: Bars, name: str) -> Floats:
    """Return a column of the bars, or one derived from them, float64[n]."""
    match name:
        case "hl2":
            return (bars.high + bars.low) / 2.0
        case "hlc3":
            return (bars.high + bars.low + bars.close) / 3.0
        case "ohlc4":
            return (bars.open + bars.high + bars.low + bars.close) / 4.0
        case "minute":
            return (bars.time // 60_000 % 60).astype(np.float64)
        case "hour":
            return (bars.time // 3_600_000 % 24).astype(np.float64)
        case "dayofweek":
            # 1970-01-01 was a Thursday, day 3 of a week that begins on Monday.
            return ((bars.time // DAY + 3) % 7).astype(np.float64)
    return np.ascontiguousarray(getattr(bars, name), dtype=np.float64)


def _series(operand: Operand) -> Floats:
    return np.ascontiguousarray(operand, dtype=np.float64)


def _talib(function: Function, operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    routine = getattr(talib, function.name.upper())
    inputs = [*map(_series, operands), *(column(bars, name) for name in function.columns)]
    arguments = {
        argument.alias or argument.name: _plain(values[argument.name])
        for argument in function.arguments
        if argument.kind.constant
    }
    count = max(len(function.outputs), 1)
    outputs = tuple(np.full(len(bars), np.nan) for _ in range(count))
    lookback = function.lookback(values)
    for start, stop in _finite_runs(inputs[: len(operands)], len(bars)):
        if stop - start <= lookback:
            continue
        found = routine(*(each[start:stop] for each in inputs), **arguments)
        for output, values_found in zip(outputs, found if count > 1 else (found,), strict=True):
            output[start + lookback : stop] = values_found[lookback:]
    return outputs if function.outputs else outputs[0]


def _plain(value: Value) -> int | float:
    return AVERAGES[value] if isinstance(value, str) else value


def _finite_runs(inputs: Sequence[Floats], n: int) -> list[tuple[int, int]]:
    # TA-Lib's running sums never recover from a NaN in the middle, so each run is computed on its own.
    if not inputs:
        return [(0, n)]
    finite = np.isfinite(inputs[0])
    for other in inputs[1:]:
        finite &= np.isfinite(other)
    edges = np.flatnonzero(np.diff(finite, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _int(values: Values, name: str) -> int:
    return int(values[name])


def _float(values: Values, name: str) -> float:
    return float(values[name])


def _average(kernel: Callable[[Floats, int], Floats]) -> Implementation:
    return lambda operands, _, values: kernel(_series(operands[0]), _int(values, "period"))


def _ema(x: Floats, period: int) -> Floats:
    return kernels.smoothed(x, period, 2.0 / (period + 1))


def _rma(x: Floats, period: int) -> Floats:
    return kernels.smoothed(x, period, 1.0 / period)


def _atr(_: Sequence[Operand], bars: Bars, values: Values) -> Result:
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    return kernels.atr(high, low, close, _int(values, "period"))


def _macd(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return kernels.macd(_series(operands[0]), *(_int(values, name) for name in ("fast", "slow", "signal")))


def _stddev(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return kernels.stdev(_series(operands[0]), _int(values, "period")) * _float(values, "nbdev")


def _bbands(operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    x, period = _series(operands[0]), _int(values, "period")
    if values["matype"] == "sma":
        middle = kernels.sma(x, period)
    else:
        from gql_trader.engine.indicators import CATALOGUE

        found = _talib(CATALOGUE["ma"], operands, bars, {"period": period, "matype": values["matype"]})
        assert isinstance(found, np.ndarray)
        middle = found.astype(np.float64, copy=False)
    spread = kernels.stdev(x, period)
    return (
        middle + spread * _float(values, "nbdevup"),
        middle,
        middle - spread * _float(values, "nbdevdn"),
    )


def _extreme(x: Floats, period: int, sign: float) -> Floats:
    if np.isfinite(x).all():
        return kernels.extreme_of_finite(x, period, sign)
    return kernels.extreme(x, period, sign, False)


def _highest(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return _extreme(_series(operands[0]), _int(values, "period"), 1.0)


def _lowest(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return _extreme(_series(operands[0]), _int(values, "period"), -1.0)


def _extreme_age(sign: float) -> Implementation:
    return lambda operands, _, values: kernels.extreme(
        _series(operands[0]), _int(values, "period"), sign, True
    )


def _keltner(operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    from gql_trader.engine.indicators import CATALOGUE

    return _talib(CATALOGUE["kc"], operands, bars, values)


def _ichimoku(_: Sequence[Operand], bars: Bars, values: Values) -> Result:
    high, low = column(bars, "high"), column(bars, "low")

    def middle(name: str) -> Floats:
        period = _int(values, name)
        return (_extreme(high, period, 1.0) + _extreme(low, period, -1.0)) / 2.0

    tenkan, kijun = middle("tenkan"), middle("kijun")
    displaced = _int(values, "kijun")
    return tenkan, kijun, shift((tenkan + kijun) / 2.0, displaced), shift(middle("senkou"), displaced)


def _vwap(_: Sequence[Operand], bars: Bars, values: Values) -> Result:
    group = bars.time // DAY if values["anchor"] == "day" else np.zeros(len(bars), dtype=np.int64)
    return kernels.anchored_average(
        np.ascontiguousarray(group, dtype=np.int64), column(bars, "hlc3"), column(bars, "volume")
    )


def _zscore(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    x, period = _series(operands[0]), _int(values, "period")
    spread = kernels.stdev(x, period)
    distance = x - kernels.sma(x, period)
    return divide(distance, spread)


def shift(x: C, bars: int) -> C:
    """Return the value ``bars`` ago: NaN, or false for a condition, where there is none."""
    if bars == 0:
        return x
    out = np.zeros_like(x) if x.dtype == np.bool_ else np.full_like(x, np.nan)
    out[bars:] = x[:-bars]
    return out


def divide(x: Operand, y: Operand) -> Floats:
    """Return x / y, NaN where y is 0: an undefined value compares false, an infinite one would not."""
    with np.errstate(all="ignore"):
        return np.asarray(np.divide(x, np.where(np.equal(y, 0.0), np.nan, y)), dtype=np.float64)


def _crossover(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    return _crosses(operands[0], operands[1], len(bars))


def _crossunder(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    return _crosses(operands[1], operands[0], len(bars))


def _crosses(x: Operand, y: Operand, n: int) -> Flags:
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
        x = _series(operands[0])
        steps = np.zeros(len(bars), dtype=np.bool_)
        steps[1:] = compare(x[1:], x[:-1])
        period = _int(values, "period")
        return steps if period == 1 else _count_in(steps, period) == period

    return implementation


def _count_in(flags: Flags, period: int) -> NDArray[np.int64]:
    total = np.cumsum(flags, dtype=np.int64)
    total[period:] -= total[:-period].copy()
    return total


def _flags(operand: Operand) -> Flags:
    return np.ascontiguousarray(operand, dtype=np.bool_)


def _count(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    period = _int(values, "period")
    found = _count_in(_flags(operands[0]), period).astype(np.float64)
    found[: period - 1] = np.nan
    return found


def _last_held(condition: Flags) -> NDArray[np.int64]:
    index = np.where(condition, np.arange(len(condition), dtype=np.int64), -1)
    return np.maximum.accumulate(index)


def _bars_since(operands: Sequence[Operand], bars: Bars, _: Values) -> Result:
    last = _last_held(_flags(operands[0]))
    return np.where(last < 0, np.nan, np.arange(len(bars)) - last)


def _value_when(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return kernels.value_when(_flags(operands[0]), _series(operands[1]), _int(values, "occurrence"))


def _since(operands: Sequence[Operand], _: Bars, __: Values) -> Result:
    event, reset = _last_held(_flags(operands[0])), _last_held(_flags(operands[1]))
    return (reset >= 0) & (event >= reset)


def _transform(routine: Callable[..., object], *, lower: float = -np.inf) -> Implementation:
    def implementation(operands: Sequence[Operand], _: Bars, __: Values) -> Result:
        with np.errstate(all="ignore"):
            x = np.where(np.greater(operands[0], lower), operands[0], np.nan)
            return np.asarray(routine(x), dtype=np.float64)

    return implementation


def _pair(routine: Callable[..., object]) -> Implementation:
    def implementation(operands: Sequence[Operand], _: Bars, __: Values) -> Result:
        with np.errstate(all="ignore"):
            return np.asarray(routine(operands[0], operands[1]), dtype=np.float64)

    return implementation


def _nz(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    x = np.asarray(operands[0], dtype=np.float64)
    return np.where(np.isnan(x), _float(values, "replacement"), x)


_OWN: Mapping[str, Implementation] = {
    "sma": _average(kernels.sma),
    "ema": _average(_ema),
    "wma": _average(kernels.wma),
    "rma": _average(_rma),
    "rsi": _average(kernels.rsi),
    "stdev": _average(kernels.stdev),
    "sum": _average(kernels.windowed_sum),
    "stddev": _stddev,
    "atr": _atr,
    "macd": _macd,
    "bbands": _bbands,
    "highest": _highest,
    "lowest": _lowest,
    "highestbars": _extreme_age(1.0),
    "lowestbars": _extreme_age(-1.0),
    "keltner": _keltner,
    "ichimoku": _ichimoku,
    "vwap": _vwap,
    "zscore": _zscore,
    "crossover": _crossover,
    "crossunder": _crossunder,
    "cross": _cross,
    "rising": _monotone(np.greater),
    "falling": _monotone(np.less),
    "count": _count,
    "barssince": _bars_since,
    "valuewhen": _value_when,
    "since": _since,
    "nz": _nz,
    "max": _pair(np.maximum),
    "min": _pair(np.minimum),
    "add": _pair(np.add),
    "sub": _pair(np.subtract),
    "mult": _pair(np.multiply),
    "div": _pair(divide),
    # A logarithm of 0 is undefined here, not −∞, for the same reason as a division by 0.
    "log": _transform(np.log, lower=0.0),
    "ln": _transform(np.log, lower=0.0),
    "log10": _transform(np.log10, lower=0.0),
    **{
        name: _transform(routine)
        for name, routine in {
            "abs": np.abs,
            "sign": np.sign,
            "sqrt": np.sqrt,
            "exp": np.exp,
            "floor": np.floor,
            "ceil": np.ceil,
            "sin": np.sin,
            "cos": np.cos,
            "tan": np.tan,
            "asin": np.arcsin,
            "acos": np.arccos,
            "atan": np.arctan,
            "sinh": np.sinh,
            "cosh": np.cosh,
            "tanh": np.tanh,
        }.items()
    },
}
