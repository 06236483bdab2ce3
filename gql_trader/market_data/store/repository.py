"""Reads and writes of candles: months as compressed columns, the open month as rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Row, and_, delete, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.ids import SeriesId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars, Floats
from gql_trader.infra.column_codec import FORMAT
from gql_trader.market_data.models import CandleChunkRow, OpenCandleRow, PriceSeriesRow
from gql_trader.market_data.store.months import COLUMNS
from gql_trader.market_data.types import Chunk, Month

# Rows of the open month leave PostgreSQL as six byte strings, big-endian, instead of a record each.
_OPEN_CANDLES = text(
    """
    SELECT series_id,
        string_agg(int8send(time), ''::bytea ORDER BY time) AS time,
        string_agg(float8send(open), ''::bytea ORDER BY time) AS open,
        string_agg(float8send(high), ''::bytea ORDER BY time) AS high,
        string_agg(float8send(low), ''::bytea ORDER BY time) AS low,
        string_agg(float8send(close), ''::bytea ORDER BY time) AS close,
        string_agg(float8send(volume), ''::bytea ORDER BY time) AS volume
    FROM open_candles WHERE series_id = ANY(:ids) AND time >= :low AND time < :high GROUP BY series_id
    """
)

# Of one series as long as it has not been rewritten.
_NEWEST_CANDLES = text(
    """
    SELECT
        string_agg(int8send(time), ''::bytea ORDER BY time) AS time,
        string_agg(float8send(open), ''::bytea ORDER BY time) AS open,
        string_agg(float8send(high), ''::bytea ORDER BY time) AS high,
        string_agg(float8send(low), ''::bytea ORDER BY time) AS low,
        string_agg(float8send(close), ''::bytea ORDER BY time) AS close,
        string_agg(float8send(volume), ''::bytea ORDER BY time) AS volume
    FROM open_candles
    WHERE series_id = :id AND time >= :low AND time < :high
        AND EXISTS (SELECT FROM price_series WHERE id = :id AND rewrites = :rewrites)
    HAVING count(*) > 0
    """
)

_UPSERT_OPEN_CANDLES = text(
    """
    INSERT INTO open_candles (series_id, time, open, high, low, close, volume)
    SELECT :series_id, * FROM unnest(
        CAST(:time AS bigint[]), CAST(:open AS float8[]), CAST(:high AS float8[]),
        CAST(:low AS float8[]), CAST(:close AS float8[]), CAST(:volume AS float8[]))
    ON CONFLICT (series_id, time) DO UPDATE SET open = excluded.open, high = excluded.high,
        low = excluded.low, close = excluded.close, volume = excluded.volume
    """
)

EARLIEST, LATEST = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class MonthRange:
    """Months of a series by their first moments, both ends included."""

    series_id: UUID
    first: int = EARLIEST
    last: int = LATEST


_DESCRIPTION = (
    CandleChunkRow.series_id,
    CandleChunkRow.period_start,
    CandleChunkRow.n,
    CandleChunkRow.first_time,
    CandleChunkRow.last_time,
    CandleChunkRow.checksum,
)


async def chunk_months(session: AsyncSession, series_id: UUID) -> list[Month]:
    """Return the descriptions of a series' chunks, oldest first."""
    statement = select(*_DESCRIPTION).where(CandleChunkRow.series_id == series_id)
    rows = await session.execute(statement.order_by(CandleChunkRow.period_start))
    return [Month(*row[1:]) for row in rows]


async def chunks(session: AsyncSession, ranges: Sequence[MonthRange]) -> list[Chunk]:
    """Return the chunks of all ranges by one statement, ordered by series and month."""
    statement = (
        select(*_DESCRIPTION, CandleChunkRow.data)
        .where(
            or_(
                *(
                    and_(
                        CandleChunkRow.series_id == each.series_id,
                        CandleChunkRow.period_start.between(each.first, each.last),
                    )
                    for each in ranges
                )
            )
        )
        .order_by(CandleChunkRow.series_id, CandleChunkRow.period_start)
    )
    rows = await session.execute(statement)
    return [Chunk(SeriesId(row[0]), Month(*row[1:6]), row[6]) for row in rows]


async def open_candles(
    session: AsyncSession, series: Iterable[tuple[UUID, Interval]], low: int = EARLIEST, high: int = LATEST
) -> dict[UUID, Bars]:
    """Return the candles kept as rows, opening in [low, high), of each series that has any."""
    intervals = dict(series)
    rows = await session.execute(_OPEN_CANDLES, {"ids": list(intervals), "low": low, "high": high})
    return {row.series_id: _bars(row, intervals[row.series_id]) for row in rows}


async def newest_candles(
    session: AsyncSession, series_id: UUID, interval: Interval, rewrites: int, low: int, high: int
) -> Bars | None:
    """Return the candles kept as rows that open in [low, high), by one statement.

    None if there are none, or if the series has been rewritten more often than that.
    """
    given = {"id": series_id, "rewrites": rewrites, "low": low, "high": high}
    row = (await session.execute(_NEWEST_CANDLES, given)).one_or_none()
    return None if row is None else _bars(row, interval)


def _bars(row: Row[Any], interval: Interval) -> Bars:
    return Bars(
        time=np.frombuffer(row.time, ">i8").astype(np.int64),
        **{name: _floats(getattr(row, name)) for name in COLUMNS[1:]},
        interval=interval.milliseconds,
    )


def _floats(data: bytes) -> Floats:
    return np.frombuffer(data, ">f8").astype(np.float64)


async def upsert_open_candles(session: AsyncSession, series_id: UUID, bars: Bars) -> None:
    """Write candles as rows."""
    columns = {name: getattr(bars, name).tolist() for name in COLUMNS}
    await session.execute(_UPSERT_OPEN_CANDLES, {"series_id": series_id, **columns})


async def delete_open_candles(session: AsyncSession, series_id: UUID, low: int, high: int) -> None:
    """Delete the rows of candles that open in [low, high)."""
    await session.execute(
        delete(OpenCandleRow).where(
            OpenCandleRow.series_id == series_id, OpenCandleRow.time >= low, OpenCandleRow.time < high
        )
    )


async def replace_chunks(
    session: AsyncSession, series_id: UUID, version: int, encoded: Sequence[tuple[Month, int | None, bytes]]
) -> None:
    """Write months under a new version of the series and remove what they replace.

    Parameters
    ----------
    encoded
        Of each month its description, the decimals of its prices, and the data.
    """
    starts = [month.start for month, _, _ in encoded]
    await session.execute(
        delete(CandleChunkRow).where(
            CandleChunkRow.series_id == series_id, CandleChunkRow.period_start.in_(starts)
        )
    )
    values = [
        {
            "series_id": series_id,
            "period_start": month.start,
            "version": version,
            "n": month.n,
            "first_time": month.first,
            "last_time": month.last,
            "codec": FORMAT,
            "scale": decimals,
            "checksum": month.digest,
            "data": data,
        }
        for month, decimals, data in encoded
    ]
    await session.execute(insert(CandleChunkRow), values)


async def series_with_open_months(session: AsyncSession) -> list[PriceSeriesRow]:
    """Return the series that keep candles as rows."""
    rows = await session.scalars(select(PriceSeriesRow).where(PriceSeriesRow.open_months != []))
    return list(rows)
