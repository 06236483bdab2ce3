"""Functions of one bar's values."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators.catalogue import Values
from gql_trader.engine.indicators.columns import Implementation, Operand, Result, divide, number


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
    return np.where(np.isnan(x), number(values, "replacement"), x)


MATHEMATICS: Mapping[str, Implementation] = {
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
