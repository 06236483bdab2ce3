"""The checked tree of a rule: every node knows its type."""

from dataclasses import dataclass
from enum import StrEnum

from gql_trader.engine.indicators import Function


class Kind(StrEnum):
    """What an expression is. Constants are the same on every bar; the rest has a value for each."""

    NUMBER = "a number"
    FLAG = "true or false"
    TEXT = "a text"
    SERIES = "a number series"
    CONDITION = "a condition"
    BUNDLE = "several results"

    @property
    def constant(self) -> bool:
        """Whether a value of this kind is the same on every bar."""
        return self in (Kind.NUMBER, Kind.FLAG, Kind.TEXT)

    @property
    def numeric(self) -> bool:
        """Whether arithmetic accepts it."""
        return self in (Kind.NUMBER, Kind.SERIES)

    @property
    def logical(self) -> bool:
        """Whether and, or, not accept it."""
        return self in (Kind.FLAG, Kind.CONDITION)


@dataclass(frozen=True, slots=True)
class Node:
    """An expression; ``offset`` is where it begins in the rule's text."""

    kind: Kind
    offset: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, true, false or a text, as written."""

    value: float | bool | str


@dataclass(frozen=True, slots=True)
class ParameterName(Node):
    """A parameter of the strategy; one of type SOURCE is a series."""

    name: str


@dataclass(frozen=True, slots=True)
class Column(Node):
    """A series of the bars."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """An operator with its operands: arithmetic, a comparison of two, logic of any number."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with one node for each of its arguments, defaults filled in."""

    function: Function
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Member(Node):
    """One of several results of a call."""

    call: Node
    output: int


@dataclass(frozen=True, slots=True)
class Shift(Node):
    """The value a constant number of bars ago."""

    operand: Node
    bars: Node


@dataclass(frozen=True, slots=True)
class On(Node):
    """An expression over the bars of a higher interval; on each bar the value of the last complete one."""

    interval: Node
    operand: Node
