"""Columns of bars, and what the implementations of functions share."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import DAY
from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.indicators.catalogue import Values

Column = NDArray[np.float64] | NDArray[np.bool_]
Operand = Column | float
Result = Column | tuple[Column, ...]
Implementation = Callable[[Sequence[Operand], Bars, Values], Result]
C = TypeVar("C", Floats, Flags)


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


def series(operand: Operand) -> Floats:
    """Return an operand as float64[n], without copying a column that is one."""
    return np.ascontiguousarray(operand, dtype=np.float64)


def flags(operand: Operand) -> Flags:
    """Return a condition as bool[n], without copying a column that is one."""
    return np.ascontiguousarray(operand, dtype=np.bool_)


def integer(values: Values, name: str) -> int:
    """Return a whole number among the constants."""
    return int(values[name])


def number(values: Values, name: str) -> float:
    """Return a number among the constants."""
    return float(values[name])


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
