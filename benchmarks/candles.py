"""Measure loading a year of one-minute candles: cold from PostgreSQL, warm from the cache, a row per candle.

Run ``python -m benchmarks.candles`` from the repository; it starts servers of its own in a temporary
directory. Timings of a busy machine vary: compare the ratios.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.engine import PROTECTED, rules_of
from benchmarks.own_servers import own_servers
from benchmarks.stored_runs import answer_at_once
from gql_trader.config import Settings
from gql_trader.core.intervals import MINUTE, Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import compile_rules
from gql_trader.engine.warmup import warm_up
from gql_trader.infra.allocator import keep_freed_memory
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.market_data import service
from gql_trader.runtime import Runtime, open_runtime

CANDLES = 525_600
REPEATS = 15
JANUARY_2023 = 1_672_531_200_000


def year_of_minutes() -> Bars:
    """Return a year of simulated one-minute candles with prices in cents."""
    random = np.random.default_rng(1)
    close = np.rint(3_000_000 * np.exp(np.cumsum(random.normal(0, 5e-4, CANDLES))))
    opened = np.concatenate([[3_000_000.0], close[:-1]])
    return Bars(
        time=JANUARY_2023 + MINUTE * np.arange(CANDLES),
        open=opened / 100,
        high=(np.maximum(opened, close) + random.integers(0, 2_000, CANDLES)) / 100,
        low=(np.minimum(opened, close) - random.integers(0, 2_000, CANDLES)) / 100,
        close=close / 100,
        volume=np.rint(random.gamma(2, 1e8, CANDLES)) / 1e8,
        interval=MINUTE,
    )


async def _median(work: Callable[[], Awaitable[Any]], repeats: int = REPEATS) -> float:
    durations = []
    await work()
    for _ in range(repeats):
        begin = time.perf_counter()
        await work()
        durations.append((time.perf_counter() - begin) * 1000)
    return statistics.median(durations)


async def _measure(runtime: Runtime, directory: Path) -> list[tuple[str, float]]:
    bars = year_of_minutes()
    begin = time.perf_counter()
    async with runtime.unit_of_work() as uow:
        market = await service.ensure_market(uow, "demo", "BTC/USD")
        await service.save_candles(uow, market.id, Interval.M1, bars)
    saving = (time.perf_counter() - begin) * 1000
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(
            text(
                "CREATE TABLE rows (time bigint PRIMARY KEY, open float8, high float8, low float8,"
                " close float8, volume float8)"
            )
        )
        connection = await (await uow.session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection
        names = ("time", "open", "high", "low", "close", "volume")
        records = zip(*(getattr(bars, name).tolist() for name in names), strict=True)
        await driver.copy_records_to_table("rows", records=list(records))
        await uow.session.execute(text("ANALYZE rows"))
    no_cache, fresh = ArrayCache(directory / "none", 0), directory / "fresh"

    async def load(arrays: ArrayCache, interval: Interval = Interval.M1) -> int:
        async with runtime.unit_of_work() as uow:
            series = await service.find_series(uow, market.id, interval)
            assert series is not None
            loaded = await service.load_bars(uow, arrays, series)
        # Touch every page, so that a map is charged for what it reads.
        return len(loaded.bars) + int(sum(getattr(loaded.bars, name)[::512].sum() for name in names))

    async def first_opening() -> int:
        return await load(ArrayCache(fresh, 10**9))

    async def row_per_candle() -> list[np.ndarray[Any, Any]]:
        async with runtime.unit_of_work() as uow:
            connection = await (await uow.session.connection()).get_raw_connection()
            driver: Any = connection.driver_connection
            found = await driver.fetch("SELECT time, open, high, low, close, volume FROM rows ORDER BY time")
            return [np.array([row[at] for row in found]) for at in range(6)]

    rules = compile_rules(rules_of("sma"), ())

    async def answer_warm() -> int:
        return len(answer_at_once(bars, rules, PROTECTED))

    async def answer_cold() -> int:
        async with runtime.unit_of_work() as uow:
            series = await service.find_series(uow, market.id, Interval.M1)
            assert series is not None
            loaded = await service.load_bars(uow, no_cache, series)
        return len(answer_at_once(loaded.bars, rules, PROTECTED))

    shared = ArrayCache(fresh, 10**9)
    await load(shared)
    shared.flush()
    results = [
        ("saved: hashed, encoded, written", saving),
        ("from PostgreSQL, monthly chunks", await _median(lambda: load(no_cache))),
        ("from there to a backtest's JSON answer", await _median(answer_cold)),
        ("of which backtest and JSON", await _median(answer_warm)),
        ("from the cache, first opening by a process", await _median(first_opening)),
        ("from the cache, warm", await _median(lambda: load(shared))),
        ("H1 resampled from M1, nothing cached", await _median(lambda: load(no_cache, Interval.H1))),
        ("a row per candle, by asyncpg", await _median(row_per_candle, 3)),
    ]
    shared.close()
    return results


async def _run(settings: Settings) -> list[tuple[str, float]]:
    async with open_runtime(settings) as runtime:
        return await _measure(runtime, settings.data_dir)


def main() -> None:
    """Run and print a table."""
    keep_freed_memory()  # as a worker does
    warm_up()
    with own_servers(durable=False) as settings:
        results = asyncio.run(_run(settings))
    slowest = results[-1][1]
    table = Table("what", "ms (median)", "times faster than rows", title=f"{CANDLES:,} candles × 6 columns")
    for name, milliseconds in results:
        table.add_row(name, f"{milliseconds:.1f}", f"{slowest / milliseconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
