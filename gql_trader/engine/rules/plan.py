"""From checked trees and parameter values to the steps that compute them, each distinct one once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gql_trader.engine.indicators import MAXIMUM_PERIOD, Argument, ArgumentKind, Function, Value
from gql_trader.engine.rules.issues import Reporter
from gql_trader.engine.rules.nodes import (
    Call,
    Column,
    Literal,
    Member,
    Node,
    Operation,
    ParameterName,
    Shift,
)
from gql_trader.engine.rules.parameters import Parameter, ParameterType, ParameterValues

MAXIMUM_WARMUP = 50_000
"""Most bars that the indicators of one strategy may look back, all different ones added up.

It bounds the warm-up, and the time to compute: for each bar the slowest indicators take a step for each
bar of their period.
"""

Constant = float | bool | str


@dataclass(frozen=True, slots=True)
class Slot:
    """The result of the step with this number."""

    number: int


Operand = Slot | Constant


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A series of the bars."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator."""

    operator: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Compute:
    """A function: its series by position, its constants by name."""

    name: str
    operands: tuple[Operand, ...]
    constants: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """One of several results."""

    bundle: Slot
    output: int


@dataclass(frozen=True, slots=True)
class Delay:
    """The value ``bars`` ago."""

    operand: Slot
    bars: int


@dataclass(frozen=True, slots=True)
class AverageCrosses:
    """Where two running averages of one series cross: the first above the second, and the other way."""

    source: Slot
    first: str
    second: str
    first_period: int
    second_period: int


Step = ReadColumn | Apply | Compute | Pick | Delay | AverageCrosses


def slots_of(step: Step) -> list[int]:
    """Return the numbers of the steps that a step reads."""
    match step:
        case ReadColumn():
            return []
        case Apply(operands=operands) | Compute(operands=operands):
            return [each.number for each in operands if isinstance(each, Slot)]
        case Pick(bundle=slot) | Delay(operand=slot) | AverageCrosses(source=slot):
            return [slot.number]


class _Refused(Exception):
    """An issue was reported; stop binding this rule."""


@dataclass
class Plan:
    """Steps in an order in which each reads only earlier ones, and how many bars each needs first."""

    parameters: Mapping[str, Parameter]
    values: ParameterValues
    steps: list[Step] = field(default_factory=list)
    lookbacks: list[int] = field(default_factory=list)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    _total: int = 0

    def add(self, node: Node, report: Reporter) -> Operand | None:
        """Add what a rule needs; return where its result will be, or None after reporting an issue."""
        try:
            operand = self._bind(node, report)
        except _Refused:
            return None
        if self._total > MAXIMUM_WARMUP:
            report.type(
                node.offset,
                f"The indicators look back {self._total} bars in all; at most {MAXIMUM_WARMUP}.",
            )
            return None
        return operand

    def lookback(self, operand: Operand) -> int:
        """Return the number of bars before the first value."""
        return self.lookbacks[operand.number] if isinstance(operand, Slot) else 0

    def _step(self, step: Step, extra: int = 0) -> Slot:
        # True, 1 and 1.0 are equal in Python but not here.
        key = (step, tuple(map(type, step.operands)) if isinstance(step, Apply | Compute) else ())
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.steps)
            before = max((self.lookbacks[each] for each in slots_of(step)), default=0)
            self.steps.append(step)
            self.lookbacks.append(before + extra)
            self._total += extra
        return Slot(number)

    def _bind(self, node: Node, report: Reporter) -> Operand:
        match node:
            case Literal(value=value):
                return value
            case Column(name=name):
                return self._step(ReadColumn(name))
            case ParameterName(name=name):
                value = self.values[name]
                if self.parameters[name].type is ParameterType.SOURCE:
                    return self._step(ReadColumn(str(value)))
                return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            case Operation(operator=operator, operands=nodes):
                operands = tuple(self._bind(each, report) for each in nodes)
                constants = [each for each in operands if not isinstance(each, Slot)]
                if len(constants) == len(operands):
                    return _fold(operator, constants)
                return self._step(Apply(operator, operands))
            case Call():
                return self._call(node, report)
            case Member(call=call, output=output):
                bundle = self._bind(call, report)
                assert isinstance(bundle, Slot)
                return self._step(Pick(bundle, output))
            case Shift(operand=operand, bars=bars):
                return self._shift(operand, bars, report)
        raise AssertionError(f"no such node: {node!r}")

    def _shift(self, operand: Node, bars: Node, report: Reporter) -> Operand:
        bound, n = self._bind(operand, report), self._bind(bars, report)
        assert isinstance(bound, Slot)
        assert isinstance(n, float)
        if not (n.is_integer() and 0 <= n <= MAXIMUM_PERIOD):
            report.type(
                bars.offset,
                f"n in x[n] must be a whole number from 0 to {MAXIMUM_PERIOD}, as later bars have no name; "
                f"got {n:.15g}.",
            )
            raise _Refused
        return bound if n == 0 else self._step(Delay(bound, int(n)), int(n))

    def _call(self, node: Call, report: Reporter) -> Operand:
        function = node.function
        operands: list[Operand] = []
        constants: dict[str, Value] = {}
        for argument, expression in zip(function.arguments, node.arguments, strict=True):
            bound = self._bind(expression, report)
            if argument.kind.constant:
                assert not isinstance(bound, Slot)
                problem = _problem(argument, bound)
                if problem is not None:
                    report.type(expression.offset, f"{argument.name} of {function.name}() {problem}.")
                    raise _Refused
                constants[argument.name] = int(bound) if argument.kind is ArgumentKind.INTEGER else bound
            else:
                operands.append(bound)
        self._constraint(function, constants, node, report)
        if function.pointwise and not any(isinstance(each, Slot) for each in operands):
            return _fold_function(function.name, [float(each) for each in operands], constants)  # type: ignore[arg-type]
        step = Compute(function.name, tuple(operands), tuple(constants.items()))
        return self._step(step, function.lookback(constants))

    def _constraint(
        self, function: Function, constants: Mapping[str, Value], node: Call, report: Reporter
    ) -> None:
        problem = function.constraint(constants) if function.constraint is not None else None
        if problem is not None:
            report.type(node.offset, f"{function.name}(): {problem}.")
            raise _Refused


def _problem(argument: Argument, value: Constant) -> str | None:
    if argument.kind is ArgumentKind.TEXT:
        if value in argument.choices:
            return None
        return f"must be one of {', '.join(argument.choices)}; got {str(value)[:40]!r}"
    assert isinstance(value, float)
    low, high = argument.minimum, argument.maximum
    assert low is not None
    assert high is not None
    if low <= value <= high and (argument.kind is ArgumentKind.NUMBER or value.is_integer()):
        return None
    return f"must be {argument.kind.value} from {low:.15g} to {high:.15g}; got {value:.15g}"


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


def _fold(operator: str, operands: Sequence[Constant]) -> Constant:
    return _OPERATORS[operator](*operands)


def _fold_function(name: str, operands: Sequence[float], constants: Mapping[str, Value]) -> float:
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
