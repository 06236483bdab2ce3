"""What the catalogue's functions compute. Importing this loads numba's kernels and TA-Lib."""

from collections.abc import Mapping, Sequence

import numpy as np

from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.indicators import CATALOGUE, crossings, kernels
from gql_trader.engine.indicators.catalogue import Function, Values
from gql_trader.engine.indicators.columns import (
    Implementation,
    Operand,
    Result,
    column,
    integer,
    series,
    shift,
)
from gql_trader.engine.indicators.conditions import CONDITIONS
from gql_trader.engine.indicators.mathematics import MATHEMATICS
from gql_trader.engine.indicators.recurring import FACTORS, RECURRING, at_once, bands, deviation, mean
from gql_trader.engine.indicators.talib_calls import call_talib


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
    return call_talib(function, operands, bars, values)


def is_own(name: str) -> bool:
    """Whether this engine computes a function itself; TA-Lib does otherwise."""
    return name in _OWN


def average_crosses(
    x: Floats, first: str, first_period: int, second: str, second_period: int
) -> tuple[Flags, Flags]:
    """Return where the first of two averages rises above the second, and the other way.

    Parameters
    ----------
    x
        float64[n].
    first, second
        Names of the averages: both ``sma``, or both one of ``ema`` and ``rma``.

    Returns
    -------
    bool[n] twice, equal to crossover() of the averages and of the averages swapped.
    """
    x = np.ascontiguousarray(x)
    if first == "sma":
        return crossings.sma_crosses(x, first_period, second_period)
    factors = FACTORS[first](first_period), FACTORS[second](second_period)
    return crossings.smoothed_crosses(x, first_period, second_period, *factors)


def _bbands(operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    x, period = series(operands[0]), integer(values, "period")
    if values["matype"] == "sma":
        middle = mean(period)(x)
    else:
        found = call_talib(CATALOGUE["ma"], operands, bars, {"period": period, "matype": values["matype"]})
        assert isinstance(found, np.ndarray)
        middle = found.astype(np.float64, copy=False)
    return bands(middle, deviation(period)(x), values)


def _extreme(x: Floats, period: int, sign: float) -> Floats:
    if np.isfinite(x).all():
        return kernels.extreme_of_finite(x, period, sign)
    return kernels.extreme(x, period, sign, False)


def _highest(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return _extreme(series(operands[0]), integer(values, "period"), 1.0)


def _lowest(operands: Sequence[Operand], _: Bars, values: Values) -> Result:
    return _extreme(series(operands[0]), integer(values, "period"), -1.0)


def _extreme_age(sign: float) -> Implementation:
    return lambda operands, _, values: kernels.extreme(
        series(operands[0]), integer(values, "period"), sign, True
    )


def _donchian(_: Sequence[Operand], bars: Bars, values: Values) -> Result:
    period = integer(values, "period")
    upper = _extreme(column(bars, "high"), period, 1.0)
    lower = _extreme(column(bars, "low"), period, -1.0)
    return upper, (upper + lower) / 2.0, lower


def _keltner(operands: Sequence[Operand], bars: Bars, values: Values) -> Result:
    return call_talib(CATALOGUE["kc"], operands, bars, values)


def _ichimoku(_: Sequence[Operand], bars: Bars, values: Values) -> Result:
    high, low = column(bars, "high"), column(bars, "low")

    def middle(name: str) -> Floats:
        period = integer(values, name)
        return (_extreme(high, period, 1.0) + _extreme(low, period, -1.0)) / 2.0

    tenkan, kijun = middle("tenkan"), middle("kijun")
    displaced = integer(values, "kijun")
    return tenkan, kijun, shift((tenkan + kijun) / 2.0, displaced), shift(middle("senkou"), displaced)


_OWN: Mapping[str, Implementation] = {
    **{name: at_once(begin) for name, begin in RECURRING.items()},
    "bbands": _bbands,
    "highest": _highest,
    "lowest": _lowest,
    "highestbars": _extreme_age(1.0),
    "lowestbars": _extreme_age(-1.0),
    "donchian": _donchian,
    "keltner": _keltner,
    "ichimoku": _ichimoku,
    **CONDITIONS,
    **MATHEMATICS,
}
