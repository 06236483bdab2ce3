"""The newest prices that are stored of markets: no price is ever made up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository as market_data
from gql_trader.market_data.store.loading import load_bars
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.types import PriceSeriesRecord, StoredSeries


@dataclass(frozen=True, slots=True)
class Quote:
    """The last close of a market.

    Attributes
    ----------
    until
        When the bar closed, Unix milliseconds.
    bars
        The closed bars that were asked for.
    """

    close: float
    until: int
    bars: Bars


async def newest_series(uow: UnitOfWork, market_ids: Iterable[UUID]) -> dict[UUID, StoredSeries]:
    """Return the series of each market that reaches farthest; of equals, that of the shortest bars."""
    found: dict[UUID, StoredSeries] = {}
    for row in await market_data.series_by_markets(uow.session, market_ids):
        series = stored_series(row)
        best = found.get(series.market_id)
        if best is None or _reach(series) > _reach(best):
            found[series.market_id] = series
    return found


def _reach(series: StoredSeries) -> tuple[int, int]:
    return series.last + series.interval.milliseconds, -series.interval.milliseconds


async def quotes(uow: UnitOfWork, arrays: ArrayCache, since: Mapping[UUID, int | None]) -> dict[UUID, Quote]:
    """Return the last close of each market that has one.

    Parameters
    ----------
    since
        By market: the bars that open at or after this (Unix milliseconds) are returned too; None: none is.
    """
    now = to_milliseconds(uow.clock.now())
    found = {}
    for market_id, series in (await newest_series(uow, since)).items():
        begin = since[market_id]
        first = series.last if begin is None else min(begin, series.last)
        record = PriceSeriesRecord(MarketId(market_id), series.interval, series)
        bars = (await load_bars(uow, arrays, record, from_milliseconds(first), warmup=1)).bars
        closed = int(np.searchsorted(bars.time, now - bars.interval, side="right"))
        if closed:
            at = closed if begin is None else int(np.searchsorted(bars.time[:closed], begin))
            until = int(bars.time[closed - 1]) + bars.interval
            found[market_id] = Quote(float(bars.close[closed - 1]), until, bars.slice(at, closed))
    return found
