"""The signals of one strategy over the same bars for many combinations of its parameters' values.

Binding a rule to values takes longer than a short run does. Here each part of a rule is bound once for the
values of the parameters that it names, and what it needs is added to one plan that all combinations share.
"""

from collections.abc import Iterator, Mapping, Sequence

from gql_trader.engine.bars import Bars
from gql_trader.engine.rules.evaluator import SharedRun
from gql_trader.engine.rules.issues import Reporter, RuleIssue, RuleIssues
from gql_trader.engine.rules.nodes import Call, Member, Node, On, Operation, ParameterName, Shift
from gql_trader.engine.rules.parameters import Parameter, ParameterValues
from gql_trader.engine.rules.plan import Operand, Plan, Slot, Step, slots_of
from gql_trader.engine.rules.sharing import SharedColumns
from gql_trader.engine.signals import RawSignals, Words

_BOUND_ONCE = Call | Operation | Member | Shift | On


class _GrowingPlan(Plan):
    """A plan of all combinations; those bound before it are not bound again."""

    def __init__(self, parameters: Mapping[str, Parameter], interval: int) -> None:
        super().__init__(parameters, {}, interval)
        self._names: dict[int, tuple[str, ...]] = {}
        self._known: dict[tuple[object, ...], Operand] = {}
        self._extras: list[int] = []
        self._reaches: list[int] = []
        self._roots: list[int] = []

    def begin(self, values: ParameterValues) -> None:
        """Bind what is added from now on to these values."""
        self.values = values
        self._roots.clear()

    def _bind(self, node: Node, report: Reporter) -> Operand:
        if not isinstance(node, _BOUND_ONCE):
            return super()._bind(node, report)
        names = self._names.get(id(node))
        if names is None:
            names = self._names[id(node)] = tuple(sorted(set(_names_in(node))))
        values = [self.values[name] for name in names]
        # True, 1 and 1.0 are equal in Python but not here.
        key = (id(node), self._higher, *values, *map(type, values))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = super()._bind(node, report)
        return known

    def _step(self, step: Step, extra: int = 0) -> Slot:
        slot = super()._step(step, extra)
        if slot.number == len(self._extras):
            self._extras.append(extra)
            self._reaches.append(extra + sum(self._reaches[each] for each in slots_of(step)))
        return slot

    def _looks_back(self, operand: Operand, limit: int) -> int:
        if isinstance(operand, Slot):
            self._roots.append(operand.number)
        # What several steps read is counted several times, which matters only where it is too much.
        most = sum(self._reaches[each] for each in self._roots)
        if most <= limit:
            return most
        live: set[int] = set()
        waiting = list(self._roots)
        while waiting:
            number = waiting.pop()
            if number not in live:
                live.add(number)
                waiting.extend(slots_of(self.steps[number]))
        return sum(self._extras[each] for each in live)


class RepeatedSignals:
    """Computes the signals of combination after combination.

    Parameters
    ----------
    rules
        The checked trees of the strategy's rules by signal, with what reports what is wrong with one.
    capacity
        Bytes of columns that are kept for combinations to come.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        rules: Mapping[str, tuple[Node, str, tuple[str, ...]]],
        bars: Bars,
        capacity: int,
    ) -> None:
        shared = SharedColumns(capacity)
        self._rules = rules
        self._bars = bars
        self._never = shared.constant(False, len(bars))
        self._plan = _GrowingPlan({parameter.name: parameter for parameter in parameters}, bars.interval)
        self._run = SharedRun(self._plan, bars, shared, alone=True)

    def of(self, values: ParameterValues) -> RawSignals:
        """Return the four signals of every bar, with these values.

        Raises
        ------
        RuleIssues
            If a rule is not valid with them.
        """
        plan = self._plan
        plan.begin(values)
        issues: list[RuleIssue] = []
        roots: dict[str, Operand] = {}
        for name, (node, text, path) in self._rules.items():
            report = Reporter(text, path)
            root = plan.add(node, report)
            issues.extend(report.issues)
            if root is not None:
                roots[name] = root
        if issues:
            raise RuleIssues(issues)
        warmup = max(map(plan.lookback, roots.values()), default=0)
        found: dict[str, Words] = dict(zip(roots, self._run.packed(list(roots.values())), strict=True))
        return RawSignals(
            found.get("entryLong", self._never),
            found.get("exitLong", self._never),
            found.get("entryShort", self._never),
            found.get("exitShort", self._never),
            len(self._bars),
            min(warmup, len(self._bars)),
        )


def _names_in(node: Node) -> Iterator[str]:
    match node:
        case ParameterName(name=name):
            yield name
        case Call(arguments=nodes) | Operation(operands=nodes):
            for each in nodes:
                yield from _names_in(each)
        case Member(call=call):
            yield from _names_in(call)
        case Shift(operand=operand, bars=bars):
            yield from _names_in(operand)
            yield from _names_in(bars)
        case On(interval=interval, operand=operand):
            yield from _names_in(interval)
            yield from _names_in(operand)
