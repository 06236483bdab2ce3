"""GraphQL types and resolvers of the market data domain."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_exact
from gql_trader.engine.bars import Bars
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.enums import register_enum
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import EpochSeries, FloatSeries
from gql_trader.infra.keyset import page_request
from gql_trader.market_data import service
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.paging import CandleRecord
from gql_trader.market_data.resampling import downsample
from gql_trader.market_data.schema_exports import candles_link
from gql_trader.market_data.schema_feeds import MarketFeed
from gql_trader.market_data.types import (
    AssetRecord,
    AssetType,
    MarketRecord,
    PriceSeriesRecord,
    SeriesSummary,
)

register_enum(
    AssetType,
    "What kind of thing an asset is.",
    {
        "CRYPTO": "A cryptocurrency or token; trades every day.",
        "FIAT": "A state's currency.",
        "STOCK": "A share of a company or fund.",
        "INDEX": "An index of prices.",
        "FOREX": "A currency pair traded as one asset.",
        "COMMODITY": "Metals, energy, crops.",
    },
)

CANDLE_COLUMNS = ("time", "open", "high", "low", "close", "volume")

Start = Annotated[
    datetime | None,
    strawberry.argument(description="Only candles that open then or later; from the first if left out."),
]
End = Annotated[
    datetime | None,
    strawberry.argument(description="Only candles that open before then; to the last if left out."),
]


@visible("everybody signed in")
@strawberry.type(description="One candle (bar): how the price moved within one interval.")
class Candle:
    """A candle."""

    time: datetime = strawberry.field(description="When it opens.")
    open: Decimal = strawberry.field(description="First price, in the quote asset.")
    high: Decimal = strawberry.field(description="Highest price.")
    low: Decimal = strawberry.field(description="Lowest price.")
    close: Decimal = strawberry.field(description="Last price.")
    volume: Decimal = strawberry.field(description="How much was traded, in the base asset.")

    @classmethod
    def from_record(cls, candle: CandleRecord) -> "Candle":
        """Return the GraphQL object of a candle."""
        return cls(
            time=from_milliseconds(candle.time),
            open=to_exact(candle.open),
            high=to_exact(candle.high),
            low=to_exact(candle.low),
            close=to_exact(candle.close),
            volume=to_exact(candle.volume),
        )


@visible("everybody signed in")
@strawberry.type(description="Candles as columns of equal length, for charts and analysis.")
class CandleColumns:
    """Columns of candles."""

    time: EpochSeries = strawberry.field(description="When each candle opens.")
    open: FloatSeries = strawberry.field(description="First prices.")
    high: FloatSeries = strawberry.field(description="Highest prices.")
    low: FloatSeries = strawberry.field(description="Lowest prices.")
    close: FloatSeries = strawberry.field(description="Last prices.")
    volume: FloatSeries = strawberry.field(description="Amounts traded, in the base asset.")

    @classmethod
    def from_bars(cls, bars: Bars) -> "CandleColumns":
        """Return the GraphQL object of bars; the arrays are serialised as they are."""
        return cls(
            time=EpochSeries(bars.time),
            open=FloatSeries(bars.open),
            high=FloatSeries(bars.high),
            low=FloatSeries(bars.low),
            close=FloatSeries(bars.close),
            volume=FloatSeries(bars.volume),
        )


@visible("everybody signed in")
@strawberry.type(
    description="The candles of a market at one interval: as imported, or resampled from a lower interval."
)
class PriceSeries:
    """A price series."""

    record: strawberry.Private[PriceSeriesRecord]
    interval: Interval = strawberry.field(description="Length of one candle.")
    resampled: bool = strawberry.field(
        description="Whether the candles are made from those of a lower interval. The last one is left out "
        "until it is complete."
    )
    count: int = strawberry.field(description="How many candles there are.")
    start: datetime | None = strawberry.field(description="When the first candle opens.")
    end: datetime | None = strawberry.field(
        description="When the last candle closes; `start` and `end` together select the whole series."
    )
    gaps: int = strawberry.field(
        description="How many candles are missing between the first and the last. They are never invented."
    )
    content_hash: str = strawberry.field(
        description="SHA-256 of the candles, in hexadecimal: equal candles have equal hashes, however they "
        "were imported."
    )

    @classmethod
    def from_records(cls, series: PriceSeriesRecord, summary: SeriesSummary) -> "PriceSeries":
        """Return the GraphQL object of a series."""
        return cls(
            record=series,
            interval=series.interval,
            resampled=series.resampled,
            count=summary.count,
            start=from_milliseconds(summary.start) if summary.start is not None else None,
            end=from_milliseconds(summary.end) if summary.end is not None else None,
            gaps=summary.gaps,
            content_hash=summary.content_hash,
        )

    @strawberry.field(description="The candles one by one with exact prices, oldest first.")
    async def candles(
        self,
        info: Info,
        start: Start = None,
        end: End = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Candle]:
        arrays = info.context.services.arrays
        asked = page_request(first, after, last, before)
        whole = await info.context.loaders(MarketDataLoaders).whole.load(self.record)
        async with info.context.uow() as uow:
            page = await service.list_candles(uow, arrays, self.record, start, end, asked, whole)

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_candles(uow, arrays, self.record, start, end, whole)

        return connection(Connection[Candle], page, Candle.from_record, count)

    @strawberry.field(
        description="The candles as columns of numbers, oldest first.", metadata=costs(COLUMNS_COST)
    )
    async def columns(
        self,
        info: Info,
        start: Start = None,
        end: End = None,
        max_points: Annotated[
            int | None,
            strawberry.argument(
                description="Return at most this many points: neighbouring candles are joined into one that "
                "keeps their first open, highest high, lowest low, last close and total volume. Left out: "
                "every candle. All columns of one operation have at most 4,000,000 numbers together."
            ),
        ] = None,
    ) -> CandleColumns:
        if max_points is not None and max_points < 1:
            raise InvalidInput(f"maxPoints must be at least 1; got {max_points}.", ("maxPoints",))
        arrays = info.context.services.arrays
        whole = await info.context.loaders(MarketDataLoaders).whole.load(self.record)
        async with info.context.uow() as uow:
            loaded = await service.load_bars(uow, arrays, self.record, start, end, whole=whole)
        shown = len(loaded.bars) if max_points is None else min(len(loaded.bars), max_points)
        info.context.spend(len(CANDLE_COLUMNS) * shown)
        bars = loaded.bars if max_points is None else downsample(loaded.bars, max_points)
        return CandleColumns.from_bars(bars)

    @strawberry.field(
        description="Link to the candles as a Parquet file with the columns `time` (UTC), `open`, `high`, "
        "`low`, `close` and `volume`, good for some minutes and for whoever has it."
    )
    def parquet_url(self, info: Info, start: Start = None, end: End = None) -> str:
        if start is not None and end is not None and start >= end:
            raise InvalidInput("end must be after start.", ("end",))
        context = info.context
        return candles_link(context.services, context.viewer.user_id, self.record, start, end)


@visible("everybody signed in")
@strawberry.type(description="Something that can be owned or priced, such as BTC or USD.")
class Asset(Node):
    """An asset."""

    record: strawberry.Private[AssetRecord]
    symbol: str = strawberry.field(description="Its code, unique, in capitals.")
    name: str = strawberry.field(description="Its name.")
    type: AssetType = strawberry.field(description="What kind of thing it is.")
    active: bool = strawberry.field(description="Whether it is in use.")

    @classmethod
    def from_record(cls, asset: AssetRecord) -> "Asset":
        """Return the GraphQL object of an asset."""
        return cls(
            id=encode_id("Asset", asset.id),
            record=asset,
            symbol=asset.symbol,
            name=asset.name,
            type=asset.type,
            active=asset.active,
        )

    @strawberry.field(description="The markets where it is the base or the quote, by symbol and venue.")
    async def markets(self, info: Info) -> list["Market"]:
        markets = await info.context.loaders(MarketDataLoaders).markets_of_asset.load(self.record.id)
        return [Market.from_record(market) for market in markets]


@visible("everybody signed in")
@strawberry.type(description="One tradable pair on one venue, such as BTC/USD on coinbase.")
class Market(Node):
    """A market."""

    record: strawberry.Private[MarketRecord]
    symbol: str = strawberry.field(description="BASE/QUOTE, in capitals.")
    exchange: str = strawberry.field(
        description="The venue, in lower case; `demo` has simulated prices that are nobody's quotes."
    )
    active: bool = strawberry.field(description="Whether it is in use.")
    price_precision: int = strawberry.field(description="Decimal places of its prices.")
    amount_precision: int = strawberry.field(
        description="Decimal places of quantities of the base asset; orders are rounded down to them."
    )
    min_amount: Decimal | None = strawberry.field(
        description="Smallest quantity of an order, in the base asset; null: none is known."
    )
    min_notional: Decimal | None = strawberry.field(
        description="Smallest quantity × price of an order, in the quote asset; null: none is known."
    )

    @classmethod
    def from_record(cls, market: MarketRecord) -> "Market":
        """Return the GraphQL object of a market."""
        return cls(
            id=encode_id("Market", market.id),
            record=market,
            symbol=market.symbol,
            exchange=market.exchange,
            active=market.active,
            price_precision=market.price_precision,
            amount_precision=market.amount_precision,
            min_amount=market.min_amount,
            min_notional=market.min_notional,
        )

    @strawberry.field(description="What is bought and sold.")
    async def base(self, info: Info) -> Asset:
        return await _asset(info, self.record.base_id)

    @strawberry.field(description="What prices are counted in.")
    async def quote(self, info: Info) -> Asset:
        return await _asset(info, self.record.quote_id)

    @strawberry.field(
        description="The candles at an interval; if they are not stored, resampled from the stored interval "
        "that reaches furthest; null if there are none."
    )
    async def price_series(
        self,
        info: Info,
        interval: Annotated[Interval, strawberry.argument(description="Length of one candle.")],
    ) -> PriceSeries | None:
        loaders = info.context.loaders(MarketDataLoaders)
        series = await loaders.series.load((self.record.id, interval))
        if series is None:
            return None
        summary = await loaders.summary.load(series)
        return PriceSeries.from_records(series, summary) if summary.count else None

    @strawberry.field(description="Its live feeds, shortest interval first: those there are or have been.")
    async def feeds(self, info: Info) -> list[MarketFeed]:
        rows = await info.context.loaders(MarketDataLoaders).feeds_of_market.load(self.record.id)
        return [MarketFeed.from_row(row) for row in rows]

    @strawberry.field(description="The intervals there are candles for, stored or resampled, shortest first.")
    async def intervals(self, info: Info) -> list[Interval]:
        stored = await info.context.loaders(MarketDataLoaders).stored_series.load(self.record.id)
        return [each for each in Interval if any(series.interval.divides(each) for series in stored)]


async def _asset(info: Info, asset_id: UUID) -> Asset:
    asset = await info.context.loaders(MarketDataLoaders).asset.load(asset_id)
    # The foreign key of markets keeps the row.
    assert asset is not None
    return Asset.from_record(asset)


@strawberry.type
class MarketDataQuery:
    """Queries of the market data domain."""

    @strawberry.field(description="Assets, by symbol.", extensions=requires(Role.VIEWER))
    async def assets(
        self,
        info: Info,
        search: Annotated[
            str | None, strawberry.argument(description="Only those whose symbol or name contains this text.")
        ] = None,
        type: Annotated[list[AssetType] | None, strawberry.argument(description="Only these kinds.")] = None,
        active: Annotated[
            bool | None, strawberry.argument(description="Only those in use, or only those not in use.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Asset] | None:
        async with info.context.uow() as uow:
            page = await service.list_assets(
                uow, search, type, active, page_request(first, after, last, before)
            )

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_assets(uow, search, type, active)

        return connection(Connection[Asset], page, Asset.from_record, count)

    @strawberry.field(description="One asset; null if there is none.", extensions=requires(Role.VIEWER))
    async def asset(
        self,
        info: Info,
        symbol: Annotated[str, strawberry.argument(description="Its code, in any case.")],
    ) -> Asset | None:
        async with info.context.uow() as uow:
            found = await service.find_asset(uow, symbol)
        return Asset.from_record(found) if found else None

    @strawberry.field(description="Markets, by symbol and venue.", extensions=requires(Role.VIEWER))
    async def markets(
        self,
        info: Info,
        search: Annotated[
            str | None, strawberry.argument(description="Only those whose symbol contains this text.")
        ] = None,
        exchange: Annotated[str | None, strawberry.argument(description="Only those of this venue.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Market] | None:
        async with info.context.uow() as uow:
            page = await service.list_markets(uow, search, exchange, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_markets(uow, search, exchange)

        return connection(Connection[Market], page, Market.from_record, count)

    @strawberry.field(description="One market; null if there is none.", extensions=requires(Role.VIEWER))
    async def market(
        self,
        info: Info,
        symbol: Annotated[
            str,
            strawberry.argument(
                description="`BTC/USD` or `coinbase:BTC/USD`. A bare symbol must be on one venue only; real "
                "venues are preferred to `demo`."
            ),
        ],
        exchange: Annotated[
            str | None, strawberry.argument(description="The venue, if the symbol does not name it.")
        ] = None,
    ) -> Market | None:
        async with info.context.uow() as uow:
            found = await service.look_up_market(uow, symbol, exchange)
        return Market.from_record(found) if found else None


async def resolve_asset_nodes(info: Info, ids: Sequence[UUID]) -> list[Asset | None]:
    """Return assets for ``node``, to everybody signed in."""
    assert info.context.viewer
    found = await info.context.loaders(MarketDataLoaders).asset.load_many(list(ids))
    return [Asset.from_record(asset) if asset else None for asset in found]


async def resolve_market_nodes(info: Info, ids: Sequence[UUID]) -> list[Market | None]:
    """Return markets for ``node``, to everybody signed in."""
    assert info.context.viewer
    found = await info.context.loaders(MarketDataLoaders).market.load_many(list(ids))
    return [Market.from_record(market) if market else None for market in found]
