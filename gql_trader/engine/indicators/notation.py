"""The short notation in which the tables of functions are written."""

import re
from collections.abc import Callable

from gql_trader.engine.indicators.catalogue import (
    AVERAGES,
    MAXIMUM_PERIOD,
    Argument,
    ArgumentKind,
    Function,
    Output,
    Value,
    Values,
    Yields,
)

Lookback = int | Callable[[Values], int]

_ARGUMENT = re.compile(
    r"(?P<name>\w+)(?::(?P<kind>series|condition|operand))?(?:=(?P<default>[-\w.]+))?"
    r"(?:\[(?P<minimum>[-\d.e]+),(?P<maximum>[-\d.e]+)\])?(?:\{(?P<choices>[\w|]+)\})?"
)
_KINDS = {
    "series": ArgumentKind.SERIES,
    "condition": ArgumentKind.CONDITION,
    "operand": ArgumentKind.OPERAND,
}
_ALIASES = {"period": "timeperiod", "fast": "fastperiod", "slow": "slowperiod", "signal": "signalperiod"}


def read_argument(text: str) -> Argument:
    """Return the argument written as ``source``, ``period=14[1,100]``, ``nbdev=2.0`` or ``matype=sma``.

    A bare name is a series. Whole numbers range over 2..MAXIMUM_PERIOD, others over ±10⁶, unless bounds
    are given. A name as default makes the argument a choice, of moving averages unless choices follow.
    """
    match = _ARGUMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"not an argument: {text!r}")
    name, default = match["name"], match["default"]
    if default is None:
        return Argument(name, _KINDS[match["kind"] or "series"])
    bounds = [float(match[side]) if match[side] else None for side in ("minimum", "maximum")]
    alias = _ALIASES.get(name)
    value: Value
    if re.fullmatch(r"-?\d+", default):
        value = int(default)
        low, high = bounds if bounds[0] is not None else (2, MAXIMUM_PERIOD)
        return Argument(name, ArgumentKind.INTEGER, value, low, high, alias=alias)
    if re.fullmatch(r"-?\d+\.\d+", default):
        value = float(default)
        low, high = bounds if bounds[0] is not None else (-1e6, 1e6)
        return Argument(name, ArgumentKind.NUMBER, value, low, high, alias=alias)
    choices = tuple(match["choices"].split("|")) if match["choices"] else tuple(AVERAGES)
    return Argument(name, ArgumentKind.TEXT, default, choices=choices, alias=alias)


def function(
    name: str,
    group: str,
    description: str,
    arguments: str,
    lookback: Lookback,
    *,
    columns: str = "",
    outputs: str = "",
    yields: Yields = Yields.NUMBER,
    pointwise: bool = False,
) -> Function:
    """Return a function from its notation: arguments, columns and outputs separated by blanks.

    An output is written ``name`` or ``name/alias``.
    """
    return Function(
        name=name,
        group=group,
        description=description,
        arguments=tuple(map(read_argument, arguments.split())),
        lookback=lookback if callable(lookback) else _constant(lookback),
        columns=tuple(columns.split()),
        outputs=tuple(Output(*each.split("/")) for each in outputs.split()),
        yields=yields,
        pointwise=pointwise,
    )


def _constant(bars: int) -> Callable[[Values], int]:
    return lambda _: bars
