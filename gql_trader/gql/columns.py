"""Complete the values of plain attributes column by column.

graphql-core completes a list of objects value by value, at several microseconds each. Where every selected
field is a plain attribute, the same result comes from taking each attribute of all objects at once,
checking the column as a whole, and zipping the columns into dictionaries: almost all of that runs in C.
Anything out of the ordinary (a null in a non-null column, a value of another type, NaN, an exception)
raises `Irregular`, and the caller lets graphql-core do it all over in its own way, so that errors are
exactly graphql-core's.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice, repeat
from math import isfinite
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from graphql import GraphQLEnumType, GraphQLLeafType, is_enum_type
from graphql.type.scalars import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT

_NONE = type(None)

# What custom scalars are given. Other types may be anything, an awaitable or an exception for instance,
# which graphql-core treats in its own ways.
_PLAIN_TYPES = frozenset(
    {str, int, float, bool, dict, list, Decimal, dt.datetime, dt.date, dt.timedelta, UUID, np.ndarray}
)


class Irregular(Exception):
    """The values are not of the plain kind; complete them the slow way."""


class Column(Protocol):
    """Completes all values of one field."""

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the completed values.

        Parameters
        ----------
        values
            The values, none of which is None.
        types
            The types that occur among them.

        Raises
        ------
        Irregular
            If a value is not of the plain kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class Exact:
    """Values of one type that are completed as they are: String, ID, Boolean."""

    kind: type

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the values."""
        if not types <= {self.kind}:
            raise Irregular
        return values


class Integers:
    """Int: 32 bits."""

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the values."""
        if types != {int} or min(values) < GRAPHQL_MIN_INT or max(values) > GRAPHQL_MAX_INT:
            raise Irregular
        return values


class Floats:
    """Float: finite."""

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the values."""
        if types != {float} or not all(map(isfinite, values)):
            raise Irregular
        return values


class Members:
    """Members of a Python enum."""

    def __init__(self, kind: GraphQLEnumType, members: Sequence[Any]) -> None:
        # By identity: members are singletons, and hashing them calls a method written in Python.
        self._names = {id(member): kind.coerce_output_value(member) for member in members}

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the names."""
        try:
            return list(map(self._names.__getitem__, map(id, values)))
        except KeyError:
            raise Irregular from None


@dataclass(frozen=True, slots=True)
class Serialized:
    """Values of a custom scalar."""

    serialize: Callable[[Any], Any]

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the serialized values."""
        if not types <= _PLAIN_TYPES:
            raise Irregular
        try:
            completed = list(map(self.serialize, values))
        except Exception:
            raise Irregular from None
        if not set(map(type, completed)) <= _PLAIN_TYPES:
            raise Irregular
        return completed


class Lists:
    """Lists of the values of another column."""

    def __init__(self, items: Column, nullable: bool) -> None:
        self._items = items
        self._nullable = nullable

    def complete(self, values: list[Any], types: set[type]) -> list[Any]:
        """Return the lists, completed."""
        if not types <= {list}:
            raise Irregular
        items = iter(complete_column(self._items, list(chain.from_iterable(values)), self._nullable))
        return [list(islice(items, len(value))) for value in values]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A selected field that is a plain attribute; ``get`` takes it from an object."""

    response_name: str
    get: Callable[[Any], Any]
    column: Column
    nullable: bool


class Objects:
    """Objects of one type, with a selection of plain attributes.

    Parameters
    ----------
    attributes
        The selected fields, in order; a plain string instead is the type's name, for ``__typename``,
        with the response name.
    kind
        The only Python type that is known to stand for the GraphQL type; None: any does.
    """

    def __init__(self, attributes: Sequence[Attribute | tuple[str, str]], kind: type | None) -> None:
        self._attributes = attributes
        self._kind = kind
        self._names = [each.response_name if isinstance(each, Attribute) else each[0] for each in attributes]

    def complete(self, values: list[Any], types: set[type]) -> list[dict[str, Any]]:
        """Return a dictionary for each object."""
        if self._kind is not None and not types <= {self._kind}:
            raise Irregular
        columns: list[list[Any]] = []
        for attribute in self._attributes:
            if not isinstance(attribute, Attribute):
                columns.append([attribute[1]] * len(values))
                continue
            try:
                taken = list(map(attribute.get, values))
            except Exception:
                raise Irregular from None
            columns.append(complete_column(attribute.column, taken, attribute.nullable))
        return list(map(dict, map(zip, repeat(self._names), zip(*columns, strict=True))))


def complete_column(column: Column, values: list[Any], nullable: bool) -> list[Any]:
    """Return the completed values of a column that may have nulls.

    Raises
    ------
    Irregular
        If there is a null though the column is not nullable, or a value is not of the plain kind.
    """
    if not values:
        return []
    types = set(map(type, values))
    if _NONE not in types:
        return column.complete(values, types)
    if not nullable:
        raise Irregular
    types.discard(_NONE)
    present = [value for value in values if value is not None]
    completed = iter(column.complete(present, types) if present else ())
    return [None if value is None else next(completed) for value in values]


_BUILT_IN: dict[str, Column] = {
    "Int": Integers(),
    "Float": Floats(),
    "String": Exact(str),
    "ID": Exact(str),
    "Boolean": Exact(bool),
}


def leaf_column(kind: GraphQLLeafType) -> Column:
    """Return the column of a scalar or enum type."""
    if is_enum_type(kind):
        python_enum = getattr(kind, "wrapped_cls", None)
        if python_enum is not None:
            return Members(kind, list(python_enum))
    return _BUILT_IN.get(kind.name) or Serialized(kind.coerce_output_value)
