"""Runs the steps of a plan over whole columns. Importing this loads numba and TA-Lib."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Flags, Floats, Integers
from gql_trader.engine.indicators import CATALOGUE, kernels
from gql_trader.engine.indicators.columns import Column, Result, column, divide, series, shift
from gql_trader.engine.indicators.implementations import average_crosses, compute
from gql_trader.engine.resampling import HigherBars, higher_bars
from gql_trader.engine.rules.folding import Constant
from gql_trader.engine.rules.fusion import fuse
from gql_trader.engine.rules.plan import (
    Apply,
    AverageCrosses,
    Compute,
    Delay,
    Operand,
    Pick,
    Plan,
    ReadColumn,
    Slot,
    Spread,
    Step,
    slots_of,
)
from gql_trader.engine.rules.sharing import SharedColumns
from gql_trader.engine.signals import Words, packed

C = TypeVar("C", Flags, Words)

Progress = Callable[[float], None]

OwnStep = ReadColumn | Apply | Compute | Pick | Delay | AverageCrosses
"""A step whose result has as many elements as its operands."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be done to know the roots of a plan, in an order that serves any bars.

    Attributes
    ----------
    steps
        Steps by number, those that are computed together put together.
    intervals
        As in the plan.
    todo
        Numbers of the steps whose results anybody reads, each with those that it is the last to read.
    warns
        Whether a step may do arithmetic of numpy's, which warns where a result is no number.
    """

    steps: tuple[Step, ...]
    intervals: tuple[Interval | None, ...]
    todo: tuple[tuple[int, tuple[int, ...]], ...]
    warns: bool
    roots: tuple[Operand, ...]

    @classmethod
    def of(cls, plan: Plan, roots: Sequence[Operand]) -> "Program":
        """Return the program of a plan, which may grow afterwards without changing it."""
        wanted = [root.number for root in roots if isinstance(root, Slot)]
        steps = fuse(plan.steps, wanted)
        readers = count_readers(steps, wanted)
        todo = []
        for number in [number for number, count in enumerate(readers) if count]:
            done = []
            for read in slots_of(steps[number]):
                readers[read] -= 1
                if readers[read] == 0:
                    done.append(read)
            todo.append((number, tuple(done)))
        warns = any(_may_warn(steps[number]) for number, _ in todo)
        return cls(tuple(steps), tuple(plan.intervals), tuple(todo), warns, tuple(roots))

    def run(self, bars: Bars, on_progress: Progress | None = None) -> list[Column | Constant]:
        """Return the value of each root as `evaluate` does."""
        results: dict[int, Result] = {}
        runner = _Runner(bars, {})
        with np.errstate(all="ignore") if self.warns else nullcontext():
            for done, (number, over) in enumerate(self.todo, start=1):
                results[number] = runner.run(self.steps[number], self.intervals[number], results)
                for read in over:
                    del results[read]
                if on_progress is not None:
                    on_progress(done / len(self.todo))
        return [single(results[root.number]) if isinstance(root, Slot) else root for root in self.roots]


def evaluate(
    plan: Plan,
    roots: Sequence[Operand],
    bars: Bars,
    on_progress: Progress | None = None,
    shared: SharedColumns | None = None,
) -> list[Column | Constant]:
    """Return the value of each root: a column of n elements, or a constant.

    Every step is computed once, and its result is let go after the last step that reads it.

    Parameters
    ----------
    on_progress
        Called after each step with the fraction of steps done.
    shared
        Results for the same bars from other plans, and where to leave this one's; what it returns may be
        among them and must not be changed. No progress is reported then.
    """
    if shared is not None:
        return SharedRun(plan, bars, shared).columns(roots)
    return Program.of(plan, roots).run(bars, on_progress)


class SharedRun:
    """Runs those steps of a plan whose results are not among the shared; the plan may grow meanwhile."""

    def __init__(self, plan: Plan, bars: Bars, shared: SharedColumns, alone: bool = False) -> None:
        """Begin with nothing.

        Parameters
        ----------
        alone
            Whether no other plan's results are among the shared, so that this one's numbers tell them apart.
        """
        self._plan = plan
        self._bars = bars
        self._shared = shared
        self._alone = alone
        self._numbers: list[int] = []
        # Crossings of two columns: their places, and whether the first rises above the second.
        self._pairs: dict[int, tuple[int, int, bool]] = {}
        self._crossings: dict[tuple[int, int, bool, Interval | None], int] = {}
        self._runner = _Runner(bars, shared.higher)
        self._found: dict[int, Result] = {}

    def columns(self, roots: Sequence[Operand]) -> list[Column | Constant]:
        """Return the value of each root as `evaluate` does; nobody may change it."""
        self._begin()
        return [single(self._result(root.number)) if isinstance(root, Slot) else root for root in roots]

    def packed(self, roots: Sequence[Operand]) -> list[Words]:
        """Return the value of each root, all of them conditions, a bit a bar; nobody may change it."""
        self._begin()
        return [
            self._packed(root.number)
            if isinstance(root, Slot)
            else self._shared.constant(bool(root), len(self._bars))
            for root in roots
        ]

    def _begin(self) -> None:
        self._found = {}
        plan = self._plan
        for place in range(len(self._numbers), len(plan.steps)):
            step, interval = plan.steps[place], plan.intervals[place]
            self._numbers.append(place if self._alone else self._shared.number(step, self._numbers, interval))
            if isinstance(step, Compute) and step.name in _CROSSINGS:
                read = slots_of(step)
                if len(read) == 2:
                    pair = (read[0], read[1], step.name == "crossover")
                    self._pairs[place] = pair
                    self._crossings[(*pair, interval)] = place

    def _result(self, place: int) -> Result:
        known = self._found.get(place)
        if known is not None:
            return known
        known = self._shared.get(self._numbers[place])
        if known is None:
            step = self._plan.steps[place]
            twin = self._twin(place)
            for read in slots_of(step):
                self._result(read)
            if twin is None:
                with np.errstate(all="ignore"):
                    known = self._runner.run(step, self._plan.intervals[place], self._found)
            else:
                # Columns of many bars come from far away: one pass over both serves both crossings.
                above, below = kernels.both_crosses(*self._crossing(place))
                known, self._found[twin] = self._as_asked(place, above, below)
                self._shared.put(self._numbers[twin], self._found[twin])
            self._shared.put(self._numbers[place], known)
        self._found[place] = known
        return known

    def _packed(self, place: int) -> Words:
        known = self._shared.get_packed(self._numbers[place])
        if known is None:
            if place in self._pairs:
                above, below = kernels.packed_crosses(*self._crossing(place))
                known, other = self._as_asked(place, above, below)
                twin = self._twin(place)
                if twin is not None:
                    self._shared.put_packed(self._numbers[twin], other)
            else:
                known = packed(single(self._result(place)).astype(np.bool_, copy=False))
            self._shared.put_packed(self._numbers[place], known)
        return known

    def _twin(self, place: int) -> int | None:
        """Return the step that asks for the opposite of a crossing of two columns, if there is one."""
        pair = self._pairs.get(place)
        if pair is None:
            return None
        first, second, over = pair
        return self._crossings.get((first, second, not over, self._plan.intervals[place]))

    def _crossing(self, place: int) -> tuple[Floats, Floats]:
        first, second, _ = self._pairs[place]
        return series(single(self._result(first))), series(single(self._result(second)))

    def _as_asked(self, place: int, above: C, below: C) -> tuple[C, C]:
        return (above, below) if self._pairs[place][2] else (below, above)


_CROSSINGS = ("crossover", "crossunder")


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs steps over bars, or over those of higher intervals, which are made when they are first needed."""

    bars: Bars
    higher: dict[Interval, HigherBars]

    def run(self, step: Step, interval: Interval | None, results: Mapping[int, Result]) -> Result:
        if isinstance(step, Spread):
            known = self._higher(step.interval).known
            return _spread(single(results[step.operand.number]), known, len(self.bars))
        return run_step(step, results, self.bars if interval is None else self._higher(interval).bars)

    def _higher(self, interval: Interval) -> HigherBars:
        if interval not in self.higher:
            self.higher[interval] = higher_bars(self.bars, interval)
        return self.higher[interval]


def _may_warn(step: Step) -> bool:
    """Return whether a step may do arithmetic of numpy's."""
    if isinstance(step, ReadColumn):
        return step.name not in ("open", "high", "low", "close", "volume")
    return not isinstance(step, AverageCrosses | Pick)


def count_readers(steps: Sequence[Step], wanted: Sequence[int]) -> list[int]:
    """Return how often each step's result is read, where the steps with some numbers are wanted."""
    counts = [0] * len(steps)
    for number in wanted:
        counts[number] += 1
    # Backwards, so that steps nobody reads do not count as readers of others.
    for number in range(len(steps) - 1, -1, -1):
        if counts[number]:
            for read in slots_of(steps[number]):
                counts[read] += 1
    return counts


def single(result: Result) -> Column:
    """Return a result that is one column."""
    assert not isinstance(result, tuple)
    return result


def _spread(x: Column, known: Integers, n: int) -> Column:
    """Return on each of n bars the value that was known last; NaN, or false, before the first."""
    out: Column = np.zeros(n, dtype=np.bool_) if x.dtype == np.bool_ else np.full(n, np.nan)
    if len(known):
        out[known[0] :] = np.repeat(x, np.diff(known, append=n))
    return out


def run_step(step: OwnStep, results: Mapping[int, Result], bars: Bars) -> Result:
    """Return the result of a step over bars, from the results of earlier ones over the same bars."""

    def value(operand: Operand) -> Column | Constant:
        return single(results[operand.number]) if isinstance(operand, Slot) else operand

    match step:
        case ReadColumn(name=name):
            return column(bars, name)
        case Apply(operator=operator, operands=operands):
            return _OPERATORS[operator](*map(value, operands))
        case Compute(name=name, operands=operands, constants=constants):
            inputs = [each for each in map(value, operands) if not isinstance(each, str)]
            return compute(CATALOGUE[name], inputs, bars, dict(constants))
        case Pick(bundle=bundle, output=output):
            found = results[bundle.number]
            assert isinstance(found, tuple)
            return found[output]
        case AverageCrosses(source=source):
            averaged = single(results[source.number]).astype(np.float64, copy=False)
            return average_crosses(averaged, step.first, step.first_period, step.second, step.second_period)
        case Delay(operand=operand, bars=n):
            found = results[operand.number]
            assert not isinstance(found, tuple)
            return _delay(found, n)


def _delay(x: Column, n: int) -> Column:
    # The kinds apart, as the type checker cannot keep them in a union.
    if x.dtype == np.bool_:
        return shift(x.astype(np.bool_, copy=False), n)
    return shift(x.astype(np.float64, copy=False), n)


def _modulo(x: Floats | float, y: Floats | float) -> Floats:
    return np.asarray(np.mod(x, np.where(np.equal(y, 0.0), np.nan, y)), dtype=np.float64)


def _unequal(x: Floats | float, y: Floats | float) -> Flags:
    # NaN compares false, with != too.
    return np.asarray(np.less(x, y) | np.greater(x, y))


def _all(*operands: Flags | bool) -> Flags:
    return np.asarray(_reduce(np.logical_and, operands))


def _any(*operands: Flags | bool) -> Flags:
    return np.asarray(_reduce(np.logical_or, operands))


def _reduce(operator: np.ufunc, operands: Sequence[Flags | bool]) -> Flags | bool:
    result = operands[0]
    for other in operands[1:]:
        result = operator(result, other)
    return result


_OPERATORS: Mapping[str, Callable[..., Column]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": divide,
    "%": _modulo,
    "negate": np.negative,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": _unequal,
    "not": np.logical_not,
    "and": _all,
    "or": _any,
}
