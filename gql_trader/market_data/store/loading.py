"""The candles of a market at an interval: found, resampled where they are not stored, cut to a range."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.store.months import content_hash, describe_months, missing_candles, range_hash
from gql_trader.market_data.store.reading import (
    LoadedSeries,
    Window,
    cached_series,
    load_months,
    load_sources,
    store_series,
    stored_series,
)
from gql_trader.market_data.store.repository import EARLIEST, LATEST, newest_candles
from gql_trader.market_data.store.resampling import resample
from gql_trader.market_data.types import LoadedBars, PriceSeriesRecord, SeriesSummary, StoredSeries

_SMALL_SERIES = 100_000
"""Series of up to this many candles are always loaded whole: one entry serves every range."""


def reads_whole(series: PriceSeriesRecord) -> bool:
    """Return whether every read of a series, even of a page, loads all of it.

    Those may be loaded together by `load_whole`. The others are longer than a hundred thousand candles,
    and one is read by up to three statements of its own, only for the months wanted, unless it is cached.
    """
    return series.resampled or series.source.count <= _SMALL_SERIES


def choose_source(stored: Iterable[StoredSeries], interval: Interval) -> StoredSeries | None:
    """Return the stored series that candles of an interval come from, or None.

    That is the series itself if it is stored; else, of those it can be resampled from, the one that
    covers the longest time, and of equals the lowest interval.
    """
    usable = sorted(
        (series for series in stored if series.interval.divides(interval)),
        key=lambda series: (
            series.interval is not interval,
            series.first - series.last,
            series.interval.milliseconds,
        ),
    )
    return usable[0] if usable else None


async def find_series(uow: UnitOfWork, market_id: MarketId, interval: Interval) -> PriceSeriesRecord | None:
    """Return the candles of a market at an interval, stored or resampled; None if there are none."""
    rows = await repository.series_by_markets(uow.session, [market_id])
    source = choose_source(map(stored_series, rows), interval)
    return PriceSeriesRecord(market_id, interval, source) if source else None


async def load_bars(
    uow: UnitOfWork,
    arrays: ArrayCache,
    series: PriceSeriesRecord,
    start: datetime | None = None,
    end: datetime | None = None,
    warmup: int = 0,
    whole: LoadedSeries | None = None,
) -> LoadedBars:
    """Return the bars that open in [start, end), and up to ``warmup`` bars before them.

    Parameters
    ----------
    start, end
        Timezone-aware; None: from the first bar, to the last.
    warmup
        How many bars before ``start`` are wanted; fewer are returned where the store has fewer.
    whole
        The whole series, if it is loaded already.

    Returns
    -------
    LoadedBars
        Read-only views of contiguous columns; empty if there are no bars in the range. The same candles
        have the same hash, wherever they were read from.
    """
    window = Window(*range_bounds(start, end), warmup=warmup)
    loaded = whole or await load_window(uow, arrays, series, window)
    at, to, warm = window_indices(loaded.bars, window)
    return LoadedBars(
        bars=loaded.bars.slice(at, to),
        warmup=warm,
        content_hash=range_hash(series.interval, loaded.bars, loaded.months, at, to),
    )


async def load_newest(uow: UnitOfWork, series: PriceSeriesRecord, since: int, end: int) -> Bars | None:
    """Return the bars that open in [since, end), by a read of so many candles and no others.

    None if that is not possible: if there is no bar at ``since``, if it is not in the open month, or if the
    candles have been rewritten since the record of the series was read.

    Parameters
    ----------
    since, end
        Opening times of bars, Unix milliseconds.
    """
    source = series.source
    found = await newest_candles(uow.session, source.id, source.interval, source.rewrites, since, end)
    if found is not None and series.resampled:
        found = resample(found, series.interval)
    if found is None or not len(found) or int(found.time[0]) != since:
        return None
    return found


def range_bounds(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """Return the first millisecond at or after each moment; None: before or behind every candle."""
    return (
        EARLIEST if start is None else _ceil_milliseconds(start),
        LATEST if end is None else _ceil_milliseconds(end),
    )


def _ceil_milliseconds(moment: datetime) -> int:
    return to_milliseconds(moment) + bool(moment.microsecond % 1000)


def window_indices(bars: Bars, window: Window) -> tuple[int, int, int]:
    """Return the range of indices of the bars in a window, and how many of them are for warming up."""
    at, to = (int(index) for index in np.searchsorted(bars.time, (window.low, window.high)))
    to = max(at, to)
    if window.first is not None:
        to = min(to, at + window.first)
    if window.last is not None:
        at = max(at, to - window.last)
    # Without a bar in the range there is nothing to warm up for.
    warm = min(at, window.warmup) if to > at else 0
    return at - warm, to, warm


async def load_window(
    uow: UnitOfWork, arrays: ArrayCache, series: PriceSeriesRecord, window: Window
) -> LoadedSeries:
    """Return whole months that contain a window; the whole series if it is small or cached already."""
    source = series.source
    if not series.resampled:
        cached = await cached_series(arrays, source.content_hash, source.interval)
        if cached is not None:
            return cached
        if not reads_whole(series) and _is_minor(source, window):
            return await load_months(uow, arrays, source, window)
    return (await load_whole(uow, arrays, [series]))[0]


async def load_whole(
    uow: UnitOfWork, arrays: ArrayCache, series: Sequence[PriceSeriesRecord]
) -> list[LoadedSeries]:
    """Return whole series; those that are not in the cache are read by one statement for all of them."""
    found: dict[int, LoadedSeries] = {}
    for index, each in enumerate(series):
        cached = await cached_series(arrays, _key(each), each.interval)
        if cached is not None:
            found[index] = cached
    sources = {each.source.id: each.source for index, each in enumerate(series) if index not in found}
    loaded = await load_sources(uow, arrays, list(sources.values()))
    for index, each in enumerate(series):
        if index not in found:
            source, candles_of_source = loaded[each.source.id]
            found[index] = (
                await asyncio.to_thread(_resample, arrays, source, each.interval, candles_of_source.bars)
                if each.resampled
                else candles_of_source
            )
    return [found[index] for index in range(len(series))]


async def summarize(
    uow: UnitOfWork, arrays: ArrayCache, series: Sequence[PriceSeriesRecord]
) -> list[SeriesSummary]:
    """Return what each series amounts to; candles are only loaded of those that are resampled."""
    resampled = [each for each in series if each.resampled]
    loaded = dict(zip(resampled, await load_whole(uow, arrays, resampled), strict=True)) if resampled else {}
    return [_summary(each, loaded.get(each)) for each in series]


def _summary(series: PriceSeriesRecord, loaded: LoadedSeries | None) -> SeriesSummary:
    length = series.interval.milliseconds
    if loaded is None:
        own = series.source
        return SeriesSummary(own.count, own.first, own.last + length, own.gaps, own.content_hash)
    hashed = content_hash(series.interval, ((month.start, month.digest) for month in loaded.months))
    if not loaded.months:
        return SeriesSummary(0, None, None, 0, hashed)
    first, last, count = loaded.months[0].first, loaded.months[-1].last, len(loaded.bars)
    gaps = missing_candles(first, last, count, series.interval)
    return SeriesSummary(count, first, last + length, gaps, hashed)


def _is_minor(source: StoredSeries, window: Window) -> bool:
    if window.first is not None or window.last is not None:
        return True
    low = max(window.low - window.warmup * source.interval.milliseconds, source.first)
    return 2 * (min(window.high, source.last) - low) < source.last - source.first


def _key(series: PriceSeriesRecord) -> str:
    hashed = series.source.content_hash
    return f"{series.interval.value}-of-{hashed}" if series.resampled else hashed


def _resample(arrays: ArrayCache, source: StoredSeries, interval: Interval, bars: Bars) -> LoadedSeries:
    resampled = resample(bars, interval)
    key = f"{interval.value}-of-{source.content_hash}"
    return store_series(arrays, key, resampled, describe_months(resampled))
