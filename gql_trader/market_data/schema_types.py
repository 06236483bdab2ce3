"""GraphQL types of assets and markets."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_enums import AssetType
from gql_trader.market_data.schema_feeds import MarketFeed
from gql_trader.market_data.schema_series import PriceSeries
from gql_trader.market_data.types import AssetRecord, MarketRecord


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
