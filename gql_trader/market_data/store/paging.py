"""Pages of candles, keyed by time: only the months that a page lies in are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gql_trader.core.errors import InvalidInput
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.keyset import PageRequest, Slice, decode_cursor, encode_cursor
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.store.loading import load_window, range_bounds, window_indices
from gql_trader.market_data.store.reading import LoadedSeries, Window
from gql_trader.market_data.store.repository import LATEST
from gql_trader.market_data.types import PriceSeriesRecord

_SIGNATURE: Final = "candles"


@dataclass(frozen=True, slots=True)
class CandleRecord:
    """One candle; its time in Unix milliseconds."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


async def list_candles(
    uow: UnitOfWork,
    arrays: ArrayCache,
    series: PriceSeriesRecord,
    start: datetime | None,
    end: datetime | None,
    page: PageRequest,
    whole: LoadedSeries | None = None,
) -> Slice[CandleRecord]:
    """Return a page of the candles that open in [start, end), oldest first.

    Parameters
    ----------
    whole
        The whole series, if it is loaded already.

    Raises
    ------
    InvalidInput
        If a cursor is malformed.
    """
    low, high = range_bounds(start, end)
    if page.after is not None:
        low = max(low, _time_of(page.after, "after") + 1)
    if page.before is not None:
        high = min(high, _time_of(page.before, "before"))
    # One more than asked for tells whether there is more.
    wanted = page.limit + 1
    window = Window(
        low, high, first=None if page.backwards else wanted, last=wanted if page.backwards else None
    )
    loaded = whole or await load_window(uow, arrays, series, window)
    at, to, _ = window_indices(loaded.bars, window)
    more = to - at > page.limit
    if more:
        at, to = (at + 1, to) if page.backwards else (at, to - 1)
    rows = _records(loaded.bars.slice(at, to))
    return Slice(
        rows,
        [encode_cursor(_SIGNATURE, [row.time]) for row in rows],
        has_next=page.before is not None if page.backwards else more,
        has_previous=more if page.backwards else page.after is not None,
    )


async def count_candles(
    uow: UnitOfWork,
    arrays: ArrayCache,
    series: PriceSeriesRecord,
    start: datetime | None,
    end: datetime | None,
    whole: LoadedSeries | None = None,
) -> int:
    """Return how many candles open in [start, end); ``whole`` is the series if it is loaded already."""
    if start is None and end is None and not series.resampled:
        return series.source.count
    window = Window(*range_bounds(start, end))
    loaded = whole or await load_window(uow, arrays, series, window)
    at, to, _ = window_indices(loaded.bars, window)
    return to - at


def _records(bars: Bars) -> Sequence[CandleRecord]:
    columns = (bars.time, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [CandleRecord(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _time_of(cursor: str, argument: str) -> int:
    values = decode_cursor(cursor, _SIGNATURE, argument)
    if len(values) != 1 or type(values[0]) is not int or abs(values[0]) >= LATEST:
        raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,))
    return values[0]
