"""Rules compiled once, then run over any bars with any parameter values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gql_trader.core.errors import ErrorCode
from gql_trader.engine.bars import Bars, Flags, Floats
from gql_trader.engine.rules.checker import check_condition, check_series
from gql_trader.engine.rules.intervals import ON
from gql_trader.engine.rules.issues import Reporter, RuleIssue, RuleIssues
from gql_trader.engine.rules.lines import series_in, text_of
from gql_trader.engine.rules.nodes import Call, Member, Node, On, Operation, Shift
from gql_trader.engine.rules.parameters import Parameter, ParameterValues, resolve_parameters
from gql_trader.engine.rules.plan import Operand, Plan, Slot
from gql_trader.engine.signals import Signals

if TYPE_CHECKING:
    from gql_trader.engine.indicators.columns import Column
    from gql_trader.engine.rules.continuing import ContinuedSignals
    from gql_trader.engine.rules.evaluator import Program
    from gql_trader.engine.rules.repeated import RepeatedSignals
    from gql_trader.engine.rules.sharing import SharedColumns

MAXIMUM_PLOTS = 20

MAXIMUM_TOTAL_LENGTH = 20_000
"""Longest text of all rules and plots of one strategy together, in characters."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The texts of a strategy's rules; None or blank: the rule never holds.

    Attributes
    ----------
    plots
        Number series to draw with a chart.
    """

    entry_long: str | None = None
    exit_long: str | None = None
    entry_short: str | None = None
    exit_short: str | None = None
    plots: tuple[str, ...] = ()

    @property
    def total_length(self) -> int:
        """Characters of all the texts together."""
        texts = (self.entry_long, self.exit_long, self.entry_short, self.exit_short, *self.plots)
        return sum(len(text) for text in texts if text is not None)


_SIGNALS = ("entryLong", "exitLong", "entryShort", "exitShort")


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A line of a chart: an expression, and float64[n] with NaN where it is undefined.

    Attributes
    ----------
    plot
        Whether it is one of the strategy's plots; otherwise its rules use it.
    """

    text: str
    values: Floats
    plot: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    text: str
    path: tuple[str, ...]
    node: Node


_KEPT = 64
"""Combinations of values for which the same rules are kept planned: bots want several, for every bar."""

K = TypeVar("K")


def _keep(known: dict[tuple[object, ...], K], key: tuple[object, ...], made: K) -> None:
    if len(known) >= _KEPT:
        known.clear()
    known[key] = made


class CompiledRules:
    """Rules that are valid with the default parameters.

    Attributes
    ----------
    indicators
        Names of the functions that the rules use, in alphabetical order.
    """

    def __init__(
        self, parameters: Sequence[Parameter], signals: Mapping[str, _Rule], plots: Sequence[_Rule]
    ) -> None:
        self.parameters = tuple(parameters)
        self._signals = dict(signals)
        self._plots = tuple(plots)
        self._defaults = resolve_parameters(self.parameters, None)
        self._programs: dict[tuple[object, ...], tuple[Program, int]] = {}
        self._drawings: dict[tuple[object, ...], tuple[Program, list[tuple[str, bool]]]] = {}
        self._wholes: dict[tuple[object, ...], tuple[Program, int, list[tuple[str, bool]]]] = {}
        names: set[str] = set()
        for rule in (*self._signals.values(), *self._plots):
            _collect(rule.node, names)
        self.indicators = tuple(sorted(names))

    @property
    def uses_intervals(self) -> bool:
        """Whether on() is used, so that the warm-up depends on the interval of the bars."""
        return ON.name in self.indicators

    def warmup(self, values: ParameterValues | None, interval: int) -> int:
        """Return how many bars the slowest of the four rules needs before its first value.

        Parameters
        ----------
        values
            As `resolve_parameters` returns them; None: the defaults.
        interval
            Length of a bar, milliseconds: on() needs bars of a higher interval, and so many of these.

        Raises
        ------
        RuleIssues
            If a rule is not valid with these values, for example a period of 0, or names an interval that
            these bars do not make up.
        """
        plan, roots = self._plan(values, self._signals.values(), interval)
        return max(map(plan.lookback, roots), default=0)

    def signals(
        self,
        bars: Bars,
        values: ParameterValues | None = None,
        on_progress: Callable[[float], None] | None = None,
        shared: "SharedColumns | None" = None,
    ) -> Signals:
        """Return the four signals of every bar; all false during the warm-up.

        Parameters
        ----------
        values
            As `resolve_parameters` returns them; None: the defaults.
        on_progress
            Called between indicators with the fraction done, in (0, 1].
        shared
            Columns of these same bars that other runs have left, and will find; without progress then.

        Raises
        ------
        RuleIssues
            If a rule is not valid with these values.
        """
        if shared is None:
            program, warmup = self._program(values, bars.interval)
            found = program.run(bars, on_progress)
            kept = len(set(program.roots)) < len(program.roots)
        else:
            from gql_trader.engine.rules.evaluator import evaluate

            plan, roots = self._plan(values, self._signals.values(), bars.interval)
            warmup = max(map(plan.lookback, roots), default=0)
            found = evaluate(plan, roots, bars, on_progress, shared)
            kept = True
        return self._masked(found, len(bars), warmup, kept)

    def signals_and_lines(
        self, bars: Bars, values: ParameterValues | None = None
    ) -> tuple[Signals, tuple[PlotLine, ...]]:
        """Return what `signals` and `lines` return; what both need is computed once."""
        program, warmup, drawn = self._all(values, bars.interval)
        return self.said(program.run(bars), len(bars), warmup, drawn)

    def continued(self, values: ParameterValues | None, interval: int) -> "ContinuedSignals":
        """Return what says at new bars what `signals_and_lines` says there, without the bars before them.

        It has to be given all bars, in order, from the first one on.

        Parameters
        ----------
        interval
            Length of a bar, milliseconds.

        Raises
        ------
        RuleIssues
            If a rule is not valid with these values.
        """
        from gql_trader.engine.rules.continuing import ContinuedProgram, ContinuedSignals

        plan, roots, warmup, drawn = self._whole_plan(values, interval)
        return ContinuedSignals(self, ContinuedProgram(plan, roots), warmup, drawn)

    def said(
        self,
        found: "Sequence[Column | float | bool | str]",
        n: int,
        warmup: int,
        drawn: Sequence[tuple[str, bool]],
    ) -> tuple[Signals, tuple[PlotLine, ...]]:
        """Return signals, the first ``warmup`` of them false, and lines, from the values of their roots."""
        signals = self._masked(found[: len(self._signals)], n, warmup, kept=True)
        return signals, _lines(found[len(self._signals) :], drawn, n)

    def _masked(
        self, found: "Sequence[Column | float | bool | str]", n: int, warmup: int, kept: bool
    ) -> Signals:
        by_name = dict(zip(self._signals, found, strict=True))
        return Signals(*(_flags(by_name.get(name, False), n, warmup, kept) for name in _SIGNALS))

    def repeated_signals(self, bars: Bars, capacity: int) -> "RepeatedSignals":
        """Return what computes the signals over these bars for many combinations of values.

        Parameters
        ----------
        capacity
            Bytes of columns that are kept for combinations to come.
        """
        from gql_trader.engine.rules.repeated import RepeatedSignals

        rules = {name: (rule.node, rule.text, rule.path) for name, rule in self._signals.items()}
        return RepeatedSignals(self.parameters, rules, bars, capacity)

    def plots(self, bars: Bars, values: ParameterValues | None = None) -> tuple[PlotLine, ...]:
        """Return the lines to draw, each NaN until its own indicators are warm."""
        from gql_trader.engine.rules.evaluator import evaluate

        plan, roots = self._plan(values, self._plots, bars.interval)
        found = evaluate(plan, roots, bars)
        return tuple(
            PlotLine(rule.text, _floats(each, len(bars)))
            for rule, each in zip(self._plots, found, strict=True)
        )

    def lines(
        self,
        bars: Bars,
        values: ParameterValues | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> tuple[PlotLine, ...]:
        """Return what a chart draws: the plots, then the number series that the rules are made of.

        Each series is drawn once, prices not at all, and at most `MAXIMUM_PLOTS` of those of the rules.

        Parameters
        ----------
        on_progress
            Called between indicators with the fraction done, in (0, 1].
        """
        program, drawn = self._drawing(values, bars.interval)
        return _lines(program.run(bars, on_progress), drawn, len(bars))

    def check(self, values: ParameterValues | None = None, interval: int | None = None) -> None:
        """Raise RuleIssues unless every rule and plot is valid with these values.

        Parameters
        ----------
        interval
            Length of the bars to run on, milliseconds; None: not known yet.
        """
        self._plan(values, [*self._signals.values(), *self._plots], interval)

    def _program(self, values: ParameterValues | None, interval: int) -> "tuple[Program, int]":
        """Return what computes the signals, and the warm-up; both are kept, for other bars."""
        from gql_trader.engine.rules.evaluator import Program

        key = self._key(values, interval)
        kept = self._programs.get(key)
        if kept is None:
            plan, roots = self._plan(values, self._signals.values(), interval)
            kept = Program.of(plan, roots), max(map(plan.lookback, roots), default=0)
            _keep(self._programs, key, kept)
        return kept

    def _drawing(
        self, values: ParameterValues | None, interval: int
    ) -> "tuple[Program, list[tuple[str, bool]]]":
        """Return what computes the lines, with the text of each and whether it is a plot; as `_program`."""
        from gql_trader.engine.rules.evaluator import Program

        key = self._key(values, interval)
        kept = self._drawings.get(key)
        if kept is None:
            drawn = self._drawn()
            plan, roots = self._plan(values, drawn, interval)
            chosen = self._chosen(drawn, roots)
            kept = Program.of(plan, list(chosen)), list(chosen.values())
            _keep(self._drawings, key, kept)
        return kept

    def _all(
        self, values: ParameterValues | None, interval: int
    ) -> "tuple[Program, int, list[tuple[str, bool]]]":
        """Return what computes the signals and then the lines, with what `_program` and `_drawing` return."""
        from gql_trader.engine.rules.evaluator import Program

        key = self._key(values, interval)
        kept = self._wholes.get(key)
        if kept is None:
            plan, roots, warmup, chosen = self._whole_plan(values, interval)
            kept = Program.of(plan, roots), warmup, chosen
            _keep(self._wholes, key, kept)
        return kept

    def _whole_plan(
        self, values: ParameterValues | None, interval: int
    ) -> tuple[Plan, list[Operand], int, list[tuple[str, bool]]]:
        """Return a plan of the signals and then the lines, with their roots, and what `_all` returns."""
        drawn, ruled = self._drawn(), list(self._signals.values())
        plan, roots = self._plan(values, [*ruled, *drawn], interval)
        signals = roots[: len(ruled)]
        chosen = self._chosen(drawn, roots[len(ruled) :])
        warmup = max(map(plan.lookback, signals), default=0)
        return plan, [*signals, *chosen], warmup, list(chosen.values())

    def _drawn(self) -> list[_Rule]:
        used = (
            _Rule(text_of(node), rule.path, node)
            for rule in self._signals.values()
            for node in series_in(rule.node)
        )
        return [*self._plots, *used]

    def _chosen(self, drawn: Sequence[_Rule], roots: Sequence[Operand]) -> dict[Operand, tuple[str, bool]]:
        chosen: dict[Operand, tuple[str, bool]] = {}
        for number, (rule, root) in enumerate(zip(drawn, roots, strict=True)):
            plot = number < len(self._plots)
            if plot or (isinstance(root, Slot) and len(chosen) < len(self._plots) + MAXIMUM_PLOTS):
                chosen.setdefault(root, (rule.text, plot))
        return chosen

    def _key(self, values: ParameterValues | None, interval: int) -> tuple[object, ...]:
        if values is None:
            values = self._defaults
        # True, 1 and 1.0 are equal in Python but not here.
        return interval, *((name, type(value), value) for name, value in values.items())

    def _plan(
        self, values: ParameterValues | None, rules: Iterable[_Rule], interval: int | None
    ) -> tuple[Plan, list[Operand]]:
        if values is None:
            values = self._defaults
        plan = Plan({parameter.name: parameter for parameter in self.parameters}, values, interval)
        issues: list[RuleIssue] = []
        roots: list[Operand] = []
        for rule in rules:
            report = Reporter(rule.text, rule.path)
            root = plan.add(rule.node, report)
            issues.extend(report.issues)
            if root is not None:
                roots.append(root)
        if issues:
            raise RuleIssues(issues)
        return plan, roots


def compile_rules(rules: Rules, parameters: Sequence[Parameter] = ()) -> CompiledRules:
    """Parse and check rules; nothing is computed, and neither numba nor TA-Lib is imported.

    Parameters
    ----------
    parameters
        Definitions that `check_parameters` accepts.

    Raises
    ------
    RuleIssues
        With every issue found in any of the rules, also with the default parameters.
    """
    total = rules.total_length
    if total > MAXIMUM_TOTAL_LENGTH:
        message = f"All rules and plots have at most {MAXIMUM_TOTAL_LENGTH} characters together; got {total}."
        raise RuleIssues([RuleIssue(ErrorCode.RULE_SYNTAX, (), 1, 1, message)])
    known = {parameter.name: parameter for parameter in parameters}
    issues: list[RuleIssue] = []
    signals: dict[str, _Rule] = {}
    plots: list[_Rule] = []
    texts = (rules.entry_long, rules.exit_long, rules.entry_short, rules.exit_short)
    for name, text in zip(_SIGNALS, texts, strict=True):
        if text is None or not text.strip():
            continue
        report = Reporter(text, (name,))
        node = check_condition(report, known)
        issues.extend(report.issues)
        if node is not None:
            signals[name] = _Rule(text, (name,), node)
    if len(rules.plots) > MAXIMUM_PLOTS:
        message = f"There are at most {MAXIMUM_PLOTS} plots; got {len(rules.plots)}."
        raise RuleIssues([*issues, RuleIssue(ErrorCode.RULE_TYPE, ("plots",), 1, 1, message)])
    for index, text in enumerate(rules.plots):
        report = Reporter(text, ("plots", str(index)))
        node = check_series(report, known)
        issues.extend(report.issues)
        if node is not None:
            plots.append(_Rule(text, report.path, node))
    compiled = CompiledRules(parameters, signals, plots)
    try:
        compiled.check()
    except RuleIssues as error:
        issues.extend(error.issues)
    if issues:
        raise RuleIssues(issues)
    return compiled


def _collect(node: Node, names: set[str]) -> None:
    match node:
        case Call(function=function, arguments=arguments):
            names.add(function.name)
            for each in arguments:
                _collect(each, names)
        case Operation(operands=operands):
            for each in operands:
                _collect(each, names)
        case Member(call=call):
            _collect(call, names)
        case Shift(operand=operand, bars=bars):
            _collect(operand, names)
            _collect(bars, names)
        case On(operand=operand):
            names.add(ON.name)
            _collect(operand, names)


def _lines(
    found: "Sequence[Column | float | bool | str]", drawn: Sequence[tuple[str, bool]], n: int
) -> tuple[PlotLine, ...]:
    return tuple(
        PlotLine(text, _floats(each, n), plot) for (text, plot), each in zip(drawn, found, strict=True)
    )


def _floats(found: "Column | float | bool | str", n: int) -> Floats:
    if isinstance(found, np.ndarray) and len(found) == n:
        return found.astype(np.float64)
    return np.array(np.broadcast_to(np.asarray(found, dtype=np.float64), n))


@lru_cache(maxsize=1)
def _never(n: int) -> Flags:
    flags = np.zeros(n, dtype=np.bool_)
    flags.setflags(write=False)
    return flags


def _flags(found: "Column | float | bool | str", n: int, warmup: int, kept: bool) -> Flags:
    if found is False:
        return _never(n)
    if not isinstance(found, np.ndarray):
        flags = np.full(n, bool(found), dtype=np.bool_)
    else:
        # A result that two rules share, or other runs, is copied before it is masked.
        flags = found.astype(np.bool_, copy=kept)
    flags[:warmup] = False
    return flags
