"""Batch loaders of the market data domain: one statement a batch."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from strawberry.dataloader import DataLoader

from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Context
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import asset_record, market_record
from gql_trader.market_data.feeds import states as feeds
from gql_trader.market_data.store.loading import choose_source, load_whole, reads_whole, summarize
from gql_trader.market_data.store.reading import LoadedSeries, stored_series
from gql_trader.market_data.syncs import repository as sync_repository
from gql_trader.market_data.types import (
    AssetRecord,
    MarketRecord,
    PriceSeriesRecord,
    SeriesSummary,
    StoredSeries,
)


class MarketDataLoaders:
    """Assets and markets by id, the markets of an asset, the series of a market and their candles.

    Attributes
    ----------
    sync
        Syncs that the viewer has asked for.
    whole
        All candles of a series. None if it is long: then what is wanted of it is read by itself.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.asset: DataLoader[UUID, AssetRecord | None] = DataLoader(self._assets)
        self.market: DataLoader[UUID, MarketRecord | None] = DataLoader(self._markets)
        self.markets_of_asset: DataLoader[UUID, list[MarketRecord]] = DataLoader(self._markets_of_assets)
        self.stored_series: DataLoader[UUID, list[StoredSeries]] = DataLoader(self._stored_series)
        self.series: DataLoader[tuple[UUID, Interval], PriceSeriesRecord | None] = DataLoader(self._series)
        self.summary: DataLoader[PriceSeriesRecord, SeriesSummary] = DataLoader(self._summaries)
        self.sync: DataLoader[UUID, Row[Any] | None] = DataLoader(self._syncs)
        self.feeds_of_market: DataLoader[UUID, list[Row[Any]]] = DataLoader(self._feeds)
        self.whole: DataLoader[PriceSeriesRecord, LoadedSeries | None] = DataLoader(self._wholes)

    async def _assets(self, ids: Sequence[UUID]) -> list[AssetRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.assets_by_ids(uow.session, ids)
        return [asset_record(rows[key]) if key in rows else None for key in ids]

    async def _markets(self, ids: Sequence[UUID]) -> list[MarketRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.markets_by_ids(uow.session, ids)
        return [market_record(rows[key]) if key in rows else None for key in ids]

    async def _markets_of_assets(self, ids: Sequence[UUID]) -> list[list[MarketRecord]]:
        async with self._context.uow() as uow:
            markets = [market_record(row) for row in await repository.markets_by_assets(uow.session, ids)]
        return [[each for each in markets if key in (each.base_id, each.quote_id)] for key in ids]

    async def _syncs(self, ids: Sequence[UUID]) -> list[Row[Any] | None]:
        viewer = self._context.viewer
        async with self._context.uow() as uow:
            rows = await sync_repository.syncs_by_ids(uow.session, viewer.user_id, ids)
        return [rows.get(key) for key in ids]

    async def _feeds(self, ids: Sequence[UUID]) -> list[list[Row[Any]]]:
        async with self._context.uow() as uow:
            rows = await feeds.feeds_of_markets(uow, ids)
        return [[row for row in rows if row.market_id == key] for key in ids]

    async def _stored_series(self, ids: Sequence[UUID]) -> list[list[StoredSeries]]:
        async with self._context.uow() as uow:
            series = [stored_series(row) for row in await repository.series_by_markets(uow.session, ids)]
        return [[each for each in series if each.market_id == key] for key in ids]

    async def _series(self, keys: Sequence[tuple[UUID, Interval]]) -> list[PriceSeriesRecord | None]:
        stored = await self.stored_series.load_many([market_id for market_id, _ in keys])
        found: list[PriceSeriesRecord | None] = []
        for (_, interval), series in zip(keys, stored, strict=True):
            source = choose_source(series, interval)
            found.append(PriceSeriesRecord(source.market_id, interval, source) if source else None)
        return found

    async def _summaries(self, keys: Sequence[PriceSeriesRecord]) -> list[SeriesSummary]:
        async with self._context.uow() as uow:
            return await summarize(uow, self._context.services.arrays, keys)

    async def _wholes(self, keys: Sequence[PriceSeriesRecord]) -> list[LoadedSeries | None]:
        together = [key for key in keys if reads_whole(key)]
        async with self._context.uow() as uow:
            loaded = await load_whole(uow, self._context.services.arrays, together) if together else []
        found = dict(zip(together, loaded, strict=True))
        return [found.get(key) for key in keys]
