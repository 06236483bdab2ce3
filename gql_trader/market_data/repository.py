"""Reads of assets, markets and the descriptions of their series."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.intervals import Interval
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.market_data.models import AssetRow, MarketRow, PriceSeriesRow
from gql_trader.market_data.types import AssetType

_ESCAPE = "\\"


def storable(text: str) -> bool:
    """Return whether a text can be in the database at all: PostgreSQL knows no NUL and no lone surrogate."""
    return "\0" not in text and text.isprintable()


def _contains(search: str) -> str:
    escaped = search.replace(_ESCAPE, _ESCAPE * 2).replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def select_assets(search: str | None, types: Sequence[AssetType] | None, active: bool | None) -> Select[Any]:
    """Return the statement for assets whose symbol or name contains a text, of given types."""
    statement = select(AssetRow)
    if search and not storable(search):
        return statement.where(false())
    if search:
        pattern = _contains(search)
        statement = statement.where(
            or_(AssetRow.symbol.ilike(pattern, escape=_ESCAPE), AssetRow.name.ilike(pattern, escape=_ESCAPE))
        )
    if types is not None:
        statement = statement.where(AssetRow.type.in_({kind.value for kind in types}))
    if active is not None:
        statement = statement.where(AssetRow.active.is_(active))
    return statement


async def asset_page(session: AsyncSession, statement: Select[Any], page: PageRequest) -> Slice[Any]:
    """Return a page of assets in the order of their symbols."""
    return await fetch_page(session, statement, [SortKey(AssetRow.__table__.c.symbol)], page)


def select_markets(search: str | None, exchange: str | None) -> Select[Any]:
    """Return the statement for markets whose symbol contains a text, on one venue."""
    statement = select(MarketRow)
    if not storable(search or "") or not storable(exchange or ""):
        return statement.where(false())
    if search:
        statement = statement.where(MarketRow.symbol.ilike(_contains(search), escape=_ESCAPE))
    if exchange is not None:
        statement = statement.where(MarketRow.exchange == exchange.lower())
    return statement


async def market_page(session: AsyncSession, statement: Select[Any], page: PageRequest) -> Slice[Any]:
    """Return a page of markets in the order of their symbols, then venues."""
    columns = MarketRow.__table__.c
    return await fetch_page(session, statement, [SortKey(columns.symbol), SortKey(columns.exchange)], page)


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    """Return how many rows a statement would give."""
    return await session.scalar(select(func.count()).select_from(statement.subquery())) or 0


async def asset_by_symbol(session: AsyncSession, symbol: str) -> AssetRow | None:
    """Return the asset with this symbol, in capitals."""
    return await session.scalar(select(AssetRow).where(AssetRow.symbol == symbol))


async def assets_by_ids(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, AssetRow]:
    """Return those of the assets that exist, by id."""
    rows = await session.scalars(select(AssetRow).where(AssetRow.id.in_(list(ids))))
    return {row.id: row for row in rows}


async def markets_by_ids(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, MarketRow]:
    """Return those of the markets that exist, by id."""
    rows = await session.scalars(select(MarketRow).where(MarketRow.id.in_(list(ids))))
    return {row.id: row for row in rows}


async def markets_by_symbol(session: AsyncSession, symbol: str) -> list[MarketRow]:
    """Return the markets with this symbol on any venue, in the order of the venues."""
    statement = select(MarketRow).where(MarketRow.symbol == symbol).order_by(MarketRow.exchange)
    rows = await session.scalars(statement)
    return list(rows)


async def markets_by_assets(session: AsyncSession, ids: Iterable[UUID]) -> list[MarketRow]:
    """Return the markets whose base or quote is one of the assets, in the order of symbols and venues."""
    keys = list(ids)
    rows = await session.scalars(
        select(MarketRow)
        .where(or_(MarketRow.base_id.in_(keys), MarketRow.quote_id.in_(keys)))
        .order_by(MarketRow.symbol, MarketRow.exchange)
    )
    return list(rows)


async def series_by_markets(session: AsyncSession, ids: Iterable[UUID]) -> list[PriceSeriesRow]:
    """Return every stored series of the markets."""
    rows = await session.scalars(select(PriceSeriesRow).where(PriceSeriesRow.market_id.in_(list(ids))))
    return list(rows)


async def series_by_ids(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, PriceSeriesRow]:
    """Return those of the stored series that exist, by id, as they are now."""
    statement = select(PriceSeriesRow).where(PriceSeriesRow.id.in_(list(ids)))
    rows = await session.scalars(statement.execution_options(populate_existing=True))
    return {row.id: row for row in rows}


async def lock_market(session: AsyncSession, market_id: UUID) -> None:
    """Make other savings of this market's candles wait until this transaction ends."""
    statement = select(MarketRow.id).where(MarketRow.id == market_id)
    await session.execute(statement.with_for_update(key_share=True))


async def series_row(session: AsyncSession, market_id: UUID, interval: Interval) -> PriceSeriesRow | None:
    """Return a market's stored series at an interval, as it is now."""
    statement = select(PriceSeriesRow).where(
        PriceSeriesRow.market_id == market_id, PriceSeriesRow.interval == interval.value
    )
    return await session.scalar(statement.execution_options(populate_existing=True))
