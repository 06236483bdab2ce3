"""Real workers, killed while an exchange answers them: nothing is lost, nothing is fetched or told twice."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus
from tests.factories.candles import assert_same_bars
from tests.factories.exchange_simulator import Pause
from tests.market_data.feed_desk import KLINES, FeedDesk

_ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 180.0
"""A bound, and no more: workers start slowly on a machine that is busy."""


@asynccontextmanager
async def _worker(desk: FeedDesk) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = desk.runtime.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_trader", "worker", "--queue", "market_data", "--queue", "feeds"),
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "GQL_TRADER_DATA_DIR": str(settings.data_dir),
            "EXCHANGE_URLS": json.dumps({"binance": desk.simulator.url}),
            "EXCHANGE_TIMEOUT_SECONDS": "60",
            "JOB_LEASE_SECONDS": "1",
            "SWEEP_SECONDS": "0.2",
        },
        cwd=_ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def test_a_sync_and_a_feed_outlive_the_worker_that_was_at_them(desk: FeedDesk) -> None:
    desk.set_time(2_000)
    key = await desk.asked(0, 1_500)
    first_page, second_page = Pause(), Pause()
    desk.simulator.faults.add(KLINES, first_page)
    desk.simulator.faults.add(KLINES, second_page)
    async with asyncio.timeout(_WAIT_SECONDS):
        async with _worker(desk) as killed:
            await first_page.arrived.wait()
            first_page.released.set()
            # What came first is stored once the next page is asked for.
            await second_page.arrived.wait()
            market_id = await desk.market_id()
            await desk.want(market_id, Interval.M1)
            asked = Pause()
            desk.simulator.faults.add(KLINES, asked)
            await asked.arrived.wait()
            killed.send_signal(signal.SIGKILL)
            await killed.wait()
        row = await desk.row(key)
        assert (row.status, row.fetched) == (RunStatus.RUNNING, 1_000)
        assert (await desk.feed(market_id, Interval.M1)).lease_expires_at is not None
        desk.simulator.received.clear()
        for pause in (second_page, asked):
            pause.released.set()
        async with _worker(desk):
            while (await desk.row(key)).status != RunStatus.COMPLETED:  # noqa: ASYNC110 -- in the database
                await asyncio.sleep(0.05)
            while (await desk.feed(market_id, Interval.M1)).fence < 2:  # noqa: ASYNC110 -- in the database
                await asyncio.sleep(0.05)
    row = await desk.row(key)
    assert (row.fetched, row.crashes) == (1_500, 0)
    hours = [page for page in desk.simulator.received if page.params.get("interval") == "1h"]
    assert [(int(each.params["startTime"]) - desk.start) // 3_600_000 for each in hours] == [1_000]
    assert_same_bars(await desk.stored(), desk.bars.slice(0, 1_500))
