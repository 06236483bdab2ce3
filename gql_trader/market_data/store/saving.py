"""Candles into the store: merged with what is there, all or nothing, changing only what differs."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import MarketId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Floats
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.models import PriceSeriesRow
from gql_trader.market_data.store import repository as candles
from gql_trader.market_data.store.months import (
    COLUMNS,
    content_hash,
    decode_months,
    describe_months,
    digest,
    encode_month,
    missing_candles,
    month_start,
    next_month,
    split_months,
)
from gql_trader.market_data.store.reading import stored_series
from gql_trader.market_data.store.repository import MonthRange
from gql_trader.market_data.types import Month, StoredSeries


@dataclass(frozen=True, slots=True)
class SavedCandles:
    """What saving did: the series as it is now, and how many candles are new or changed."""

    series: StoredSeries
    added: int
    updated: int


@dataclass(frozen=True, slots=True)
class _Merged:
    """A month after merging; ``changes`` are its new and changed candles."""

    start: int
    bars: Bars
    changes: Bars
    added: int
    updated: int


async def save_candles(uow: UnitOfWork, market_id: MarketId, interval: Interval, bars: Bars) -> SavedCandles:
    """Add candles to a market's series at an interval; where it has one at that time, replace it.

    Saving what is there already changes nothing. A closed month that changes becomes a new chunk; the
    present month's candles are written as rows. Savings to one market wait for each other.

    Parameters
    ----------
    bars
        At least one valid candle, times increasing and aligned to the interval.
    """
    await repository.lock_market(uow.session, market_id)
    row = await repository.series_row(uow.session, market_id, interval)
    if row is not None:
        await seal_series(uow, row)
    series = stored_series(row) if row is not None else None
    chunked = await candles.chunk_months(uow.session, series.id) if series else []
    open_months = series.open_months if series else ()
    known = {month.start: month for month in (*chunked, *open_months)}

    # A zero has one sign, so that equal candles have equal hashes.
    bars = replace(bars, interval=interval.milliseconds, volume=bars.volume + 0.0)
    incoming = [(start, bars.slice(at, to)) for start, at, to in split_months(bars.time)]
    differing = [
        (start, part) for start, part in incoming if start not in known or known[start].digest != digest(part)
    ]
    existing = await _existing(uow, series, [start for start, _ in differing if start in known])
    merged = [_merge(start, existing.get(start), part) for start, part in differing]
    merged = [each for each in merged if each.added or each.updated]
    if series is not None and not merged:
        return SavedCandles(series, 0, 0)

    # Behind a chunk there are only chunks, also where the clock was set back.
    last_chunk = max((month.start for month in chunked), default=None)
    present = month_start(to_milliseconds(uow.clock.now()))
    first_open = present if last_chunk is None else max(present, next_month(last_chunk))
    closed = [each for each in merged if each.start < first_open]
    rows = [each for each in merged if each.start >= first_open]
    changed = {month.start: month for each in merged for month in describe_months(each.bars)}
    months = [month for _, month in sorted((known | changed).items())]
    if row is None:
        row = PriceSeriesRow(id=uuid7(), market_id=market_id, interval=interval.value, version=0, rewrites=0)
        uow.session.add(row)
    _describe(row, interval, months, [month for month in months if month.start >= first_open])
    row.version += 1
    if series is not None and any(int(each.changes.time[0]) <= series.last for each in merged):
        row.rewrites += 1
    row.updated_at = uow.clock.now()
    await uow.session.flush()
    if closed:
        encoded = await asyncio.to_thread(lambda: [encode_month(each.bars) for each in closed])
        await candles.replace_chunks(uow.session, row.id, row.version, encoded)
    for each in rows:
        await candles.upsert_open_candles(uow.session, row.id, each.changes)
    return SavedCandles(
        stored_series(row), sum(each.added for each in merged), sum(each.updated for each in merged)
    )


async def seal_series(uow: UnitOfWork, row: PriceSeriesRow) -> int:
    """Turn the rows of months that are over into chunks; return how many months.

    The candles and their content hash stay what they are. The series' market must be locked.
    """
    series = stored_series(row)
    present = month_start(to_milliseconds(uow.clock.now()))
    over = [month for month in series.open_months if month.start < present]
    if not over:
        return 0
    low, high = over[0].start, next_month(over[-1].start)
    found = await candles.open_candles(uow.session, [(series.id, series.interval)], low, high)
    bars = found[series.id]
    parts = [bars.slice(at, to) for _, at, to in split_months(bars.time)]
    encoded = await asyncio.to_thread(lambda: [encode_month(part) for part in parts])
    row.version += 1
    row.open_months = [each for each in row.open_months if each["start"] >= present]
    row.updated_at = uow.clock.now()
    await uow.session.flush()
    await candles.replace_chunks(uow.session, series.id, row.version, encoded)
    await candles.delete_open_candles(uow.session, series.id, low, high)
    return len(over)


def _describe(
    row: PriceSeriesRow, interval: Interval, months: Sequence[Month], open_months: Sequence[Month]
) -> None:
    row.candles = sum(month.n for month in months)
    row.first_time, row.last_time = months[0].first, months[-1].last
    row.gaps = missing_candles(row.first_time, row.last_time, row.candles, interval)
    row.content_hash = content_hash(interval, ((month.start, month.digest) for month in months))
    row.open_months = [{**asdict(each), "digest": each.digest.hex()} for each in open_months]


async def _existing(uow: UnitOfWork, series: StoredSeries | None, starts: Sequence[int]) -> dict[int, Bars]:
    if series is None or not starts:
        return {}
    ranges = [MonthRange(series.id, start, start) for start in starts]
    found = {
        part.month.start: decode_months([part], None, series.interval)
        for part in await candles.chunks(uow.session, ranges)
    }
    if any(month.start in starts for month in series.open_months):
        kept = await candles.open_candles(uow.session, [(series.id, series.interval)])
        bars = kept[series.id]
        found |= {start: bars.slice(at, to) for start, at, to in split_months(bars.time)}
    return found


def _merge(start: int, existing: Bars | None, incoming: Bars) -> _Merged:
    if existing is None:
        return _Merged(start, incoming, incoming, len(incoming), 0)
    time = np.union1d(existing.time, incoming.time)
    old, new = np.searchsorted(time, existing.time), np.searchsorted(time, incoming.time)
    there = np.isin(incoming.time, existing.time, assume_unique=True)
    columns: dict[str, Floats] = {}
    differs = ~there
    for name in COLUMNS[1:]:
        column = np.empty(len(time), np.float64)
        column[old] = getattr(existing, name)
        before = column[new]
        column[new] = getattr(incoming, name)
        differs |= before != column[new]
        columns[name] = column
    changes = Bars(**{name: getattr(incoming, name)[differs] for name in COLUMNS}, interval=incoming.interval)
    added = int(np.count_nonzero(~there))
    return _Merged(
        start, Bars(time=time, **columns, interval=incoming.interval), changes, added, len(changes) - added
    )
