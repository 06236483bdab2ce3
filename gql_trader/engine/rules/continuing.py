"""Runs the steps of a plan bar after bar: what new bars cost does not depend on how many there were before.

The values are, bit for bit, those of one run over all the bars. Importing this loads numba and TA-Lib.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Floats, Integers
from gql_trader.engine.indicators import CATALOGUE
from gql_trader.engine.indicators.columns import Column, Result
from gql_trader.engine.indicators.continuing import continuing
from gql_trader.engine.resampling import HigherBars, known_at, resample
from gql_trader.engine.rules.evaluator import OwnStep, count_readers, run_step, single
from gql_trader.engine.rules.folding import Constant
from gql_trader.engine.rules.plan import Compute, Delay, Operand, Plan, Slot, Spread, Step, slots_of
from gql_trader.engine.signals import Signals

if TYPE_CHECKING:
    from gql_trader.engine.rules.compiler import CompiledRules, PlotLine

Results = Mapping[int, Result]

_MOST_PARTS = 100
"""Bars of an unfinished interval that are kept one by one; then they are joined."""

_COLUMNS = ("time", "open", "high", "low", "close", "volume")


class ContinuedSignals:
    """The signals of rules, and the lines that explain them, as bars come in from the first one on."""

    def __init__(
        self, rules: "CompiledRules", program: "ContinuedProgram", warmup: int, drawn: list[tuple[str, bool]]
    ) -> None:
        self._rules = rules
        self._program = program
        self._warmup = warmup
        self._drawn = drawn

    @property
    def bars(self) -> int:
        """How many bars have come in."""
        return self._program.bars

    @property
    def size(self) -> int:
        """Bytes that are remembered at most, roughly."""
        return self._program.size

    def extend(self, bars: Bars) -> "tuple[Signals, tuple[PlotLine, ...]]":
        """Return what `CompiledRules.signals_and_lines` says at new bars, given all bars so far.

        If this raises, what is remembered is of no use any more.

        Parameters
        ----------
        bars
            Those that follow the ones that have come in.
        """
        warmup = max(0, self._warmup - self.bars)
        return self._rules.said(self._program.extend(bars), len(bars), warmup, self._drawn)


class ContinuedProgram:
    """What is to be done at each bar to know the roots of a plan, with what has to be remembered for it."""

    def __init__(self, plan: Plan, roots: Sequence[Operand]) -> None:
        wanted = [root.number for root in roots if isinstance(root, Slot)]
        self._roots = tuple(roots)
        self._readers = count_readers(plan.steps, wanted)
        live = [number for number, count in enumerate(self._readers) if count]
        self._steps = [
            (number, slots_of(plan.steps[number]), plan.intervals[number], _begin(plan.steps[number]))
            for number in live
        ]
        intervals = {plan.intervals[number] for number in live} - {None}
        self._higher = {each: _Higher(each) for each in intervals if each is not None}
        self.bars = 0
        reaches = sum(_reach(plan.steps[number]) for number in live)
        pending = sum(each.milliseconds // (plan.interval or each.milliseconds) for each in intervals if each)
        # Some numbers for each bar that an indicator looks back at, and the bars of unfinished intervals.
        self.size = 4_000 + 48 * (reaches + pending)

    def extend(self, bars: Bars) -> list[Column | Constant]:
        """Return the value of each root at bars that follow the ones before: a column, or a constant."""
        readers = list(self._readers)
        results: dict[int, Result] = {}
        higher = {interval: each.extend(bars) for interval, each in self._higher.items()}
        with np.errstate(all="ignore"):
            for number, reads, interval, run in self._steps:
                own = bars if interval is None else higher[interval].bars
                results[number] = run(results, own, higher)
                for read in reads:
                    readers[read] -= 1
                    if readers[read] == 0:
                        del results[read]
        self.bars += len(bars)
        return [single(results[root.number]) if isinstance(root, Slot) else root for root in self._roots]


Higher = Mapping[Interval, HigherBars]
Run = Callable[[Results, Bars, Higher], Result]
"""From the results of earlier steps, the bars that a step is computed on, and all higher ones, all new."""


def _begin(step: Step) -> Run:
    match step:
        case Compute(name=name, operands=operands, constants=constants):
            extend = continuing(CATALOGUE[name], dict(constants))
            taken = [each for each in operands if not isinstance(each, str)]

            def compute(results: Results, bars: Bars, _: Higher) -> Result:
                inputs = [single(results[each.number]) if isinstance(each, Slot) else each for each in taken]
                return extend(inputs, bars)

            return compute
        case Delay(operand=operand, bars=n):
            delay = _Delay(n)
            return lambda results, *_: delay(single(results[operand.number]))
        case Spread(operand=operand, interval=interval):
            spread = _Spread()
            return lambda results, bars, higher: spread(
                single(results[operand.number]), higher[interval].known, len(bars)
            )
    own: OwnStep = step
    return lambda results, bars, _: run_step(own, results, bars)


def _reach(step: Step) -> int:
    match step:
        case Compute(name=name, constants=constants):
            return 8 + CATALOGUE[name].lookback(dict(constants))
        case Delay(bars=bars):
            return bars
    return 0


class _Delay:
    """The values of some bars ago."""

    def __init__(self, bars: int) -> None:
        self._bars = bars
        self._kept: Column | None = None

    def __call__(self, x: Column) -> Column:
        n = len(x)
        if self._kept is None:
            self._kept = _undefined(x, self._bars)
        joined = cast("Column", np.concatenate((self._kept, x)))
        self._kept = joined[n:].copy()
        return joined[:n]


class _Spread:
    """On each bar the value that was known last of those of a higher interval."""

    def __init__(self) -> None:
        self._last: Column | None = None

    def __call__(self, x: Column, known: Integers, n: int) -> Column:
        last = _undefined(x, 1) if self._last is None else self._last
        values = cast("Column", np.concatenate((last, x)))
        self._last = values[-1:].copy()
        edges = np.concatenate(([0], known, [n]))
        return cast("Column", np.repeat(values, np.diff(edges)))


def _undefined(x: Column, n: int) -> Column:
    return np.zeros(n, dtype=np.bool_) if x.dtype == np.bool_ else np.full(n, np.nan)


class _Higher:
    """The bars of a higher interval, as the lower ones come in."""

    def __init__(self, interval: Interval) -> None:
        self._interval = interval
        self._first: int | None = None
        # Bars of the interval that has begun, and when it ends.
        self._pending: list[Bars] = []
        self._ends = 0

    def extend(self, bars: Bars) -> HigherBars:
        """Return the bars that new ones complete, and at which of the new ones each is known."""
        if not len(bars):
            return _none(bars, self._interval)
        if self._first is None:
            self._first = int(bars.time[0])
        if not self._pending:
            self._ends = self._interval.floor(int(bars.time[0])) + self._interval.milliseconds
        # Copied, since a view would hold all that was loaded, and joined, since many small ones take more.
        self._pending.append(_join([bars]))
        if len(self._pending) > _MOST_PARTS:
            self._pending = [_join(self._pending)]
        if int(bars.time[-1]) + bars.interval < self._ends:
            return _none(bars, self._interval)
        joined = _join(self._pending)
        found = resample(joined, self._interval)
        if len(found) and int(found.time[0]) < self._first:
            # What came before the first bar is not here, as in `higher_bars`.
            found = found.slice(1, len(found))
        old = len(joined) - len(bars)
        complete = self._interval.floor(int(joined.time[-1]) + bars.interval)
        begin = int(np.searchsorted(joined.time, complete))
        self._ends = complete + self._interval.milliseconds
        # A copy: a view would hold all the bars.
        rest = joined.slice(begin, len(joined))
        self._pending = [_join([rest])] if len(rest) else []
        return HigherBars(found, known_at(joined, found) - old)


def _join(parts: Sequence[Bars]) -> Bars:
    columns: dict[str, Floats] = {
        name: np.concatenate([getattr(each, name) for each in parts]) for name in _COLUMNS[1:]
    }
    time = np.concatenate([each.time for each in parts])
    return Bars(time=time, **columns, interval=parts[0].interval)


def _none(bars: Bars, interval: Interval) -> HigherBars:
    empty = np.empty(0)
    nothing = Bars(np.empty(0, np.int64), empty, empty, empty, empty, empty, interval.milliseconds)
    return HigherBars(nothing, np.empty(0, np.int64))
