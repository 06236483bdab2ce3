"""Real workers, killed in the middle of what they write: nothing is lost, nothing is traded twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text, update

from gql_trader.bots import shards
from gql_trader.bots.models import SessionStateRow, TickLeaseRow, TradingSessionRow
from gql_trader.bots.types import Feed, Replay
from gql_trader.config import Settings
from gql_trader.infra.embedded.servers import EmbeddedServers
from tests.factories.backtests import BARS
from tests.factories.bots import BotDesk, LiveMarket, as_booked, bar_time, booked

_ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 60.0


@asynccontextmanager
async def _worker(
    settings: Settings, redis_url: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": redis_url or settings.redis_url.get_secret_value(),
        "GQL_TRADER_DATA_DIR": str(settings.data_dir),
        "JOB_LEASE_SECONDS": "1",
        "SWEEP_SECONDS": "0.2",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_trader", "worker", "--queue", "bots"),
        env=environment,
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


async def _until(bots: BotDesk, statement: str, expected: Callable[[int], bool]) -> None:
    async with asyncio.timeout(_WAIT_SECONDS):
        while True:
            async with bots.runtime.unit_of_work() as uow:
                if expected(await uow.session.scalar(text(statement)) or 0):
                    return
            await asyncio.sleep(0.05)


_BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%session_states%'"
)


async def _started_long_ago(live: LiveMarket, number: int) -> list[UUID]:
    """Begin sessions that trade the candles that are stored already."""
    found = [(await live.bots.begin(market="LIVE/USD", feed=Feed()))[1] for _ in range(number)]
    async with live.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(update(TradingSessionRow).values(trade_from=live.opening(100)))
        # A moment later they have been run once, which has found nothing to trade.
        await uow.session.execute(text("UPDATE bots SET state = 'RUNNING'"))
    await live.bots.runtime.queue._redis.flushdb()
    return found


async def test_neither_a_worker_killed_in_a_tick_nor_a_lost_redis_loses_or_repeats_anything(
    live: LiveMarket, settings: Settings, own_valkey: EmbeddedServers
) -> None:
    bots = live.bots
    sessions = await _started_long_ago(live, 4)
    async with bots.runtime.unit_of_work() as holder:
        # The worker's transaction waits for this one in the middle of its writes.
        await holder.session.execute(
            select(SessionStateRow.session_id)
            .where(SessionStateRow.session_id == sessions[2])
            .with_for_update()
        )
        async with _worker(settings) as first:
            await _until(bots, _BLOCKED, bool)
            first.send_signal(signal.SIGKILL)
            await first.wait()
    async with bots.runtime.unit_of_work() as uow:
        # Its lease outlives it, and of what it had begun to write nothing is there.
        assert await uow.session.scalar(select(TickLeaseRow.lease_expires_at)) is not None
        assert set(await uow.session.scalars(select(SessionStateRow.revision))) == {0}
    async with _worker(settings, own_valkey.redis_url) as second:
        await _until(bots, "SELECT min(bars) FROM session_states", bool)
        assert own_valkey.valkey_child is not None
        own_valkey.valkey_child.process.kill()
        own_valkey.valkey_child.process.wait()
        # What comes up while Redis is away is found once it is back, by the same worker.
        sessions += await _started_long_ago(live, 2)
        own_valkey.restart_dead()
        await _until(bots, "SELECT min(bars) FROM session_states", bool)
        assert second.returncode is None
    expected, _ = await bots.backtest(market="LIVE/USD", start=live.opening(100))
    kept = [each for each in as_booked(expected) if each[12] != "END_OF_DATA"]
    assert kept
    for session_id in sessions:
        assert (await bots.session(session_id)).revision == 1
        trades = await bots.trades(session_id)
        assert booked([trade for trade in trades if trade.exit_time is not None]) == kept
        numbers = [order.number for order in await bots.orders(session_id)]
        assert numbers == list(range(1, len(numbers) + 1))
    async with bots.runtime.unit_of_work() as uow:
        assert await shards.behind(uow) == []


async def test_a_replay_whose_worker_is_killed_between_two_writes_ends_like_its_backtest(
    bots: BotDesk, settings: Settings
) -> None:
    replay = Feed(Replay(bar_time(500), bar_time(BARS)))
    _, session_id = await bots.begin(feed=replay)
    async with bots.runtime.unit_of_work() as holder:
        locked = text("SELECT 1 FROM trading_sessions FOR UPDATE")
        await holder.session.execute(locked)
        async with _worker(settings) as first:
            # It has claimed the session or is about to; either way it does not come to its end.
            await _until(
                bots,
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'",
                bool,
            )
            first.send_signal(signal.SIGKILL)
            await first.wait()
    async with _worker(settings):
        await _until(bots, "SELECT count(*) FROM trading_sessions WHERE status = 'STOPPED'", bool)
    expected, backtest = await bots.backtest(start=bar_time(500))
    assert booked(await bots.trades(session_id)) == as_booked(expected)
    assert (await bots.session(session_id)).bars == backtest.bars
