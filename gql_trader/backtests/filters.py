"""Filters and orderings of backtests as SQL over indexed columns."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_, select, true
from sqlalchemy.orm import aliased

from gql_trader.backtests.models import ORDERED_METRICS, BacktestRow
from gql_trader.backtests.types import BacktestOrderField, BacktestOrdering, BacktestQuery
from gql_trader.core.errors import InvalidInput
from gql_trader.infra.keyset import SortKey
from gql_trader.market_data.models import AssetRow, MarketRow
from gql_trader.market_data.names import split_name

MAXIMUM_PARTS = 50
MAXIMUM_VALUES = 1_000
"""Most values in all lists of a filter together; a statement has room for 32,767."""

_RANGES = {"created_at": BacktestRow.created_at} | {
    name: getattr(BacktestRow, name) for name in ORDERED_METRICS
}


def condition(query: BacktestQuery) -> ColumnElement[bool]:
    """Return the SQL condition of a filter.

    Raises
    ------
    InvalidInput
        If the filter has too many parts, or too many values in its lists.
    """
    parts = list(_parts(query))
    if len(parts) > MAXIMUM_PARTS:
        raise InvalidInput(f"A filter has at most {MAXIMUM_PARTS} parts.", ("where",))
    values = sum(map(_values, parts))
    if values > MAXIMUM_VALUES:
        message = f"The lists of a filter have at most {MAXIMUM_VALUES} values together; got {values}."
        raise InvalidInput(message, ("where",))
    return _condition(query)


def _parts(query: BacktestQuery) -> Iterator[BacktestQuery]:
    yield query
    for inner in (*query.all_of, *(query.any_of or ()), *([query.none_of] if query.none_of else ())):
        yield from _parts(inner)


def _values(query: BacktestQuery) -> int:
    lists = (query.status, query.asset, query.market, query.strategy_ids, query.interval, query.tags)
    return sum(len(each) for each in lists if each is not None)


def _condition(query: BacktestQuery) -> ColumnElement[bool]:
    parts: list[ColumnElement[bool]] = [_condition(part) for part in query.all_of]
    if query.any_of is not None:
        parts.append(or_(*map(_condition, query.any_of)) if query.any_of else ~true())
    if query.none_of is not None:
        # A metric that is undefined is not known to match: NOT must not turn that into NULL.
        parts.append(not_(_condition(query.none_of).is_(True)))
    if query.status is not None:
        parts.append(BacktestRow.status.in_([status.value for status in query.status]))
    if query.strategy_ids is not None:
        parts.append(BacktestRow.strategy_id.in_(query.strategy_ids))
    if query.interval is not None:
        parts.append(BacktestRow.interval.in_([interval.name for interval in query.interval]))
    if query.tags is not None:
        parts.append(BacktestRow.tags.overlap(list(query.tags)))
    if query.asset is not None:
        base = aliased(AssetRow)
        symbols = [symbol.strip().upper() for symbol in query.asset]
        markets = (
            select(MarketRow.id).join(base, MarketRow.base_id == base.id).where(base.symbol.in_(symbols))
        )
        parts.append(BacktestRow.market_id.in_(markets))
    if query.market is not None:
        parts.append(BacktestRow.market_id.in_(select(MarketRow.id).where(_named(query.market))))
    for name, bounds in query.ranges.items():
        column = _RANGES[name]
        for value, compare in (
            (bounds.gt, column.__gt__),
            (bounds.gte, column.__ge__),
            (bounds.lt, column.__lt__),
            (bounds.lte, column.__le__),
        ):
            if value is not None:
                parts.append(compare(value))
    return and_(true(), *parts)


def _named(names: Sequence[str]) -> ColumnElement[bool]:
    alternatives: list[ColumnElement[bool]] = []
    for name in names:
        exchange, symbol = split_name(name)
        alternatives.append(
            and_(MarketRow.exchange == exchange, MarketRow.symbol == symbol)
            if exchange is not None
            else MarketRow.symbol == symbol
        )
    return or_(~true(), *alternatives)


def sort_keys(orderings: Sequence[BacktestOrdering]) -> list[SortKey]:
    """Return the keys of a total order: those asked for, newest first without any, then the id."""
    keys: list[SortKey] = []
    seen: set[BacktestOrderField] = set()
    for ordering in orderings or [BacktestOrdering(BacktestOrderField.CREATED_AT)]:
        if ordering.field in seen:
            raise InvalidInput(f"{ordering.field.value} is ordered by twice.", ("orderBy",))
        seen.add(ordering.field)
        column: Any = getattr(BacktestRow, ordering.field.value.lower())
        keys.append(SortKey(column, ordering.descending, ordering.field is not BacktestOrderField.CREATED_AT))
    return [*keys, SortKey(BacktestRow.__table__.c.id, keys[0].descending)]
