"""Calls of functions: which expression is which argument, and whether it fits."""

import ast
from collections.abc import Sequence

from gql_trader.engine.indicators import Argument, ArgumentKind, Function, Yields
from gql_trader.engine.rules.issues import Reporter
from gql_trader.engine.rules.nodes import Call, Kind, Literal, Node
from gql_trader.engine.rules.syntax import offset_of


def assign_arguments(report: Reporter, node: ast.Call, function: Function) -> dict[str, ast.expr] | None:
    """Return the expression given for each argument by name; None after reporting a wrong call."""
    takes = f"{function.name}() takes {function.argument_names}"
    if len(node.args) > len(function.arguments):
        report.type(offset_of(node), f"{takes}; got {_arguments(len(node.args))}.")
        return None
    given = {a.name: value for a, value in zip(function.arguments, node.args, strict=False)}
    for keyword in node.keywords:
        argument = function.argument(keyword.arg or "")
        if argument is None:
            report.type(offset_of(keyword.value), f"{takes}; got {str(keyword.arg)[:40]}.")
            return None
        if argument.name in given:
            report.type(offset_of(keyword.value), f"{takes}; {argument.name} is given twice.")
            return None
        given[argument.name] = keyword.value
    missing = [a.name for a in function.arguments if a.default is None and a.name not in given]
    if missing:
        count = _arguments(len(node.args) + len(node.keywords))
        report.type(offset_of(node), f"{takes}; got {count}, without {' and '.join(missing)}.")
        return None
    return given


def argument_fits(report: Reporter, function: Function, argument: Argument, value: Node) -> bool:
    """Return whether a value is of the kind that an argument takes; report it if not."""
    wanted: Sequence[Kind] = {
        ArgumentKind.SERIES: (Kind.SERIES,),
        ArgumentKind.CONDITION: (Kind.CONDITION,),
        ArgumentKind.OPERAND: (Kind.SERIES, Kind.NUMBER),
        ArgumentKind.INTEGER: (Kind.NUMBER,),
        ArgumentKind.NUMBER: (Kind.NUMBER,),
        ArgumentKind.TEXT: (Kind.TEXT,),
    }[argument.kind]
    if value.kind in wanted:
        return True
    same = ", the same on every bar" if argument.kind.constant and value.kind is Kind.SERIES else ""
    report_wrong_kind(
        report, value, f"{argument.name} of {function.name}() must be {argument.kind.value}{same}"
    )
    return False


def report_wrong_kind(report: Reporter, node: Node, expectation: str, hint: str = "") -> None:
    """Report what was expected and what the node is instead."""
    found = node.kind.value
    if node.kind is Kind.BUNDLE and isinstance(node, Call):
        outputs = [f".{output.name}" for output in node.function.outputs]
        hint = f": choose {', '.join(outputs[:-1])} or {outputs[-1]}"
        found = f"the {found} of {node.function.name}()"
    report.type(node.offset, f"{expectation}; got {found}{hint}.")


def result_kind(function: Function, arguments: Sequence[Node]) -> Kind:
    """Return what a call is."""
    if function.outputs:
        return Kind.BUNDLE
    if function.yields is Yields.CONDITION:
        return Kind.CONDITION
    return series_if_any(arguments) if function.pointwise else Kind.SERIES


def default_of(argument: Argument, offset: int) -> Literal:
    """Return an argument's default as if it had been written in the call."""
    value = argument.default
    if isinstance(value, str):
        return Literal(Kind.TEXT, offset, value)
    assert value is not None
    return Literal(Kind.NUMBER, offset, float(value))


def series_if_any(nodes: Sequence[Node]) -> Kind:
    """Return SERIES if one of the nodes is one, else NUMBER."""
    return Kind.SERIES if any(node.kind is Kind.SERIES for node in nodes) else Kind.NUMBER


def _arguments(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"
