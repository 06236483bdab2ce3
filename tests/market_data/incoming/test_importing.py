"""Imports into the real store: idempotent, all or nothing, and the files people have."""

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.market_data import service
from gql_trader.market_data.incoming.files import write_candles
from gql_trader.market_data.incoming.importing import export_candles, import_candles
from gql_trader.market_data.incoming.validation import RefusedRows
from gql_trader.market_data.models import AssetRow, CandleChunkRow, MarketRow
from gql_trader.market_data.types import AssetType, ImportReport
from gql_trader.runtime import Runtime
from tests.factories.candles import assert_same_bars, random_bars

DATA = Path(__file__).parents[3] / "../shared/data"
DEMO_CLOSES = "98f58e5a725f325d"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real candles in ../shared/data are absent")


async def imported(
    runtime: Runtime,
    file: Path,
    market: str = "BTC/USD",
    interval: Interval = Interval.H1,
    *,
    exchange: str = "coinbase",
    repaired: bool = False,
) -> ImportReport:
    async with runtime.unit_of_work() as uow:
        return await import_candles(
            uow, file, exchange=exchange, market=market, interval=interval, repaired=repaired
        )


@needs_data
async def test_the_real_hourly_file_is_imported_as_it_is_and_only_once(runtime: Runtime) -> None:
    first = await imported(runtime, DATA / "coinbase-BTCUSD-1h.csv")
    assert (first.rows, first.added, first.updated, first.series.count) == (20_111, 20_111, 0, 20_111)
    assert first.series.gaps == 0
    assert first.market.name == "coinbase:BTC/USD"
    assert first.market.price_precision == 2
    again = await imported(runtime, DATA / "coinbase-BTCUSD-1h.csv")
    assert not again.changed
    assert again.series == first.series
    async with runtime.unit_of_work() as uow:
        series = await service.find_series(uow, first.market.id, Interval.H1)
        assert series is not None
        loaded = await service.load_bars(uow, runtime.arrays, series)
    moment = datetime(2019, 10, 17, 9, tzinfo=UTC)
    assert loaded.bars.time[-1] == moment.timestamp() * 1000
    last = [getattr(loaded.bars, name)[-1] for name in ("open", "high", "low", "close", "volume")]
    assert last == [8051.0, 8056.83, 8021.23, 8035.88, 61.25]


@needs_data
async def test_the_other_real_files_are_imported_as_they_are(runtime: Runtime) -> None:
    days = await imported(runtime, DATA / "coinbase-BTCUSD-1d.csv", interval=Interval.D1)
    assert (days.added, days.series.gaps) == (1770, 12)
    fives = await imported(
        runtime, DATA / "binance-ETHBTC-5m.feather", "ETH/BTC", Interval.M5, exchange="binance"
    )
    assert fives.added == 5760
    minutes = await imported(
        runtime, DATA / "binance-UNITTESTBTC-1m-gaps.feather", "UNITTEST/BTC", Interval.M1, exchange="binance"
    )
    assert (minutes.added, minutes.series.gaps) == (13_681, 717)


async def test_export_then_import_gives_the_same_content(runtime: Runtime, tmp_path: Path) -> None:
    bars = random_bars(3000, gaps=0.1)
    write_candles(tmp_path / "in.parquet", bars)
    first = await imported(runtime, tmp_path / "in.parquet", exchange="one")
    for ending in ("csv", "parquet", "feather"):
        file = tmp_path / f"out.{ending}"
        async with runtime.unit_of_work() as uow:
            count = await export_candles(
                uow, runtime.arrays, file, exchange="one", market="btc/usd", interval=Interval.H1
            )
        assert count == 3000
        second = await imported(runtime, file, exchange=ending)
        assert second.series.content_hash == first.series.content_hash


async def test_a_refused_file_changes_nothing_and_creates_nothing(runtime: Runtime, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    good = "".join(f"2024-01-01 {hour:02d}:00,1,1,1,1,1\n" for hour in range(20))
    file.write_text(f"time,open,high,low,close,volume\n{good}2024-01-01 20:00,1,1,1,-1,1\n")
    with pytest.raises(RefusedRows, match=r"1 row is refused: row 22: close -1\.0 is not positive\."):
        await imported(runtime, file)
    async with runtime.unit_of_work() as uow:
        for table in (AssetRow, MarketRow, CandleChunkRow):
            assert await uow.session.scalar(select(func.count()).select_from(table)) == 0
    repaired = await imported(runtime, file, repaired=True)
    assert repaired.added == 20
    assert repaired.repairs == (("dropped: price missing or not positive", 1),)


async def test_two_imports_at_once_into_one_market_both_arrive(runtime: Runtime, tmp_path: Path) -> None:
    bars = random_bars(2000)
    write_candles(tmp_path / "a.parquet", bars.slice(0, 1200))
    write_candles(tmp_path / "b.parquet", bars.slice(800, 2000))
    await asyncio.gather(imported(runtime, tmp_path / "a.parquet"), imported(runtime, tmp_path / "b.parquet"))
    async with runtime.unit_of_work() as uow:
        market = await service.find_market(uow, "BTC/USD")
        series = await service.find_series(uow, market.id, Interval.H1)
        assert series is not None
        assert_same_bars((await service.load_bars(uow, runtime.arrays, series)).bars, bars)


async def test_nothing_is_imported_among_simulated_prices(runtime: Runtime, tmp_path: Path) -> None:
    write_candles(tmp_path / "in.csv", random_bars(3))
    for exchange in ("demo", " Demo "):
        with pytest.raises(InvalidInput, match="'demo' is the venue of simulated prices") as refusal:
            await imported(runtime, tmp_path / "in.csv", exchange=exchange)
        assert refusal.value.path == ("exchange",)


async def test_the_column_that_is_read_is_reported(runtime: Runtime, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("unix,date,open,high,low,close,volume\n1571302800,2019-10-17,1,1,1,1,1\n")
    assert (await imported(runtime, file)).notes == ("time is read from 'unix', not from 'date'",)


@pytest.mark.parametrize(
    ("market", "exchange"), [("BTCUSD", "x"), ("BTC/", "x"), ("/USD", "x"), ("A/A", "x"), ("BTC/USD", "no:t")]
)
async def test_malformed_names_are_refused(
    runtime: Runtime, tmp_path: Path, market: str, exchange: str
) -> None:
    write_candles(tmp_path / "in.csv", random_bars(3))
    with pytest.raises(InvalidInput):
        await imported(runtime, tmp_path / "in.csv", market, exchange=exchange)


async def test_exporting_what_is_not_there_is_an_error_with_a_code(runtime: Runtime, tmp_path: Path) -> None:
    write_candles(tmp_path / "in.csv", random_bars(30))
    await imported(runtime, tmp_path / "in.csv")
    async with runtime.unit_of_work() as uow:
        for market, interval, code in (
            ("LTC/USD", Interval.H1, "NOT_FOUND"),
            ("BTC/USD", Interval.M1, "NO_DATA"),
        ):
            with pytest.raises(DomainError) as refusal:
                await export_candles(
                    uow,
                    runtime.arrays,
                    tmp_path / "o.csv",
                    exchange="coinbase",
                    market=market,
                    interval=interval,
                )
            assert refusal.value.code == code


async def test_demo_prices_are_seeded_once_and_are_the_same_everywhere(runtime: Runtime) -> None:
    for _ in range(2):
        async with runtime.unit_of_work() as uow:
            await service.seed_demo(uow)
    async with runtime.unit_of_work() as uow:
        market = await service.find_market(uow, "demo:BTC/USD")
        hours = await service.find_series(uow, market.id, Interval.H1)
        minutes = await service.find_series(uow, market.id, Interval.M1)
        assert hours is not None
        assert minutes is not None
        loaded = (await service.load_bars(uow, runtime.arrays, hours)).bars
        later = (await service.load_bars(uow, runtime.arrays, minutes)).bars
    assert (hours.source.version, hours.source.count, hours.source.gaps) == (1, 20_000, 0)
    # The minutes go on where the hours end.
    assert loaded.time[-1] + loaded.interval == later.time[0]
    assert loaded.close[-1] == later.open[0]
    assert np.all(loaded.high >= np.maximum(loaded.open, loaded.close))
    assert np.all(loaded.low <= np.minimum(loaded.open, loaded.close))
    prices = np.stack([loaded.open, loaded.high, loaded.low, loaded.close])
    assert np.array_equal(np.rint(prices * 100) / 100, prices)
    assert hashlib.sha256(loaded.close.tobytes()).hexdigest()[:16] == DEMO_CLOSES


async def test_types_of_new_assets_are_guessed_or_given(runtime: Runtime) -> None:
    async with runtime.unit_of_work() as uow:
        await service.ensure_market(uow, "x", "EUR/USD")
        await service.ensure_market(uow, "x", "AAPL/USD", asset_type=AssetType.STOCK)
        await service.ensure_market(uow, "x", "BTC/USD")
        types = {}
        for symbol in ("EUR", "USD", "AAPL", "BTC"):
            asset = await service.find_asset(uow, symbol)
            assert asset is not None
            types[symbol] = asset.type
    assert types == {
        "EUR": AssetType.FIAT,
        "USD": AssetType.FIAT,
        "AAPL": AssetType.STOCK,
        "BTC": AssetType.CRYPTO,
    }
