"""From checked trees and parameter values to the steps that compute them, each distinct one once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gql_trader.core.intervals import Interval
from gql_trader.engine.indicators import MAXIMUM_PERIOD, Argument, ArgumentKind, Function, Value
from gql_trader.engine.rules.folding import Constant, fold, fold_function
from gql_trader.engine.rules.intervals import base_bars, base_lookback, interval_named
from gql_trader.engine.rules.issues import Reporter
from gql_trader.engine.rules.nodes import (
    Call,
    Column,
    Literal,
    Member,
    Node,
    On,
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

MAXIMUM_HISTORY = 1_000_000
"""Most bars before the first signal: what on() needs of a higher interval, in bars of the run."""


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


@dataclass(frozen=True, slots=True)
class Spread:
    """On each bar the value of the last complete bar of a higher interval; the operand is on those."""

    operand: Slot
    interval: Interval


Step = ReadColumn | Apply | Compute | Pick | Delay | AverageCrosses | Spread


def slots_of(step: Step) -> list[int]:
    """Return the numbers of the steps that a step reads."""
    match step:
        case ReadColumn():
            return []
        case Apply(operands=operands) | Compute(operands=operands):
            return [each.number for each in operands if isinstance(each, Slot)]
        case Pick(bundle=slot) | Delay(operand=slot) | AverageCrosses(source=slot) | Spread(operand=slot):
            return [slot.number]


class _Refused(Exception):
    """An issue was reported; stop binding this rule."""


@dataclass
class Plan:
    """Steps in an order in which each reads only earlier ones, and how many bars each needs first.

    Attributes
    ----------
    interval
        Length of a bar that the rules run on, milliseconds; None: not known yet, which leaves on() unchecked.
    intervals
        For each step, the higher interval whose bars it is computed on; None: those that the rules run on.
    lookbacks
        For each step, in bars that it is computed on.
    """

    parameters: Mapping[str, Parameter]
    values: ParameterValues
    interval: int | None = None
    steps: list[Step] = field(default_factory=list)
    intervals: list[Interval | None] = field(default_factory=list)
    lookbacks: list[int] = field(default_factory=list)
    _higher: Interval | None = None
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    _total: int = 0

    def add(self, node: Node, report: Reporter) -> Operand | None:
        """Add what a rule needs; return where its result will be, or None after reporting an issue."""
        try:
            operand = self._bind(node, report)
        except _Refused:
            return None
        total = self._looks_back(operand, MAXIMUM_WARMUP)
        if total > MAXIMUM_WARMUP:
            report.type(
                node.offset,
                f"The indicators look back {total} bars in all; at most {MAXIMUM_WARMUP}.",
            )
            return None
        if self.lookback(operand) > MAXIMUM_HISTORY:
            report.type(
                node.offset,
                f"This needs {self.lookback(operand)} bars before its first value; at most "
                f"{MAXIMUM_HISTORY}.",
            )
            return None
        return operand

    def lookback(self, operand: Operand) -> int:
        """Return the number of bars before the first value."""
        return self.lookbacks[operand.number] if isinstance(operand, Slot) else 0

    def _looks_back(self, operand: Operand, limit: int) -> int:
        """Return what all indicators so far look back; where that is within the limit, no more than it."""
        return self._total

    def _step(self, step: Step, extra: int = 0) -> Slot:
        # True, 1 and 1.0 are equal in Python but not here.
        types = tuple(map(type, step.operands)) if isinstance(step, Apply | Compute) else ()
        key = (step, types, self._higher)
        number = self._numbers.setdefault(key, len(self.steps))
        if number == len(self.steps):
            before = max((self.lookbacks[each] for each in slots_of(step)), default=0)
            if isinstance(step, Spread):
                bars = base_bars(step.interval, self.interval or step.interval.milliseconds)
                before = base_lookback(before, bars or 1)
            self.steps.append(step)
            self.intervals.append(self._higher)
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
                    return fold(operator, constants)
                return self._step(Apply(operator, operands))
            case Call():
                return self._call(node, report)
            case Member(call=call, output=output):
                bundle = self._bind(call, report)
                assert isinstance(bundle, Slot)
                return self._step(Pick(bundle, output))
            case Shift(operand=operand, bars=bars):
                return self._shift(operand, bars, report)
            case On():
                return self._on(node, report)
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

    def _on(self, node: On, report: Reporter) -> Operand:
        name = str(self._bind(node.interval, report))
        interval = interval_named(name)
        if interval is None:
            known = ", ".join(each.value for each in Interval)
            report.type(node.interval.offset, f"The interval of on() is one of {known}; got {name[:40]!r}.")
            raise _Refused
        if self.interval is not None and base_bars(interval, self.interval) is None:
            own = next((each.value for each in Interval if each.milliseconds == self.interval), "other")
            report.type(
                node.offset,
                f'on("{name}", ...) needs bars of {name}, or of an interval that divides it; these are {own} '
                "bars.",
            )
            raise _Refused
        self._higher = interval
        try:
            operand = self._bind(node.operand, report)
        finally:
            self._higher = None
        assert isinstance(operand, Slot)
        return self._step(Spread(operand, interval))

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
            return fold_function(function.name, [float(each) for each in operands], constants)  # type: ignore[arg-type]
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
