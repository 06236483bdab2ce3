"""What the rule language's functions are called, take, return and need: descriptions without code.

The process that serves the API parses and checks rules with this catalogue alone; numba and TA-Lib are
imported only where values are computed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt

MAXIMUM_PERIOD = 10_000
"""Longest period an indicator takes, in bars."""

Value = int | float | bool | str
Values = Mapping[str, Value]


class ArgumentKind(StrEnum):
    """What an argument of a function must be."""

    SERIES = "a number series"
    CONDITION = "a condition"
    OPERAND = "a number or a number series"
    INTEGER = "a whole number"
    NUMBER = "a number"
    TEXT = "a name in quotes"

    @property
    def constant(self) -> bool:
        """Whether the argument is the same on every bar."""
        return self in (ArgumentKind.INTEGER, ArgumentKind.NUMBER, ArgumentKind.TEXT)


class Yields(StrEnum):
    """What a function returns for each bar."""

    NUMBER = "a number"
    CONDITION = "true or false"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function.

    Attributes
    ----------
    default
        Used when the argument is left out; None: it is required.
    minimum, maximum
        Inclusive bounds of a constant; None: unbounded.
    choices
        Values of a TEXT argument.
    alias
        TA-Lib's name of the argument where it differs; accepted as a keyword too.
    """

    name: str
    kind: ArgumentKind
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One of several results; ``alias`` is TA-Lib's name of it, accepted too."""

    name: str
    alias: str | None = None


@dataclass(frozen=True)
class Function:
    """A function of the rule language.

    Attributes
    ----------
    columns
        Columns of the bars that it reads besides its arguments.
    outputs
        Several results, read as members; empty if the call itself is the result.
    lookback
        From the constant arguments to the number of bars before the first result, 0 or more, when the
        series given start without a gap.
    pointwise
        Whether bar i of the result depends on bar i of the arguments alone; constants give a constant.
    constraint
        From the constant arguments to what is wrong with their combination; None: nothing.
    """

    name: str
    group: str
    description: str
    arguments: tuple[Argument, ...]
    lookback: Callable[[Values], int]
    columns: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    yields: Yields = Yields.NUMBER
    pointwise: bool = False
    constraint: Callable[[Values], str | None] | None = None

    @property
    def signature(self) -> str:
        """How a call is written, with defaults: ``ema(source, period=30)``."""
        return f"{self.name}({', '.join(map(_shown, self.arguments))})"

    @property
    def argument_names(self) -> str:
        """The arguments' names for messages: ``(source, period)``."""
        return f"({', '.join(argument.name for argument in self.arguments)})"

    def argument(self, name: str) -> Argument | None:
        """Return the argument of this name or alias."""
        return next((each for each in self.arguments if name in (each.name, each.alias)), None)

    def output(self, name: str) -> int | None:
        """Return the index of the output of this name or alias."""
        return next(
            (index for index, each in enumerate(self.outputs) if name in (each.name, each.alias)), None
        )


def _shown(argument: Argument) -> str:
    if argument.default is None:
        return argument.name
    default = argument.default
    return f'{argument.name}="{default}"' if isinstance(default, str) else f"{argument.name}={default}"


# TA-Lib's numbers of its moving averages. Its "none" and "the function's own default" are left out: they
# say nothing that leaving the argument out would not.
AVERAGES: Mapping[str, int] = {
    "sma": 0,
    "ema": 1,
    "wma": 2,
    "dema": 3,
    "tema": 4,
    "trima": 5,
    "kama": 6,
    "mama": 7,
    "t3": 8,
    "hma": 9,
    "zlema": 12,
    "rma": 13,
}


def average_lookback(kind: Value, period: Value) -> int:
    """Return the bars before the first value of a moving average, by its name and period."""
    n = int(period)
    if n <= 1:
        return 0
    match kind:
        case "dema":
            return 2 * (n - 1)
        case "tema":
            return 3 * (n - 1)
        case "t3":
            return 6 * (n - 1)
        case "kama":
            return n
        case "mama":
            return 32
        case "hma":
            return n + isqrt(n) - 2
        case "zlema":
            return n - 1 + (n - 1) // 2
        case _:
            return n - 1


SOURCES: Mapping[str, str] = {
    "open": "Price at the bar's opening.",
    "high": "Highest price of the bar.",
    "low": "Lowest price of the bar.",
    "close": "Price at the bar's close.",
    "volume": "Volume of the bar, in the base currency.",
    "hl2": "(high + low) / 2.",
    "hlc3": "(high + low + close) / 3, the typical price.",
    "ohlc4": "(open + high + low + close) / 4.",
}
"""Columns that a parameter of type SOURCE may name."""

COLUMNS: Mapping[str, str] = {
    **SOURCES,
    "minute": "Minute of the bar's opening time, 0 to 59, UTC.",
    "hour": "Hour of the bar's opening time, 0 to 23, UTC.",
    "dayofweek": "Day of the week of the bar's opening time, 0 Monday to 6 Sunday, UTC.",
}
"""Every series that a rule may name."""
