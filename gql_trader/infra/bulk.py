"""Many rows in one statement: columns as arrays, which PostgreSQL makes rows of again."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Cast, FromClause, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql.dml import Insert
from sqlalchemy.sql.elements import KeyedColumnElement

from gql_trader.infra.database import Base


def rows_of(
    columns: Sequence[KeyedColumnElement[Any]], rows: Sequence[Sequence[Any]], name: str = "given"
) -> FromClause:
    """Return rows as something to select from, with the names and types of existing columns.

    Unlike VALUES, it has a parameter for each column instead of one for each value, so that one statement
    serves any number of rows.

    Parameters
    ----------
    rows
        Values in the order of the columns.
    """
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    arrays = [array_of(column, each) for column, each in zip(columns, values, strict=True)]
    return func.unnest(*arrays).table_valued(*(column.name for column in columns), name=name).render_derived()


def array_of(column: KeyedColumnElement[Any], values: Iterable[Any]) -> Cast[Any]:
    """Return values as one parameter, an array of a column's type: to compare with ``any_``, for example."""
    kind = ARRAY(column.type)
    return cast(bindparam(None, list(values), type_=kind), kind)


def insert_rows(model: type[Base], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Insert:
    """Return the statement that inserts rows.

    Parameters
    ----------
    names
        Columns that are given; the values of each row are in this order.
    """
    columns = [model.__table__.c[name] for name in names]
    given = rows_of(columns, rows)

    return insert(model).from_select(list(names), select(*(given.c[name] for name in names)))
