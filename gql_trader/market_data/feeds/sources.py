"""Where a live feed's candles come from: an exchange that is asked, or the simulation."""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Row

from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.core.intervals import MINUTE, Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.exchange.pacing import IMPATIENT
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.feeds import simulated, states
from gql_trader.market_data.store.loading import load_bars
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.store.resampling import resample
from gql_trader.market_data.syncs import fetching
from gql_trader.market_data.syncs import repository as sync_repository
from gql_trader.market_data.syncs.fetching import Fetched
from gql_trader.market_data.types import MarketRecord, PriceSeriesRecord
from gql_trader.market_data.types_feeds import HISTORY_BARS, FeedClaim
from gql_trader.runtime import Runtime

_SIMULATED_MINUTES = 50_000
"""Simulated at a time; more would keep others waiting for the series."""

_FORMING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class News:
    """What a source has to say.

    Attributes
    ----------
    fetched
        Candles that were asked for; None if there was nothing to ask for.
    until
        Candles that open before this are over, Unix milliseconds by the source's clock.
    late
        Seconds since then.
    next_close
        Seconds until the next candle is over.
    forming
        The candle that is not over yet, as far as it has come; None if the source does not tell.
    refresh
        Seconds after which `forming` is another one.
    """

    fetched: Fetched | None
    until: int
    late: float
    next_close: float
    forming: Bars | None = None
    refresh: float | None = None


async def ask_exchange(runtime: Runtime, held: FeedClaim, row: Row[Any], market: MarketRecord) -> News:
    """Ask an exchange for what has closed since the newest stored candle, and for holes just before it.

    Raises
    ------
    DomainError
        EXCHANGE_ERROR, if there is no such exchange.
    ExchangeFailure
        If it cannot be asked.
    """
    interval, length = held.interval, held.interval.milliseconds
    try:
        client = await runtime.exchanges.public(market.exchange, IMPATIENT)
    except LookupError:
        raise DomainError(
            f"There is no exchange {market.exchange!r} to ask.", code=ErrorCode.EXCHANGE_ERROR
        ) from None
    await fetching.learn_clock(client)
    rules = await fetching.spot_market(client, market.symbol)
    async with runtime.unit_of_work() as uow:
        stored = await repository.series_row(uow.session, market.id, interval)
        now = client.time()
        until = interval.floor(now)
        start = stored.last_time + length if stored else until - HISTORY_BARS * length
        # What the exchange does not have, because nobody traded or it was out of order, it was asked for.
        for low, high in await sync_repository.covered(uow.session, market.id, interval, start, until):
            start = high if low <= start else start
    start = min([start, *row.holes])
    fetched = None
    if start < until:
        fetched = await fetching.fetch(client, rules.symbol, interval, start, until)
        # What has closed while the exchange was asked is for the next time.
        now = client.time()
    return News(fetched, until, (now - until) / 1000, max(0.0, (until + length - now) / 1000))


async def simulate(runtime: Runtime, held: FeedClaim, market: MarketRecord) -> News:
    """Go on with simulated prices; those of higher intervals are made of the market's minutes.

    Raises
    ------
    DomainError
        If nothing is to be simulated.
    """
    if not runtime.settings.simulates_feed:
        raise DomainError("Simulated prices do not go on: SIMULATED_FEED is off.")
    interval, length = held.interval, held.interval.milliseconds
    now = to_milliseconds(runtime.clock.now())
    until = interval.floor(now)
    async with runtime.unit_of_work() as uow:
        stored = await repository.series_row(uow.session, market.id, interval)
        if stored is None:
            raise DomainError("There are no simulated prices to go on from.", code=ErrorCode.NO_DATA)
        start = stored.last_time + length
        opening = await _last_close(uow, runtime, market, interval)
        made = await _from_minutes(uow, runtime, market, interval, start, until)
    if made is None and start < until:
        end = min(until, interval.floor(start + max(length, _SIMULATED_MINUTES * MINUTE)))
        made = await asyncio.to_thread(
            simulated.walk, market.symbol, interval, start, end, opening, market.price_precision
        )
    fetched = None
    if made is not None and len(made):
        high = int(made.time[-1]) + length
        fetched = Fetched(start, high, high, made, 0)
        opening = float(made.close[-1])
        start = high
    forming = None
    if interval is Interval.M1 and start == until:
        forming = simulated.forming_minute(market.symbol, until, now - until, opening, market.price_precision)
    return News(
        fetched,
        until,
        (now - until) / 1000,
        (until + length - now) / 1000,
        forming,
        _FORMING_SECONDS if interval is Interval.M1 else None,
    )


async def _last_close(uow: UnitOfWork, runtime: Runtime, market: MarketRecord, interval: Interval) -> float:
    row = await repository.series_row(uow.session, market.id, interval)
    assert row is not None
    series = PriceSeriesRecord(market.id, interval, stored_series(row))
    last = from_milliseconds(row.last_time)
    return float((await load_bars(uow, runtime.arrays, series, last)).bars.close[-1])


async def _from_minutes(
    uow: UnitOfWork, runtime: Runtime, market: MarketRecord, interval: Interval, start: int, until: int
) -> Bars | None:
    """Return a higher interval's candles as the market's minutes make them; None without minutes."""
    if interval is Interval.M1:
        return None
    row = await repository.series_row(uow.session, market.id, Interval.M1)
    if row is None or row.first_time > start:
        return None
    # The minutes have to go on too.
    await states.want(uow, [(market.id, Interval.M1)])
    series = PriceSeriesRecord(market.id, Interval.M1, stored_series(row))
    loaded = await load_bars(uow, runtime.arrays, series, from_milliseconds(start), from_milliseconds(until))
    if not len(loaded.bars):
        return loaded.bars
    made = await asyncio.to_thread(resample, loaded.bars, interval)
    return made.slice(0, int(np.searchsorted(made.time, until)))
