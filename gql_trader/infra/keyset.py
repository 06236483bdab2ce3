"""Keyset pagination in SQL: pages by the values of the last row seen, never by offset.

The cost of a page does not grow with its position, and rows added or removed meanwhile neither repeat
nor skip others.
"""

import base64
import binascii
import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    SmallInteger,
    and_,
    column,
    false,
    or_,
    select,
    true,
    values,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from gql_trader.core.errors import InvalidInput
from gql_trader.infra import json_codec

T = TypeVar("T")
P = TypeVar("P", bound=Hashable)

DEFAULT_PAGE = 20
MAXIMUM_PAGE = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page as the client asked for it, validated: forwards (``first``/``after``) or backwards."""

    limit: int
    backwards: bool = False
    after: str | None = None
    before: str | None = None


def page_request(
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
    *,
    maximum: int = MAXIMUM_PAGE,
    default: int = DEFAULT_PAGE,
) -> PageRequest:
    """Check the four Relay arguments and return them as one request.

    Raises
    ------
    InvalidInput
        If both ``first`` and ``last`` are given, or one of them is outside 1..maximum.
    """
    if first is not None and last is not None:
        raise InvalidInput("Give first or last, not both.", ("last",))
    for name, value in (("first", first), ("last", last)):
        if value is not None and not 1 <= value <= maximum:
            raise InvalidInput(f"{name} must be between 1 and {maximum}; got {value}.", (name,))
    limit = first if first is not None else last if last is not None else default
    return PageRequest(limit, last is not None, after, before)


@dataclass(frozen=True, slots=True)
class SortKey:
    """One column of an ordering. Nulls come last in either direction."""

    column: ColumnElement[Any]
    descending: bool = False
    nullable: bool = False

    def order_by(self, backwards: bool) -> ColumnElement[Any]:
        """Return the ORDER BY element, reversed for a page read backwards."""
        ordered = self.column.desc() if self.descending != backwards else self.column.asc()
        if not self.nullable:
            return ordered
        return ordered.nulls_first() if backwards else ordered.nulls_last()

    def beyond(self, value: Any, backwards: bool) -> ColumnElement[bool]:
        """Return the condition that a row comes after ``value`` in reading direction."""
        if value is None:
            return self.column.is_not(None) if backwards else false()
        comparison = self.column < value if self.descending != backwards else self.column > value
        if self.nullable and not backwards:
            return or_(comparison, self.column.is_(None))
        return and_(comparison)

    def same(self, value: Any) -> ColumnElement[bool]:
        """Return the condition that a row has this value."""
        return self.column.is_(None) if value is None else self.column == value


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of rows, in the order asked for, with a cursor for each."""

    rows: Sequence[T]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool


def _signature(keys: Sequence[SortKey]) -> str:
    text = ",".join(f"{key.column}:{'d' if key.descending else 'a'}" for key in keys)
    return hashlib.blake2s(text.encode(), digest_size=3).hexdigest()


def encode_cursor(signature: str, values: Sequence[Any]) -> str:
    """Return an opaque cursor for a row's sort values."""
    return base64.urlsafe_b64encode(json_codec.dumps([signature, *map(_plain, values)])).decode().rstrip("=")


def _plain(value: Any) -> Any:
    return (
        str(value)
        if isinstance(value, UUID | Decimal)
        else value.isoformat()
        if isinstance(value, date)
        else value
    )


def decode_cursor(cursor: str, signature: str, argument: str) -> list[Any]:
    """Return the sort values in a cursor.

    Raises
    ------
    InvalidInput
        If the cursor is malformed, or belongs to another ordering.
    """
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        found, *values = json_codec.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, UnicodeEncodeError) as error:
        raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,)) from error
    if found != signature:
        raise InvalidInput(f"{argument} is a cursor of a list in another order.", (argument,))
    return list(values)


def _typed(keys: Sequence[SortKey], values: list[Any], argument: str) -> list[Any]:
    if len(values) != len(keys):
        raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,))
    typed: list[Any] = []
    for key, value in zip(keys, values, strict=True):
        python_type = key.column.type.python_type
        try:
            if value is None and key.nullable:
                typed.append(None)
            elif python_type is datetime:
                moment = datetime.fromisoformat(value)
                if moment.tzinfo is None:
                    raise ValueError("no time zone")
                # Raises OverflowError next to the ends of the calendar.
                typed.append(moment.astimezone(UTC))
            elif python_type is date and isinstance(value, str):
                typed.append(date.fromisoformat(value))
            elif python_type is int and type(value) is int and _fits(key.column.type, value):
                typed.append(value)
            elif python_type in (UUID, Decimal, str) and isinstance(value, str) and "\0" not in value:
                typed.append(python_type(value))
            elif python_type is float and isinstance(value, int | float):
                typed.append(float(value))
            else:
                raise ValueError(f"no {python_type.__name__}")
        except (ValueError, TypeError, ArithmeticError) as error:
            raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,)) from error
    return typed


def _fits(column_type: TypeEngine[Any], value: int) -> bool:
    bits = 64 if isinstance(column_type, BigInteger) else 16 if isinstance(column_type, SmallInteger) else 32
    limit = 1 << bits - 1
    return -limit <= value < limit


def _seek(keys: Sequence[SortKey], values: list[Any], backwards: bool) -> ColumnElement[bool]:
    alternatives = [
        and_(
            *(key.same(value) for key, value in zip(keys[:depth], values[:depth], strict=True)),
            keys[depth].beyond(values[depth], backwards),
        )
        for depth in range(len(keys))
    ]
    return or_(*alternatives)


async def fetch_page(
    session: AsyncSession, statement: Select[Any], keys: Sequence[SortKey], page: PageRequest
) -> Slice[Row[Any]]:
    """Run one statement that reads one page.

    Parameters
    ----------
    statement
        The filtered SELECT, without order or limit.
    keys
        The ordering; its last key must be unique, so that the order is total.

    Raises
    ------
    InvalidInput
        If a cursor is malformed or belongs to another ordering.
    """
    rows = (await session.execute(_one_page(statement, keys, page))).all()
    return _cut(rows, keys, page)


async def fetch_pages(
    session: AsyncSession,
    statement: Select[Any],
    parent: ColumnElement[Any],
    parents: Sequence[P],
    keys: Sequence[SortKey],
    page: PageRequest,
) -> dict[P, Slice[Row[Any]]]:
    """Run one statement that reads the same page of the lists of several parents.

    Parameters
    ----------
    statement, keys
        As for `fetch_page`.
    parent
        The column that says whose list a row is on.
    parents
        Whose lists to read.

    Returns
    -------
    dict
        A page for each of the parents; its rows have the parent in front.

    Raises
    ------
    InvalidInput
        If a cursor is malformed or belongs to another ordering.
    """
    wanted = values(column("key", parent.type), name="parents").data([(key,) for key in set(parents)])
    inner = _one_page(statement.where(parent == wanted.c.key), keys, page)
    rows_of = inner.correlate(wanted).lateral("page")
    # The order inside a lateral subquery is lost when it is joined.
    ordered = [
        replace(key, column=rows_of.c[_label(index)]).order_by(page.backwards)
        for index, key in enumerate(keys)
    ]
    joined = select(wanted.c.key.label("_parent_key"), rows_of).join_from(wanted, rows_of, true())
    found: dict[P, list[Row[Any]]] = {key: [] for key in parents}
    for row in await session.execute(joined.order_by(*ordered)):
        found[row[0]].append(row)
    return {key: _cut(rows, keys, page) for key, rows in found.items()}


def _one_page(statement: Select[Any], keys: Sequence[SortKey], page: PageRequest) -> Select[Any]:
    """Return the statement for one row more than the page has, which tells whether more follow."""
    signature = _signature(keys)
    for cursor, argument, backwards in ((page.after, "after", False), (page.before, "before", True)):
        if cursor is not None:
            found = _typed(keys, decode_cursor(cursor, signature, argument), argument)
            statement = statement.where(_seek(keys, found, backwards))
    return (
        statement.add_columns(*(key.column.label(_label(index)) for index, key in enumerate(keys)))
        .order_by(*(key.order_by(page.backwards) for key in keys))
        .limit(page.limit + 1)
    )


def _label(index: int) -> str:
    return f"_key{index}"


def _cut(rows: Sequence[Row[Any]], keys: Sequence[SortKey], page: PageRequest) -> Slice[Row[Any]]:
    more = len(rows) > page.limit
    kept = list(rows[: page.limit])
    if page.backwards:
        kept.reverse()
    signature = _signature(keys)
    cursors = [encode_cursor(signature, row[-len(keys) :]) for row in kept]
    return Slice(
        kept,
        cursors,
        has_next=page.before is not None if page.backwards else more,
        has_previous=more if page.backwards else page.after is not None,
    )
