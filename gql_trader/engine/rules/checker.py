"""From a syntax tree to a checked one: names, arguments and types.

Only what is listed here exists; everything else in Python's grammar is refused by name.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from gql_trader.engine.indicators import CATALOGUE, COLUMNS
from gql_trader.engine.rules.calls import (
    argument_fits,
    assign_arguments,
    default_of,
    report_wrong_kind,
    result_kind,
    series_if_any,
)
from gql_trader.engine.rules.intervals import ON, make_on
from gql_trader.engine.rules.issues import Reporter
from gql_trader.engine.rules.nodes import (
    Call,
    Column,
    Kind,
    Literal,
    Member,
    Node,
    Operation,
    ParameterName,
    Shift,
)
from gql_trader.engine.rules.operators import ARITHMETIC, COMPARISONS, WORDS
from gql_trader.engine.rules.parameters import Parameter
from gql_trader.engine.rules.syntax import MAXIMUM_NODES, offset_of, parse

MAXIMUM_DEPTH = 64
"""Longest path from a rule's root to a leaf."""

MAXIMUM_SUGGESTIONS = 3
"""Most unknown names of one rule for which similar ones are looked up: each look-up tries them all."""


def check_condition(report: Reporter, parameters: Mapping[str, Parameter]) -> Node | None:
    """Return the checked tree of a rule, which is a condition, or None after reporting why not."""
    node = _check(report, parameters)
    if node is not None and not node.kind.logical:
        report.type(
            node.offset, f"A rule is a condition, such as close > sma(close, 50); this is {node.kind.value}."
        )
        return None
    return node


def check_series(report: Reporter, parameters: Mapping[str, Parameter]) -> Node | None:
    """Return the checked tree of something to plot, which is a number series, or None."""
    node = _check(report, parameters)
    if node is not None and not node.kind.numeric:
        found = node.kind.value
        report.type(node.offset, f"A plot is a number series, such as sma(close, 50); this is {found}.")
        return None
    return node


def _check(report: Reporter, parameters: Mapping[str, Parameter]) -> Node | None:
    tree = parse(report)
    if tree is None:
        return None
    node = _Checker(report, parameters).visit(tree)
    return None if report.issues else node


class _Checker:
    def __init__(self, report: Reporter, parameters: Mapping[str, Parameter]) -> None:
        self.report = report
        self.parameters = parameters
        self.nodes = 0
        self.depth = 0
        self.suggestions = 0
        self.inside_on = False

    def visit(self, node: ast.expr) -> Node | None:
        """Return the checked node, or None after reporting what is wrong inside it."""
        self.nodes += 1
        if self.nodes > MAXIMUM_NODES:
            return self._exceeded(node, f"A rule has at most {MAXIMUM_NODES} values and operations.")
        if self.depth >= MAXIMUM_DEPTH:
            return self._exceeded(node, f"A rule is at most {MAXIMUM_DEPTH} operations deep.")
        self.depth += 1
        try:
            return self._dispatch(node)
        finally:
            self.depth -= 1

    def _dispatch(self, node: ast.expr) -> Node | None:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp():
                return self._logic(node)
            case ast.Subscript():
                return self._shift(node)
            case ast.Attribute():
                return self._member(node)
            case ast.Call():
                return self._call(node)
        return self._refuse(node, "This is not part of the rule language.")

    def _refuse(self, node: ast.expr, message: str) -> Node | None:
        self.report.type(offset_of(node), message)
        return None

    def _exceeded(self, node: ast.expr, message: str) -> Node | None:
        # Every node beyond a limit ends here; one report is enough.
        if not any(issue.message == message for issue in self.report.issues):
            self._refuse(node, message)
        return None

    def _constant(self, node: ast.Constant) -> Node | None:
        offset = offset_of(node)
        match node.value:
            case bool(value):
                return Literal(Kind.FLAG, offset, value)
            case int(value) | float(value):
                return Literal(Kind.NUMBER, offset, float(value))
            case str(value):
                return Literal(Kind.TEXT, offset, value)
        return self._refuse(node, "This is not part of the rule language.")

    def _name(self, node: ast.Name) -> Node | None:
        name, offset = node.id, offset_of(node)
        if name in ("true", "false"):
            return Literal(Kind.FLAG, offset, name == "true")
        if name in COLUMNS:
            return Column(Kind.SERIES, offset, name)
        parameter = self.parameters.get(name)
        if parameter is not None:
            return ParameterName(parameter.kind, offset, name)
        if name in CATALOGUE or name == ON.name:
            return self._refuse(node, f"{name} is a function: write {CATALOGUE.get(name, ON).signature}.")
        similar = self._similar(name, (*COLUMNS, *self.parameters, "true", "false"))
        return self._refuse(node, f"Unknown name {_shown(name)}{similar}.")

    def _arithmetic(self, node: ast.BinOp) -> Node | None:
        operator = ARITHMETIC.get(type(node.op))
        left, right = self.visit(node.left), self.visit(node.right)
        if operator is None:
            return self._refuse(node, "This operator is not part of the rule language.")
        if left is None or right is None:
            return None
        for side in (left, right):
            if not side.kind.numeric:
                return self._wants(side, f"{operator} needs numbers on both sides")
        return Operation(series_if_any((left, right)), offset_of(node), operator, (left, right))

    def _unary(self, node: ast.UnaryOp) -> Node | None:
        operand = self.visit(node.operand)
        if operand is None:
            return None
        if isinstance(node.op, ast.Not):
            if not operand.kind.logical:
                return self._wants(operand, "not needs a condition")
            return Operation(operand.kind, offset_of(node), "not", (operand,))
        if not operand.kind.numeric or not isinstance(node.op, ast.USub | ast.UAdd):
            return self._wants(operand, "A sign needs a number")
        if isinstance(node.op, ast.UAdd):
            return operand
        return Operation(operand.kind, offset_of(node), "negate", (operand,))

    def _comparison(self, node: ast.Compare) -> Node | None:
        sides = [self.visit(each) for each in (node.left, *node.comparators)]
        known = [side for side in sides if side is not None]
        if len(known) < len(sides):
            return None
        pairs: list[Node] = []
        for operation, left, right in zip(node.ops, known, known[1:], strict=False):
            operator = COMPARISONS.get(type(operation))
            if operator is None:
                return self._refuse(node, "This comparison is not part of the rule language.")
            pair = self._pair(operator, left, right)
            if pair is None:
                return None
            pairs.append(pair)
        if len(pairs) == 1:
            return pairs[0]
        return Operation(_condition_if_any(pairs), offset_of(node), "and", tuple(pairs))

    def _pair(self, operator: str, left: Node, right: Node) -> Node | None:
        if left.kind is Kind.TEXT and right.kind is Kind.TEXT and operator in ("==", "!="):
            return Operation(Kind.FLAG, left.offset, operator, (left, right))
        for side in (left, right):
            if not side.kind.numeric:
                hint = "; a condition is used as it is, or with not" if side.kind.logical else ""
                return self._wants(side, f"{operator} compares numbers", hint)
        series = Kind.SERIES in (left.kind, right.kind)
        return Operation(Kind.CONDITION if series else Kind.FLAG, left.offset, operator, (left, right))

    def _logic(self, node: ast.BoolOp) -> Node | None:
        word = WORDS[type(node.op)]
        operands = [self.visit(each) for each in node.values]
        known = [operand for operand in operands if operand is not None]
        for operand in known:
            if not operand.kind.logical:
                self._wants(operand, f"{word} needs conditions on both sides")
                return None
        if len(known) < len(operands):
            return None
        return Operation(_condition_if_any(known), offset_of(node), word, tuple(known))

    def _shift(self, node: ast.Subscript) -> Node | None:
        operand, bars = self.visit(node.value), self.visit(node.slice)
        if operand is None or bars is None:
            return None
        if operand.kind not in (Kind.SERIES, Kind.CONDITION):
            return self._wants(operand, "x[n] is the value n bars ago of a series or a condition")
        if bars.kind is not Kind.NUMBER:
            return self._wants(bars, "n in x[n] is a constant number of bars")
        return Shift(operand.kind, offset_of(node), operand, bars)

    def _member(self, node: ast.Attribute) -> Node | None:
        if not isinstance(node.value, ast.Call):
            return self._refuse(node, "Only the result of a function with several results has members.")
        call = self.visit(node.value)
        if call is None:
            return None
        if not isinstance(call, Call):
            return self._refuse(node, "on() has one result and no members; choose the member inside it.")
        function = call.function
        output = function.output(node.attr)
        if output is None:
            has = ", ".join(each.name for each in function.outputs) or "one result and no members"
            return self._refuse(node, f"{function.name}() has {has}; got .{node.attr[:40]}.")
        return Member(Kind.SERIES, offset_of(node), call, output)

    def _call(self, node: ast.Call) -> Node | None:
        if not isinstance(node.func, ast.Name):
            return self._refuse(node, "Only functions of the rule language can be called.")
        name = node.func.id
        if name == ON.name:
            return self._on(node)
        function = CATALOGUE.get(name)
        if function is None:
            kind = "a series" if name in COLUMNS else "a parameter" if name in self.parameters else None
            if kind is not None:
                return self._refuse(node, f"{name} is {kind}, not a function.")
            return self._refuse(node, f"Unknown function {_shown(name)}{self._similar(name, CATALOGUE)}.")
        given = assign_arguments(self.report, node, function)
        if given is None:
            return None
        arguments: list[Node] = []
        for argument in function.arguments:
            expression = given.get(argument.name)
            if expression is None:
                assert argument.default is not None
                arguments.append(default_of(argument, offset_of(node)))
                continue
            value = self.visit(expression)
            if value is not None and argument_fits(self.report, function, argument, value):
                arguments.append(value)
        if len(arguments) < len(function.arguments):
            return None
        return Call(result_kind(function, arguments), offset_of(node), function, tuple(arguments))

    def _on(self, node: ast.Call) -> Node | None:
        if self.inside_on:
            return self._refuse(node, "on() cannot stand inside another on().")
        given = assign_arguments(self.report, node, ON)
        if given is None:
            return None
        interval = self.visit(given["interval"])
        self.inside_on = True
        try:
            operand = self.visit(given["expression"])
        finally:
            self.inside_on = False
        if interval is None or operand is None:
            return None
        return make_on(self.report, node, interval, operand)

    def _similar(self, name: str, known: Iterable[str]) -> str:
        if self.report.full or self.suggestions >= MAXIMUM_SUGGESTIONS or len(name) > 40:
            return ""
        self.suggestions += 1
        close = get_close_matches(name, tuple(known), n=1, cutoff=0.7)
        return f"; {close[0]!r} looks like it" if close else ""

    def _wants(self, node: Node, expectation: str, hint: str = "") -> Node | None:
        report_wrong_kind(self.report, node, expectation, hint)
        return None


def _condition_if_any(nodes: Sequence[Node]) -> Kind:
    return Kind.CONDITION if any(node.kind is Kind.CONDITION for node in nodes) else Kind.FLAG


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:37]}...")
