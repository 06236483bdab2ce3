"""Real workers, killed in the middle of what they write: nothing is lost, nothing is traded twice."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
from sqlalchemy import select, text, update

from gql_trader.bots.models import OrderRow, SessionStateRow, TickLeaseRow, TradingSessionRow
from gql_trader.bots.ticks import shards
from gql_trader.bots.types import Feed, Replay
from gql_trader.config import Settings
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.market_data.service import find_market, save_candles
from tests.bots.live.bench import Bench, make_bench
from tests.bots.live.desk import LEASE_SECONDS, MARKET, ORDER, LiveDesk
from tests.factories.backtests import BARS
from tests.factories.bots import BotDesk, LiveMarket, as_booked, bar_time, booked
from tests.factories.exchange_simulator import Hang

_ROOT = Path(__file__).parents[2]
_WAIT_SECONDS = 180.0
"""A bound, and no more: the first worker on a machine compiles the engine, while other tests are at work."""


@asynccontextmanager
async def _worker(
    settings: Settings, redis_url: str | None = None, queues: Sequence[str] = ("bots",), **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": redis_url or settings.redis_url.get_secret_value(),
        "GQL_TRADER_DATA_DIR": str(settings.data_dir),
        "JOB_LEASE_SECONDS": "1",
        "SWEEP_SECONDS": "0.2",
        **more,
    }
    chosen = [word for queue in queues for word in ("--queue", queue)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gql_trader", "worker", *chosen),
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


async def _minute(bench: Bench) -> None:
    """Store the minute that has closed last, in which the price has risen."""
    now = to_milliseconds(bench.runtime.clock.now())
    opening = np.array([Interval.M1.floor(now) - Interval.M1.milliseconds])
    low, high = np.array([50_000.0]), np.array([50_100.0])
    bars = Bars(opening, low, high, low, high, np.ones(1), Interval.M1.milliseconds)
    async with bench.runtime.unit_of_work() as uow:
        await save_candles(uow, (await find_market(uow, MARKET)).id, Interval.M1, bars)


async def _killed(
    bench: Bench, worker: asyncio.subprocess.Process, condition: Callable[[], Awaitable[bool]]
) -> None:
    """Kill a worker once something has happened; what it had leased is free after that."""
    await _when(bench, condition)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    await bench.desk.pass_time(LEASE_SECONDS)


async def _when(bench: Bench, condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_WAIT_SECONDS):
        while not await condition():
            await _minute(bench)
            await asyncio.sleep(0.1)


async def test_a_live_bot_whose_workers_are_killed_sends_each_order_once(
    desk: LiveDesk, settings: Settings
) -> None:
    bench, simulator = await make_bench(desk), desk.simulator
    await _minute(bench)
    made = await bench.create(interval="M1", execution={"stopLoss": 0.2})
    bench.bot_id = made["bot"]["id"]
    bench.session_id = parse_id((await bench.start())["bot"]["session"]["id"])[1]
    async with desk.runtime.unit_of_work() as uow:
        # The minute that has closed just now is its first.
        await uow.session.execute(
            text("UPDATE trading_sessions SET trade_from = now() - interval '2 minutes'")
        )
    live = {
        "LIVE_TRADING_ENABLED": "true",
        "EXCHANGE_URLS": json.dumps({"binance": simulator.url}),
        "LIVE_ORDER_POLL_SECONDS": "0.5",
        "JWT_SECRET": settings.jwt_secret.get_secret_value(),
    }

    def worker() -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        return _worker(settings, queues=("bots", "orders"), **live)

    async def has(number: int, status: str) -> bool:
        orders = simulator.orders.orders
        return len(orders) == number and orders[-1].status == status

    # Each is done at the exchange, and not answered.
    simulator.faults.add(f"POST {ORDER}", Hang(done=True))
    async with worker() as first:
        await _killed(bench, first, lambda: has(1, "FILLED"))
    assert [status for _, status, _ in await bench.orders()] == ["UNKNOWN"]
    async with worker() as second:

        async def is_protected() -> bool:
            return [status for _, status, _ in await bench.orders()] == ["FILLED", "OPEN"]

        await _when(bench, is_protected)
        simulator.faults.add(f"DELETE {ORDER}", Hang(done=True))
        await bench.stop()
        await _killed(bench, second, lambda: has(2, "CANCELED"))
    async with worker():

        async def has_stopped() -> bool:
            return (await bench.bot()).state == "STOPPED"

        await _when(bench, has_stopped)
    assert await bench.orders() == [
        ("BUY", "FILLED", None),
        ("SELL", "CANCELLED", "STOP_LOSS"),
        ("SELL", "FILLED", "END_OF_DATA"),
    ]
    sent = [
        each.params["newClientOrderId"]
        for each in simulator.received
        if (each.method, each.path) == ("POST", ORDER)
    ]
    assert sent == [row.client_order_id for row in await bench.rows(OrderRow)]
    account, session = desk.account, await desk.session(encode_id("TradingSession", bench.session_id))
    assert account.free["USDT"] - 100_000 == Decimal(session["cash"]) - 10_000
    held = sum((Decimal(each["quantity"]) for each in session["positions"]), Decimal(0))
    assert (account.free["BTC"] - 1, account.locked["BTC"]) == (held, 0)
