"""The scalars of the schema: exact decimals, UTC times, and whole columns of numbers."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NewType

import strawberry
from graphql import FloatValueNode, GraphQLError, IntValueNode, StringValueNode, ValueNode, print_ast
from strawberry.types.scalar import ScalarDefinition

JSON = NewType("JSON", object)
FloatSeries = NewType("FloatSeries", object)
"""A numpy float64 array; NaN is written as null."""
IntSeries = NewType("IntSeries", object)
"""A numpy int64 array."""
EpochSeries = NewType("EpochSeries", object)
"""A numpy int64 array of Unix milliseconds."""


class UnstatedDecimal(Decimal):
    """The default of an argument that something else may replace, where a client has not stated it.

    The schema publishes it as the number that it is; a client that sends the same number gets another object.
    """


class UnstatedFloat(float):
    """The same of a Float."""


_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _parse_decimal(value: Any) -> Decimal:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > 60 or not _DECIMAL.fullmatch(text):
        raise GraphQLError(f'Decimal must be a number such as "10000.00"; got {_shown(value)}.')
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise GraphQLError(f"Decimal is out of range; got {_shown(value)}.") from error
    exponent = number.as_tuple().exponent
    if number.adjusted() >= 20 or not isinstance(exponent, int) or exponent < -18:
        raise GraphQLError("Decimal must be below 10^20 and have at most 18 decimal places.")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _decimal_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> Decimal:
    # A literal is text in the document, so that a bare 0.1 is as exact as "0.1".
    if isinstance(node, StringValueNode | IntValueNode | FloatValueNode):
        return _parse_decimal(node.value)
    raise GraphQLError(f'Decimal must be a number such as "10000.00"; got {print_ast(node)}.')


def format_decimal(value: Decimal) -> str:
    """Return all digits of an exact decimal, without an exponent and without zeros at the end."""
    # Canonical: PostgreSQL pads what it stores to the column's scale.
    # (Decimal.normalize would round to the context's 28 digits.)
    text = str(value)
    if "E" in text:
        text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_datetime(value: datetime) -> str:
    """Return RFC 3339 in UTC with millisecond precision and ``Z``.

    Raises
    ------
    ValueError
        If the value has no time zone.
    """
    if value.tzinfo is not UTC:
        if value.tzinfo is None:
            raise ValueError("a timezone-aware datetime is needed")
        value = value.astimezone(UTC)
    return value.isoformat(timespec="milliseconds")[:-6] + "Z"


def _parse_datetime(value: Any) -> datetime:
    if isinstance(value, str) and _DATETIME.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise GraphQLError(f"DateTime names no moment; got {_shown(value)}.") from error
    raise GraphQLError(
        f'DateTime must be RFC 3339 with a time zone, such as "2026-01-31T00:00:00Z"; got {_shown(value)}.'
    )


def _parse_date(value: Any) -> date:
    if isinstance(value, str) and len(value) == 10:
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise GraphQLError(f"Date names no day; got {_shown(value)}.") from error
    raise GraphQLError(f'Date must be ISO 8601, such as "2026-01-31"; got {_shown(value)}.')


def _same(value: Any) -> Any:
    return value


def _output_only(value: Any) -> Any:
    raise GraphQLError("This scalar is for results only.")


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description='An exact decimal number, as a string such as "10000.00": money, prices, quantities.',
        serialize=format_decimal,
        parse_value=_parse_decimal,
        parse_literal=_decimal_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description='A moment: RFC 3339 in UTC with milliseconds, such as "2026-01-31T09:30:00.000Z".',
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
        serialize=format_datetime,
        parse_value=_parse_datetime,
    ),
    date: strawberry.scalar(
        name="Date",
        description='A calendar day: ISO 8601, such as "2026-01-31".',
        serialize=date.isoformat,
        parse_value=_parse_date,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value: object, list, string, number, boolean or null.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc8259",
        serialize=_same,
        parse_value=_same,
    ),
    FloatSeries: strawberry.scalar(
        name="FloatSeries",
        description="A column of numbers as one JSON array; null where a value is undefined.",
        serialize=_same,
        parse_value=_output_only,
    ),
    IntSeries: strawberry.scalar(
        name="IntSeries",
        description="A column of whole numbers as one JSON array.",
        serialize=_same,
        parse_value=_output_only,
    ),
    EpochSeries: strawberry.scalar(
        name="EpochSeries",
        description="A column of moments as one JSON array of Unix milliseconds.",
        serialize=_same,
        parse_value=_output_only,
    ),
}
