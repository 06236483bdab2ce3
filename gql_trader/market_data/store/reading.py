"""Stored candles as arrays: from this machine's cache, or from PostgreSQL's chunks.

Whatever is read is checked against the content hash that was asked for, so an import that commits between
two statements is noticed and the read repeated; and since cache keys are content hashes, nothing is stale.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gql_trader.core.errors import InvalidState
from gql_trader.core.ids import MarketId, SeriesId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache, CachedArrays
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.models import PriceSeriesRow
from gql_trader.market_data.store import repository as candles
from gql_trader.market_data.store.months import COLUMNS, content_hash, decode_months, describe_months
from gql_trader.market_data.store.repository import EARLIEST, LATEST, MonthRange
from gql_trader.market_data.types import Chunk, Month, StoredSeries

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class LoadedSeries:
    """Consecutive candles of a series, in whole months, and the description of those months."""

    bars: Bars
    months: tuple[Month, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Which candles are wanted.

    Attributes
    ----------
    low, high
        Opening times in [low, high), Unix milliseconds.
    warmup
        How many candles before ``low`` are wanted as well.
    first, last
        Only that many from the start, or from the end.
    """

    low: int = EARLIEST
    high: int = LATEST
    warmup: int = 0
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class _Want:
    source: StoredSeries
    months: MonthRange
    content_hash: str


class _ChangedMeanwhileError(Exception):
    """An import committed between the statements of a read."""


def stored_series(row: PriceSeriesRow) -> StoredSeries:
    """Return the record of a stored series."""
    return StoredSeries(
        id=SeriesId(row.id),
        market_id=MarketId(row.market_id),
        interval=Interval(row.interval),
        version=row.version,
        count=row.candles,
        first=row.first_time,
        last=row.last_time,
        gaps=row.gaps,
        content_hash=row.content_hash,
        open_months=tuple(
            Month(each["start"], each["n"], each["first"], each["last"], bytes.fromhex(each["digest"]))
            for each in row.open_months
        ),
        rewrites=row.rewrites,
    )


async def load_months(
    uow: UnitOfWork, arrays: ArrayCache, source: StoredSeries, window: Window
) -> LoadedSeries:
    for _ in range(_ATTEMPTS):
        known = [*await candles.chunk_months(uow.session, source.id), *source.open_months]
        known.sort(key=lambda month: month.start)
        wanted = _choose_months(known, window)
        if not wanted:
            return LoadedSeries(_no_bars(source.interval), ())
        hashed = content_hash(source.interval, ((month.start, month.digest) for month in wanted))
        cached = await cached_series(arrays, hashed, source.interval)
        if cached is not None:
            return cached
        want = _Want(source, MonthRange(source.id, wanted[0].start, wanted[-1].start), hashed)
        try:
            (loaded,) = await _read(uow, arrays, [want])
        except _ChangedMeanwhileError:
            source = (await _refreshed(uow, [source]))[0]
        else:
            return loaded
    raise InvalidState("The candles are being imported; try again.")


async def load_sources(
    uow: UnitOfWork, arrays: ArrayCache, sources: list[StoredSeries]
) -> dict[SeriesId, tuple[StoredSeries, LoadedSeries]]:
    found: dict[SeriesId, tuple[StoredSeries, LoadedSeries]] = {}
    for source in sources:
        cached = await cached_series(arrays, source.content_hash, source.interval)
        if cached is not None:
            found[source.id] = source, cached
    missing = [source for source in sources if source.id not in found]
    for _ in range(_ATTEMPTS):
        if not missing:
            return found
        try:
            loaded = await _read(
                uow,
                arrays,
                [_Want(source, MonthRange(source.id), source.content_hash) for source in missing],
            )
        except _ChangedMeanwhileError:
            missing = await _refreshed(uow, missing)
        else:
            return found | {source.id: (source, each) for source, each in zip(missing, loaded, strict=True)}
    raise InvalidState("The candles are being imported; try again.")


async def cached_series(arrays: ArrayCache, key: str, interval: Interval) -> LoadedSeries | None:
    # The first opening of a file verifies it, which takes milliseconds: not on the event loop.
    entry = await asyncio.to_thread(arrays.get, f"candles-{key}")
    return _loaded(entry, interval.milliseconds) if entry is not None else None


def store_series(arrays: ArrayCache, key: str, bars: Bars, months: Sequence[Month]) -> LoadedSeries:
    described = [[month.start, month.n, month.first, month.last, month.digest.hex()] for month in months]
    entry = arrays.put(
        f"candles-{key}", {name: getattr(bars, name) for name in COLUMNS}, {"months": described}
    )
    return _loaded(entry, bars.interval)


def _choose_months(months: Sequence[Month], window: Window) -> Sequence[Month]:
    at = sum(month.last < window.low for month in months)
    to = max(at, sum(month.first < window.high for month in months))
    if window.first is not None:
        # The first month may begin before the window; only those behind it count in full.
        behind = at + 1
        while behind < to and sum(month.n for month in months[at + 1 : behind]) < window.first:
            behind += 1
        to = min(to, behind)
    if window.last is not None:
        ahead = to - 1
        while ahead > at and sum(month.n for month in months[ahead : to - 1]) < window.last:
            ahead -= 1
        at = max(at, ahead)
    warm = at
    while warm > 0 and sum(month.n for month in months[warm:at]) < window.warmup:
        warm -= 1
    return months[warm:to]


async def _refreshed(uow: UnitOfWork, sources: Sequence[StoredSeries]) -> list[StoredSeries]:
    rows = await repository.series_by_ids(uow.session, [source.id for source in sources])
    if len(rows) < len(sources):
        raise InvalidState("The candles were removed while they were read.")
    return [stored_series(rows[source.id]) for source in sources]


async def _read(uow: UnitOfWork, arrays: ArrayCache, wants: Sequence[_Want]) -> list[LoadedSeries]:
    parts: dict[SeriesId, list[Chunk]] = {want.source.id: [] for want in wants}
    for part in await candles.chunks(uow.session, [want.months for want in wants]):
        parts[part.series_id].append(part)
    # Only a few series have an open month, and only reads that reach it need its rows.
    tails: dict[Any, Bars] = {}
    with_tail = [
        want.source
        for want in wants
        if any(want.months.first <= month.start <= want.months.last for month in want.source.open_months)
    ]
    if with_tail:
        tails = await candles.open_candles(uow.session, [(each.id, each.interval) for each in with_tail])
    return await asyncio.to_thread(
        lambda: [_assemble(arrays, want, parts[want.source.id], tails.get(want.source.id)) for want in wants]
    )


def _assemble(arrays: ArrayCache, want: _Want, parts: list[Chunk], tail: Bars | None) -> LoadedSeries:
    months = [part.month for part in parts]
    if tail is not None:
        low = next(month.start for month in want.source.open_months if month.start >= want.months.first)
        tail = tail.slice(int(np.searchsorted(tail.time, low)), len(tail))
        months += [month for month in describe_months(tail) if month.start <= want.months.last]
        tail = tail.slice(0, sum(month.n for month in months[len(parts) :]))
    interval = want.source.interval
    if content_hash(interval, ((month.start, month.digest) for month in months)) != want.content_hash:
        raise _ChangedMeanwhileError
    return store_series(arrays, want.content_hash, decode_months(parts, tail, interval), months)


def _loaded(entry: CachedArrays, interval: int) -> LoadedSeries:
    bars = Bars(**{name: entry.arrays[name] for name in COLUMNS}, interval=interval)
    months = tuple(
        Month(start, n, first, last, bytes.fromhex(digest))
        for start, n, first, last, digest in entry.metadata["months"]
    )
    return LoadedSeries(bars, months)


def _no_bars(interval: Interval) -> Bars:
    empty = np.empty(0, np.float64)
    return Bars(np.empty(0, np.int64), empty, empty, empty, empty, empty, interval.milliseconds)
