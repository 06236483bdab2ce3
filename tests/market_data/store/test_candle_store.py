"""The candle store: what is saved is loaded, bit for bit, and equal candles have equal hashes."""

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import numpy as np
import pytest
from sqlalchemy import func, select, text

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import DAY, HOUR, Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.column_codec import CorruptColumnsError
from gql_trader.market_data import service
from gql_trader.market_data.jobs import seal_open_months
from gql_trader.market_data.models import CandleChunkRow, OpenCandleRow
from gql_trader.market_data.store.loading import load_newest
from gql_trader.market_data.types import LoadedBars, MarketRecord, PriceSeriesRecord
from gql_trader.runtime import Runtime
from tests.factories.candles import JANUARY_2024, assert_same_bars, random_bars

THREE_MONTHS = 24 * 90


class FixedClock:
    """A clock that stands where a test puts it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2024, 7, 1, tzinfo=UTC))


@pytest.fixture
def runtime(runtime: Runtime, clock: FixedClock) -> Runtime:
    return replace(runtime, clock=clock)


@pytest.fixture
async def market(runtime: Runtime) -> MarketRecord:
    async with runtime.unit_of_work() as uow:
        return await service.ensure_market(uow, "coinbase", "BTC/USD")


async def save(
    runtime: Runtime, market: MarketRecord, bars: Bars, interval: Interval = Interval.H1
) -> service.SavedCandles:
    async with runtime.unit_of_work() as uow:
        return await service.save_candles(uow, market.id, interval, bars)


async def series_of(
    runtime: Runtime, market: MarketRecord, interval: Interval = Interval.H1
) -> PriceSeriesRecord:
    async with runtime.unit_of_work() as uow:
        found = await service.find_series(uow, market.id, interval)
    assert found is not None
    return found


async def load(
    runtime: Runtime,
    market: MarketRecord,
    interval: Interval = Interval.H1,
    start: int | None = None,
    end: int | None = None,
    warmup: int = 0,
    arrays: ArrayCache | None = None,
) -> LoadedBars:
    series = await series_of(runtime, market, interval)
    async with runtime.unit_of_work() as uow:
        return await service.load_bars(
            uow,
            arrays or runtime.arrays,
            series,
            None if start is None else from_milliseconds(start),
            None if end is None else from_milliseconds(end),
            warmup,
        )


async def count(runtime: Runtime, table: type[CandleChunkRow] | type[OpenCandleRow]) -> int:
    async with runtime.unit_of_work() as uow:
        return await uow.session.scalar(select(func.count()).select_from(table)) or 0


def joined(*parts: Bars) -> Bars:
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("time", "open", "high", "low", "close", "volume")
    }
    return Bars(**columns, interval=parts[0].interval)


async def test_candles_come_back_bit_for_bit_from_the_store_and_from_the_cache(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(THREE_MONTHS, gaps=0.05)
    saved = await save(runtime, market, bars)
    assert (saved.added, saved.updated, saved.series.version) == (THREE_MONTHS, 0, 1)
    assert saved.series.gaps == (bars.time[-1] - bars.time[0]) // HOUR + 1 - THREE_MONTHS
    assert await count(runtime, OpenCandleRow) == 0
    cold = await load(runtime, market)
    runtime.arrays.flush()
    warm = await load(runtime, market)
    fresh_process = ArrayCache(runtime.settings.data_dir / "cache" / "arrays", 10**9)
    for found in (cold, warm, await load(runtime, market, arrays=fresh_process)):
        assert_same_bars(found.bars, bars)
        assert found.content_hash == saved.series.content_hash


async def test_prices_that_are_not_on_a_tick_come_back_bit_for_bit(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(1000)
    bars = replace(bars, **{name: getattr(bars, name) * np.pi for name in ("open", "high", "low", "close")})
    await save(runtime, market, bars)
    assert_same_bars((await load(runtime, market)).bars, bars)
    async with runtime.unit_of_work() as uow:
        assert set(await uow.session.scalars(select(CandleChunkRow.scale))) == {None}


async def test_saving_the_same_candles_again_changes_nothing(runtime: Runtime, market: MarketRecord) -> None:
    bars = random_bars(THREE_MONTHS)
    first = await save(runtime, market, bars)
    for again in (bars, bars.slice(100, 900)):
        saved = await save(runtime, market, again)
        assert (saved.added, saved.updated) == (0, 0)
        assert saved.series == first.series


async def test_candles_saved_in_pieces_in_any_order_equal_the_whole(runtime: Runtime) -> None:
    bars = random_bars(THREE_MONTHS, gaps=0.1)
    async with runtime.unit_of_work() as uow:
        whole = await service.ensure_market(uow, "one", "BTC/USD")
        pieces = await service.ensure_market(uow, "two", "BTC/USD")
    expected = await save(runtime, whole, bars)
    order = np.random.default_rng(3).permutation(12)
    for at in order * 180:
        # Pieces overlap by a few candles, and begin and end inside months.
        await save(runtime, pieces, bars.slice(max(0, int(at) - 7), int(at) + 180))
    found = await load(runtime, pieces)
    assert_same_bars(found.bars, bars)
    assert found.content_hash == expected.series.content_hash
    assert (await series_of(runtime, pieces)).source.gaps == expected.series.gaps


async def test_an_overlapping_import_updates_candles_under_a_new_version(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(THREE_MONTHS)
    first = await save(runtime, market, bars)
    async with runtime.unit_of_work() as uow:
        before = {row.period_start: row.version for row in await uow.session.scalars(select(CandleChunkRow))}
    later = replace(bars.slice(1000, THREE_MONTHS), volume=bars.volume[1000:].copy())
    later.volume[:5] += 1.0
    saved = await save(runtime, market, later)
    assert (saved.added, saved.updated) == (0, 5)
    assert saved.series.version == 2
    assert saved.series.content_hash != first.series.content_hash
    assert_same_bars((await load(runtime, market)).bars, joined(bars.slice(0, 1000), later))
    async with runtime.unit_of_work() as uow:
        after = {row.period_start: row.version for row in await uow.session.scalars(select(CandleChunkRow))}
    # Only February changed: the other months' rows were not touched, and none was left behind.
    february = 31 * DAY + JANUARY_2024
    assert after == before | {february: 2}


async def test_the_present_month_is_kept_as_rows_until_it_is_over(
    runtime: Runtime, market: MarketRecord, clock: FixedClock
) -> None:
    clock.moment = datetime(2024, 2, 10, tzinfo=UTC)
    more = random_bars(24 * 45)
    bars = more.slice(0, 24 * 40)
    saved = await save(runtime, market, bars)
    assert await count(runtime, CandleChunkRow) == 1
    assert await count(runtime, OpenCandleRow) == 24 * 9
    loaded = await load(runtime, market)
    assert_same_bars(loaded.bars, bars)
    assert loaded.content_hash == saved.series.content_hash

    again = await save(runtime, market, more.slice(24 * 38, 24 * 45))
    assert (again.added, again.updated) == (24 * 5, 0)
    assert_same_bars((await load(runtime, market)).bars, more)

    await seal_open_months(runtime)
    assert await count(runtime, OpenCandleRow) == 24 * 14  # February is not over: nothing to seal

    clock.moment = datetime(2024, 3, 1, tzinfo=UTC)
    for _ in range(2):
        await seal_open_months(runtime)
        assert await count(runtime, OpenCandleRow) == 0
        assert await count(runtime, CandleChunkRow) == 2
    sealed = await series_of(runtime, market)
    assert sealed.source.content_hash == again.series.content_hash
    nothing_cached = ArrayCache(runtime.settings.data_dir / "other", 10**9)
    assert_same_bars((await load(runtime, market, arrays=nothing_cached)).bars, more)


async def test_saving_after_the_month_is_over_seals_it_first(
    runtime: Runtime, market: MarketRecord, clock: FixedClock
) -> None:
    clock.moment = datetime(2024, 1, 20, tzinfo=UTC)
    bars = random_bars(THREE_MONTHS)
    await save(runtime, market, bars.slice(0, 400))
    clock.moment = datetime(2024, 7, 1, tzinfo=UTC)
    saved = await save(runtime, market, bars.slice(1200, THREE_MONTHS))
    assert await count(runtime, OpenCandleRow) == 0
    found = await load(runtime, market)
    assert_same_bars(found.bars, joined(bars.slice(0, 400), bars.slice(1200, THREE_MONTHS)))
    assert found.content_hash == saved.series.content_hash


async def test_a_range_is_half_open_and_hashes_like_the_same_candles_alone(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(THREE_MONTHS, gaps=0.05)
    await save(runtime, market, bars)
    async with runtime.unit_of_work() as uow:
        alone = await service.ensure_market(uow, "alone", "BTC/USD")
    saved = await save(runtime, alone, bars.slice(300, 1500))
    found = await load(runtime, market, start=int(bars.time[300]), end=int(bars.time[1500]))
    assert_same_bars(found.bars, bars.slice(300, 1500))
    assert found.content_hash == saved.series.content_hash
    other = await load(runtime, market, start=int(bars.time[300]), end=int(bars.time[1499]))
    assert other.content_hash != found.content_hash


async def test_warm_up_bars_come_in_front_where_the_store_has_them(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(1000)
    await save(runtime, market, bars)
    found = await load(runtime, market, start=int(bars.time[500]), end=int(bars.time[600]), warmup=50)
    assert found.warmup == 50
    assert_same_bars(found.bars, bars.slice(450, 600))
    short = await load(runtime, market, start=int(bars.time[20]), warmup=50)
    assert short.warmup == 20
    assert_same_bars(short.bars, bars)


async def test_an_empty_range_gives_no_bars(runtime: Runtime, market: MarketRecord) -> None:
    bars = random_bars(100)
    await save(runtime, market, bars)
    middle, later = int(bars.time[50]), int(bars.time[60])
    for start, end in ((0, 1), (middle, middle), (later, middle)):
        found = await load(runtime, market, start=start, end=end, warmup=10)
        assert (len(found.bars), found.warmup) == (0, 0)


async def test_a_short_range_of_a_long_series_reads_only_its_months(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(24 * 60 * 100, Interval.M1)
    await save(runtime, market, bars, Interval.M1)
    at = 24 * 60 * 45
    found = await load(
        runtime, market, Interval.M1, int(bars.time[at]), int(bars.time[at + 100]), warmup=24 * 60 * 20
    )
    assert found.warmup == 24 * 60 * 20
    assert_same_bars(found.bars, bars.slice(at - 24 * 60 * 20, at + 100))
    runtime.arrays.flush()
    # January and February for the warm-up; March and April were not read.
    assert runtime.arrays.size() < 24 * 60 * 61 * 48
    whole = await load(runtime, market, Interval.M1)
    assert_same_bars(whole.bars, bars)
    again = await load(
        runtime, market, Interval.M1, int(bars.time[at]), int(bars.time[at + 100]), warmup=24 * 60 * 20
    )
    assert again.content_hash == found.content_hash


async def test_a_damaged_chunk_is_refused_and_never_used(runtime: Runtime, market: MarketRecord) -> None:
    await save(runtime, market, random_bars(100))
    async with runtime.unit_of_work() as uow:
        flip = "UPDATE candle_chunks SET data = set_byte(data, 200, get_byte(data, 200) # 1)"
        await uow.session.execute(text(flip))
    with pytest.raises(CorruptColumnsError, match="2024-01"):
        await load(runtime, market)


async def test_a_read_that_an_import_overtakes_is_repeated(runtime: Runtime, market: MarketRecord) -> None:
    bars = random_bars(1000)
    await save(runtime, market, bars.slice(0, 500))
    stale = await series_of(runtime, market)
    await save(runtime, market, bars)
    async with runtime.unit_of_work() as uow:
        found = await service.load_bars(uow, runtime.arrays, stale)
    assert_same_bars(found.bars, bars)
    assert found.content_hash == (await series_of(runtime, market)).source.content_hash


async def test_chunks_are_not_compressed_again_by_postgresql(runtime: Runtime, database_url: str) -> None:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    storage = await connection.fetchval(
        "SELECT attstorage FROM pg_attribute WHERE attrelid = 'candle_chunks'::regclass AND attname = 'data'"
    )
    await connection.close()
    assert storage == b"e"


async def test_candles_that_are_not_added_behind_the_last_one_are_counted(
    runtime: Runtime, market: MarketRecord
) -> None:
    bars = random_bars(200)
    changed = replace(bars.slice(150, 151), volume=bars.volume[150:151] + 1.0)
    found = []
    for part in (bars.slice(50, 100), bars.slice(90, 120), bars.slice(130, 200), changed, bars.slice(0, 10)):
        found.append((await save(runtime, market, part)).series.rewrites)
    # The second overlaps and is the same there.
    assert found == [0, 0, 0, 1, 2]
    assert (await save(runtime, market, bars.slice(120, 121))).series.rewrites == 3


async def test_the_newest_candles_are_read_alone_as_long_as_the_others_stay(
    runtime: Runtime, market: MarketRecord, clock: FixedClock
) -> None:
    clock.moment = datetime(2024, 2, 10, tzinfo=UTC)
    bars = random_bars(24 * 40, gaps=0.0)
    at = 24 * 35

    async def newest(series: PriceSeriesRecord, first: int, stop: int) -> Bars | None:
        async with runtime.unit_of_work() as uow:
            return await load_newest(uow, series, first, stop)

    await save(runtime, market, bars.slice(0, 24 * 39))
    hourly, four = await series_of(runtime, market), await series_of(runtime, market, Interval.H4)
    since = int(bars.time[at])
    found = await newest(hourly, since, int(bars.time[at + 7]))
    assert found is not None
    assert_same_bars(found, bars.slice(at, at + 7))
    # The last of the longer bars is not over.
    found = await newest(four, since, int(bars.time[at + 11]))
    whole = await load(runtime, market, Interval.H4, since, int(bars.time[at + 8]))
    assert found is not None
    assert_same_bars(found, whole.bars)
    # No such bar; a month that is closed; behind the last.
    assert await newest(hourly, since + 1, since + 2 * HOUR) is None
    assert await newest(hourly, int(bars.time[24 * 20]), since) is None
    assert await newest(hourly, int(bars.time[-1]), int(bars.time[-1]) + HOUR) is None
    # Those added behind change nothing; a correction does.
    await save(runtime, market, bars.slice(24 * 39, 24 * 40))
    assert await newest(hourly, since, since + HOUR) is not None
    await save(runtime, market, replace(bars.slice(at, at + 1), volume=bars.volume[at : at + 1] + 1.0))
    assert await newest(hourly, since, since + HOUR) is None
    assert await newest(await series_of(runtime, market), since, since + HOUR) is not None
