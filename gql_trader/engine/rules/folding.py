"""Operators and functions of constants: computed once, when a rule is bound to its parameters."""

import math
from collections.abc import Callable, Mapping, Sequence

from gql_trader.engine.indicators import Value

Constant = float | bool | str


def _divide(x: float, y: float) -> float:
    return x / y if y != 0.0 else math.nan


def _modulo(x: float, y: float) -> float:
    return x % y if y != 0.0 and math.isfinite(x) else math.nan


_OPERATORS: Mapping[str, Callable[..., Constant]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": _divide,
    "%": _modulo,
    "negate": lambda x: -x,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y and x == x and y == y,
    "not": lambda x: not x,
    "and": lambda *operands: all(operands),
    "or": lambda *operands: any(operands),
}


def fold(operator: str, operands: Sequence[Constant]) -> Constant:
    """Return the value of an operator."""
    return _OPERATORS[operator](*operands)


def fold_function(name: str, operands: Sequence[float], constants: Mapping[str, Value]) -> float:
    """Return the value of a pointwise function."""
    if name == "nz":
        return float(constants["replacement"]) if math.isnan(operands[0]) else operands[0]
    if any(map(math.isnan, operands)):
        return math.nan
    try:
        return float(_FUNCTIONS[name](*operands))
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan


_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log", "log10", "floor", "ceil")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: getattr(math, name) for name in ("sinh", "cosh", "tanh")},
    "ln": math.log,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "max": max,
    "min": min,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mult": lambda x, y: x * y,
    "div": _divide,
}
