"""Calendar months of candles: their compressed form, and the hashes built from them.

A month's digest covers its candles' values; a series' content hash covers its months' digests. So a
changed month changes one digest, and the hash of any range needs only its two broken months hashed anew.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import DAY, Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.column_codec import CorruptColumnsError, decode_columns, encode_columns, tick_decimals
from gql_trader.market_data.types import Chunk, Month

COLUMNS = ("time", "open", "high", "low", "close", "volume")


def month_start(time: int) -> int:
    """Return the first moment of the calendar month (UTC) that contains a moment, Unix milliseconds."""
    return int(np.datetime64(time, "ms").astype("M8[M]").astype("M8[ms]").astype(np.int64))


def next_month(start: int) -> int:
    """Return the first moment of the month after the one that begins at ``start``, Unix milliseconds."""
    return month_start(start + 31 * DAY)


def split_months(time: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield each month's first moment and the range of indices of its candles, oldest first.

    Parameters
    ----------
    time
        int64[n], opening times in Unix milliseconds, increasing.
    """
    index, n = 0, len(time)
    while index < n:
        start = month_start(int(time[index]))
        stop = int(np.searchsorted(time, next_month(start)))
        yield start, index, stop
        index = stop


def digest(bars: Bars) -> bytes:
    """Return the SHA-256 of the candles' columns: little-endian int64 times, then float64 values."""
    found = hashlib.sha256()
    for name in COLUMNS:
        column = getattr(bars, name)
        found.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
    return found.digest()


def describe_months(bars: Bars) -> list[Month]:
    """Return the months of some candles, oldest first."""
    return [
        Month(start, to - at, int(bars.time[at]), int(bars.time[to - 1]), digest(bars.slice(at, to)))
        for start, at, to in split_months(bars.time)
    ]


def content_hash(interval: Interval, months: Iterable[tuple[int, bytes]]) -> str:
    """Return the hash of candles, in hexadecimal, from the start and digest of each of their months."""
    found = hashlib.sha256(f"candles:1:{interval.value}".encode())
    for start, month_digest in months:
        found.update(start.to_bytes(8, "little", signed=True))
        found.update(month_digest)
    return found.hexdigest()


def range_hash(interval: Interval, bars: Bars, months: Sequence[Month], at: int, to: int) -> str:
    """Return the hash of bars ``at`` to ``to`` (exclusive): the same as if there were no others.

    Parameters
    ----------
    months
        The months of all the bars, oldest first.
    """
    parts: list[tuple[int, bytes]] = []
    begin = 0
    for month in months:
        end = begin + month.n
        low, high = max(at, begin), min(to, end)
        if low < high:
            whole = (low, high) == (begin, end)
            parts.append((month.start, month.digest if whole else digest(bars.slice(low, high))))
        begin = end
    return content_hash(interval, parts)


def missing_candles(first: int, last: int, count: int, interval: Interval) -> int:
    """Return how many candles are missing between the first and the last of a series."""
    return (last - first) // interval.milliseconds + 1 - count


def encode_month(bars: Bars) -> tuple[Month, int | None, bytes]:
    """Return one month's description, the decimals of its prices and its data."""
    (month,) = describe_months(bars)
    decimals = [tick_decimals(getattr(bars, name)) for name in COLUMNS[1:5]]
    exact = [each for each in decimals if each is not None]
    scale = max(exact) if len(exact) == len(decimals) else None
    return month, scale, encode_columns({name: getattr(bars, name) for name in COLUMNS})


def decode_months(parts: Sequence[Chunk], tail: Bars | None, interval: Interval) -> Bars:
    """Return the candles of consecutive chunks, and those kept as rows behind them, as one.

    Raises
    ------
    CorruptColumnsError
        If a chunk is damaged, or holds another number of candles than it says.
    """
    total = sum(part.month.n for part in parts)
    n = total + (len(tail) if tail is not None else 0)
    time = np.empty(n, np.int64)
    floats = {name: np.empty(n, np.float64) for name in COLUMNS[1:]}
    at = 0
    for part in parts:
        to = at + part.month.n
        _decode(part, {"time": time[at:to]} | {name: column[at:to] for name, column in floats.items()})
        at = to
    if tail is not None:
        time[total:] = tail.time
        for name, column in floats.items():
            column[total:] = getattr(tail, name)
    return Bars(time=time, **floats, interval=interval.milliseconds)


def _decode(part: Chunk, into: dict[str, NDArray[Any]]) -> None:
    month = np.datetime64(part.month.start, "ms").astype("M8[M]")
    where = f"the candles of {month} of series {part.series_id}"
    try:
        decoded = decode_columns(part.data, into)
    except CorruptColumnsError as error:
        raise CorruptColumnsError(f"{where} are damaged: {error}") from error
    if any(name not in decoded for name in COLUMNS):
        raise CorruptColumnsError(f"{where} lack a column")
