"""Candles as a Parquet file over signed links."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from gql_trader.accounts.service import find_user
from gql_trader.accounts.types import UserStatus
from gql_trader.core.ids import MarketId, UserId
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Services
from gql_trader.gql.cost import COLUMNS_COST
from gql_trader.gql.downloads import PARQUET, Download
from gql_trader.infra.parquet import ROW_GROUP, Columns, parquet_pieces
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import market_record
from gql_trader.market_data.store.loading import find_series, load_window, range_bounds, window_indices
from gql_trader.market_data.store.months import COLUMNS
from gql_trader.market_data.store.reading import Window
from gql_trader.market_data.types import PriceSeriesRecord

CANDLES_ROUTE = "/exports/candles/{market_id}/{interval}/{low}/{high}.parquet"


def candles_link(
    services: Services,
    user_id: UserId,
    series: PriceSeriesRecord,
    start: datetime | None,
    end: datetime | None,
) -> str:
    """Return a link to the candles of a series that open in [start, end), good for some minutes."""
    low, high = range_bounds(start, end)
    path = CANDLES_ROUTE.format(
        market_id=series.market_id, interval=series.interval.value, low=low, high=high
    )
    return f"{services.settings.public_address}{path}?{services.links.sign(path, user_id)}"


async def find_candles(
    services: Services, path: Mapping[str, str], query: Mapping[str, str]
) -> Download | None:
    """Return the file that a link stands for; None if the link is not good, or there are no candles.

    Nothing is read for a link that was not signed here. A user who is no longer active has no files.
    """
    user_id = services.links.verify(CANDLES_ROUTE.format(**path), query)
    if user_id is None:
        return None
    # What was signed here is well formed.
    market_id, interval = MarketId(UUID(path["market_id"])), Interval(path["interval"])
    window = Window(int(path["low"]), int(path["high"]))
    async with services.unit_of_work() as uow:
        user = await find_user(uow, user_id)
        markets = await repository.markets_by_ids(uow.session, [market_id])
        series = await find_series(uow, market_id, interval)
    if user is None or user.status is not UserStatus.ACTIVE or series is None:
        return None

    async def load() -> Columns:
        async with services.unit_of_work() as uow:
            loaded = await load_window(uow, services.arrays, series, window)
        at, to, _ = window_indices(loaded.bars, window)
        return {name: getattr(loaded.bars, name)[at:to] for name in COLUMNS}

    market = market_record(markets[market_id])
    name = f"{market.exchange}-{market.symbol.replace('/', '-')}-{interval.name}.parquet"
    cost = COLUMNS_COST * max(1, -(-_most_candles(series, window) // ROW_GROUP))
    return Download(name, PARQUET, parquet_pieces(load), str(user_id), cost)


def _most_candles(series: PriceSeriesRecord, window: Window) -> int:
    low, high = max(window.low, series.source.first), min(window.high, series.source.last + 1)
    return max(0, -(-(high - low) // series.interval.milliseconds))
