"""What a chart draws of a strategy besides its plots: the number series that its rules are made of."""

from collections.abc import Iterator

from gql_trader.engine.indicators import Argument
from gql_trader.engine.rules.nodes import (
    Call,
    Column,
    Kind,
    Literal,
    Member,
    Node,
    On,
    Operation,
    ParameterName,
    Shift,
)

_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 4),
    **dict.fromkeys("+-", 5),
    **dict.fromkeys("*/%", 6),
    "negate": 7,
}
_ATOM = 8


def series_in(node: Node) -> Iterator[Node]:
    """Yield the largest number series inside a rule, from left to right, prices themselves left out.

    ``crossover(ema(close, 9), ema(close, 21)) and rsi(close, 14) < 70`` has three.
    """
    match node:
        case Column() | ParameterName() | Literal():
            return
        case Shift(operand=operand):
            # The line of x[1] is that of x.
            yield from series_in(operand)
        case On(kind=Kind.CONDITION, interval=interval, operand=operand):
            for each in series_in(operand):
                yield On(Kind.SERIES, each.offset, interval, each)
        case _ if node.kind is Kind.SERIES:
            yield node
        case Operation(operands=parts) | Call(arguments=parts):
            for part in parts:
                yield from series_in(part)


def text_of(node: Node) -> str:
    """Return a checked expression as it could have been written."""
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:
    match node:
        case Literal(kind=Kind.NUMBER, value=value):
            return f"{value:.15g}", _ATOM
        case Literal(kind=Kind.TEXT, value=value):
            return f'"{value}"', _ATOM
        case Literal(value=value):
            return str(value).lower(), _ATOM
        case ParameterName(name=name) | Column(name=name):
            return name, _ATOM
        case Operation(operator="negate" | "not" as operator, operands=(operand,)):
            level = _PRECEDENCE[operator]
            return ("-" if operator == "negate" else "not ") + _within(operand, level), level
        case Operation(operator=operator, operands=operands):
            level = _PRECEDENCE[operator]
            # x - (y - z) and comparisons of comparisons keep their brackets on the right.
            first, *rest = operands
            parts = [_within(first, level), *(_within(each, level + 1) for each in rest)]
            return f" {operator} ".join(parts), level
        case Call(function=function, arguments=arguments):
            given = list(zip(function.arguments, arguments, strict=True))
            while given and _is_default(*given[-1]):
                given.pop()
            return f"{function.name}({', '.join(text_of(each) for _, each in given)})", _ATOM
        case Member(call=Call(function=function) as call, output=output):
            return f"{text_of(call)}.{function.outputs[output].name}", _ATOM
        case On(interval=interval, operand=operand):
            return f"on({text_of(interval)}, {text_of(operand)})", _ATOM
        case Shift(operand=operand, bars=bars):
            return f"{_within(operand, _ATOM)}[{text_of(bars)}]", _ATOM
    raise AssertionError(f"no such node: {node!r}")


def _within(node: Node, level: int) -> str:
    text, own = _text(node)
    return text if own >= level else f"({text})"


def _is_default(argument: Argument, value: Node) -> bool:
    return argument.default is not None and isinstance(value, Literal) and value.value == argument.default
