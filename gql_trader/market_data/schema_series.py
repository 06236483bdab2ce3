"""GraphQL types of candles: one by one, as columns, and the series of a market."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_exact
from gql_trader.engine.bars import Bars
from gql_trader.gql.context import Info
from gql_trader.gql.cost import COLUMNS_COST, costs
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import visible
from gql_trader.gql.scalars import EpochSeries, FloatSeries
from gql_trader.infra.keyset import page_request
from gql_trader.market_data import service
from gql_trader.market_data.loaders import MarketDataLoaders
from gql_trader.market_data.schema_exports import candles_link
from gql_trader.market_data.store.paging import CandleRecord
from gql_trader.market_data.store.resampling import downsample
from gql_trader.market_data.types import PriceSeriesRecord, SeriesSummary

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
