"""Bots on a live market: every bar that is stored is traded once, in order, by whoever comes first."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.accounts.models import UserRow
from gql_trader.bots import jobs, lifecycle, repository, types
from gql_trader.bots.guarding import guards_of, waits_for
from gql_trader.bots.jobs import sweep
from gql_trader.bots.models import BotRow, SessionStateRow, TickLeaseRow, TradingSessionRow
from gql_trader.bots.ticks import known, shards, ticking
from gql_trader.bots.types import QUEUE, BotState, Feed, Shard
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.service import find_market
from gql_trader.settings.preferences import update_preferences
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.factories.bots import HOUR, LiveMarket, as_booked, booked
from tests.factories.statements import counted_statements


async def _begin(live: LiveMarket, **changes: Any) -> tuple[UUID, UUID]:
    return await live.bots.begin(**{"market": "LIVE/USD", "feed": Feed()} | changes)


async def _shards(live: LiveMarket) -> list[Shard]:
    async with live.bots.runtime.unit_of_work() as uow:
        return [each.shard for each in await shards.behind(uow)]


async def _tick(live: LiveMarket) -> int:
    """Advance whatever is behind, as a worker does; return how many sessions were advanced."""
    return sum([await ticking.tick(live.bots.runtime, shard) for shard in await _shards(live)])


async def _backtest(live: LiveMarket, session_id: UUID, **changes: Any) -> tuple[Any, Any]:
    session = await live.bots.session(session_id)
    start = session.trade_from
    end = datetime.fromtimestamp((session.last_bar_time + HOUR) / 1000, UTC)
    return await live.bots.backtest(market="LIVE/USD", start=start, end=end, **changes)


async def test_a_live_bot_trades_like_the_backtest_over_its_time(live: LiveMarket) -> None:
    execution = ExecutionSpec(stop_loss=0.02, trailing_stop=0.03, cooldown_bars=2)
    often = {"execution": execution, "parameters": {"fast": 3, "slow": 7}}
    bot_id, session_id = await _begin(live, **often)
    await live.bots.run(session_id)
    assert (await live.bots.bot(bot_id)).state == BotState.RUNNING
    # The bar that was open when the bot was started is not traded: its signal counts, once it has closed.
    await live.close_bars(1)
    assert await _tick(live) == 0
    for count in (1, 1, 7, 1, 40, 1, 1, 100, 1):
        await live.close_bars(count)
        assert await _tick(live) == 1
        assert await _tick(live) == 0
    assert (await live.bots.session(session_id)).bars == 153
    await live.bots.stop(bot_id)
    await live.bots.close(session_id)
    expected, backtest = await _backtest(live, session_id, **often)
    session = await live.bots.session(session_id)
    assert booked(await live.bots.trades(session_id)) == as_booked(expected)
    assert len(expected) >= 5
    assert (session.bars, to_decimal(session.equity)) == (backtest.bars, backtest.final_equity)
    assert backtest.bars == 153


async def test_guards_count_the_days_of_the_users_time_zone(live: LiveMarket) -> None:
    async def prefer(timezone: str) -> None:
        async with live.bots.runtime.unit_of_work() as uow:
            await update_preferences(
                uow, LiveTrading(False, timedelta()), live.bots.trader, {"timezone": timezone}
            )

    async def closed(session_id: UUID) -> list[tuple[Any, ...]]:
        trades = await live.bots.trades(session_id)
        return booked([trade for trade in trades if trade.exit_time is not None])

    await prefer("Asia/Kolkata")
    async with live.bots.runtime.unit_of_work() as uow:
        rules = Rules(entry_long="hour % 2 == 0", exit_long="hour % 2 == 1")
        made = await strategies.create_strategy(uow, live.bots.trader, NewStrategy("Often", "", rules))
    often = {"strategy_id": made.id}
    once = ExecutionSpec(max_daily_trades=1, daily_target=0.5)
    _, session_id = await _begin(live, execution=once, **often)
    _, in_utc = await _begin(live, execution=replace(once, timezone="UTC"), **often)
    # What a session began with holds, also after its owner has moved.
    await prefer("America/New_York")
    # To about noon in India, whenever this runs: shortly after midnight no bar of the day has closed.
    hour = (live.clock.now() + timedelta(hours=121)).astimezone(ZoneInfo("Asia/Kolkata")).hour
    for count in (30, 1, 90 + (12 - hour) % 24):
        await live.close_bars(count)
        await _tick(live)
    session = await live.bots.session(session_id)
    for guard in guards_of(session.execution, session, live.clock.now()):
        assert guard.resets_at is not None
        local = guard.resets_at.astimezone(ZoneInfo("Asia/Kolkata"))
        assert (local.hour, local.minute) == (0, 0)
        assert timedelta(0) < guard.resets_at - live.clock.now() <= timedelta(days=1)
    found = []
    for traded, timezone in ((session_id, "Asia/Kolkata"), (in_utc, None)):
        expected, _ = await _backtest(live, traded, execution=replace(once, timezone=timezone), **often)
        found.append(await closed(traded))
        assert found[-1] == as_booked(expected)[: len(found[-1])]
    # The first signal of each day is traded, and no other.
    assert {trade[3].hour for trade in found[0][1:]} == {19}
    assert {trade[3].hour for trade in found[1][1:]} == {1}


async def test_stopping_trades_what_has_closed_until_then_and_closes_the_position(live: LiveMarket) -> None:
    async def enter_at_once() -> UUID:
        async with live.bots.runtime.unit_of_work() as uow:
            rules = Rules(entry_long="close > 0")
            made = await strategies.create_strategy(uow, live.bots.trader, NewStrategy("Hold", "", rules))
        return made.id

    strategy_id = await enter_at_once()
    bot_id, session_id = await _begin(live, strategy_id=strategy_id)
    await live.bots.run(session_id)
    await live.close_bars(3)
    await _tick(live)
    [trade] = await live.bots.trades(session_id)
    assert (trade.exit_time, trade.number) == (None, 1)
    await live.close_bars(4)
    await live.bots.stop(bot_id)
    # A tick that comes now leaves the session alone: it is being closed.
    assert await _tick(live) == 0
    await live.bots.close(session_id)
    session = await live.bots.session(session_id)
    assert session.bars == 6
    [trade] = await live.bots.trades(session_id)
    assert (trade.exit_reason, trade.exit_time) == ("END_OF_DATA", live.opening(live.stored))
    expected, _ = await _backtest(live, session_id, strategy_id=strategy_id)
    assert booked([trade]) == as_booked(expected)
    assert [order.type for order in await live.bots.orders(session_id)] == ["MARKET", "MARKET"]


async def test_a_shard_is_advanced_by_one_worker_and_each_bar_is_booked_once(live: LiveMarket) -> None:
    sessions = [(await _begin(live))[1] for _ in range(5)]
    await live.close_bars(60)
    [shard] = await _shards(live)
    assert sum(await asyncio.gather(*(ticking.tick(live.bots.runtime, shard) for _ in range(4)))) == 5
    expected, _ = await _backtest(live, sessions[0])
    for session_id in sessions:
        assert (await live.bots.session(session_id)).bars == 59
        closed = [trade for trade in await live.bots.trades(session_id) if trade.exit_time is not None]
        assert booked(closed) == [each for each in as_booked(expected) if each[12] != "END_OF_DATA"]


async def test_a_worker_that_was_taken_for_dead_writes_nothing(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, session_id = await _begin(live)
    await live.close_bars(5)
    [shard] = await _shards(live)
    compute, computing, go_on = ticking._compute, asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(work: Any) -> Any:
        monkeypatch.setattr(ticking, "_compute", compute)
        loop.call_soon_threadsafe(computing.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return compute(work)

    monkeypatch.setattr(ticking, "_compute", slow)
    first = asyncio.create_task(ticking.tick(live.bots.runtime, shard))
    await computing.wait()
    assert await ticking.tick(live.bots.runtime, shard) == 0, "the lease holds"
    async with live.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(update(TickLeaseRow).values(lease_expires_at=func.now()))
    assert await ticking.tick(live.bots.runtime, shard) == 1
    await live.close_bars(1)
    before = await live.bots.session(session_id)
    go_on.set()
    assert await first == 0
    assert await live.bots.session(session_id) == before
    assert before.bars == 4
    assert await _tick(live) == 1


async def test_a_bot_that_is_stopped_during_a_tick_is_not_traded_by_it(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stopped, first), (_, second) = await _begin(live), await _begin(live)
    await live.close_bars(50)
    [shard] = await _shards(live)
    compute = ticking._compute
    loop = asyncio.get_running_loop()

    def stop_then_compute(work: Any) -> Any:
        outcome = compute(work)
        asyncio.run_coroutine_threadsafe(live.bots.stop(stopped), loop).result()
        return outcome

    monkeypatch.setattr(ticking, "_compute", stop_then_compute)
    assert await ticking.tick(live.bots.runtime, shard) == 1
    assert ((await live.bots.session(first)).bars, (await live.bots.session(second)).bars) == (0, 49)
    assert await live.bots.trades(first) == []
    assert (await live.bots.bot(stopped)).state == BotState.STOPPING


async def test_one_bot_that_fails_does_not_stop_the_others(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    (broken, first), (well, second) = await _begin(live), await _begin(live)
    await live.close_bars(5)
    await _tick(live)
    async with live.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(SessionStateRow).where(SessionStateRow.session_id == first).values(state=b"damaged")
        )
    await live.close_bars(5)
    assert await _tick(live) == 1
    failed = await live.bots.bot(broken)
    assert failed.state == BotState.FAILED
    assert "engine failed" in failed.error
    assert (await live.bots.session(first)).ended_at is not None
    assert (await live.bots.bot(well)).state == BotState.RUNNING
    assert (await live.bots.session(second)).bars == 9
    assert await _shards(live) == []


async def test_without_new_candles_nothing_is_traded_and_the_bot_says_what_it_waits_for(
    live: LiveMarket,
) -> None:
    _, session_id = await _begin(live)
    await live.close_bars(2)
    await _tick(live)
    before = await live.bots.session(session_id)
    live.clock.move(hours=3)
    assert await _shards(live) == []
    assert await _tick(live) == 0
    assert await live.bots.session(session_id) == before
    newest = int(live.bars.time[live.stored - 1])
    now = live.clock.now()
    assert waits_for(Interval.H1, newest, now) == live.opening(live.stored)
    assert waits_for(Interval.H1, newest, now - timedelta(hours=3)) is None
    # Late candles are traded in their order.
    await live.store(live.stored + 3)
    assert await _tick(live) == 1
    assert (await live.bots.session(session_id)).bars == before.bars + 3


async def test_bars_from_the_future_are_not_traded_before_their_time(live: LiveMarket) -> None:
    _, session_id = await _begin(live)
    await live.store(live.stored + 10)
    await _tick(live)
    assert (await live.bots.session(session_id)).bars == 0
    live.clock.move(hours=4)
    await _tick(live)
    assert (await live.bots.session(session_id)).bars == 3


async def test_closed_bars_also_advance_bots_on_bars_that_are_made_of_them(live: LiveMarket) -> None:
    _, hourly = await _begin(live)
    _, four_hourly = await _begin(live, interval=Interval.H4)
    await live.close_bars(12)
    async with live.bots.runtime.unit_of_work() as uow:
        market = await find_market(uow, "test:LIVE/USD")
        jobs_ = [each.job for each in await shards.behind(uow, market.id)]
    context = {"runtime": live.bots.runtime}
    await jobs.bars_closed(context, str(market.id), "H1")
    keys = [job.key for job in jobs_]
    assert len(keys) == 2
    assert await live.bots.runtime.queue.waiting(QUEUE, keys) == set(keys)
    for job in jobs_:
        market_id, interval, shard = map(str, job.arguments)
        await jobs.tick(context, market_id, interval, int(shard))
    assert (await live.bots.session(hourly)).bars == 11
    assert (await live.bots.session(four_hourly)).bars in (2, 3)
    assert await _shards(live) == []


async def test_the_sweeper_hands_out_what_the_queue_has_lost(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, session_id = await _begin(live)
    replay_bot = await live.bots.make()
    replayed = await live.bots.start(replay_bot)
    await live.close_bars(2)
    # A crash between the commit and the queue, or a Redis that has lost its memory.
    await live.bots.runtime.queue._redis.flushdb()
    async with live.bots.runtime.unit_of_work() as uow:
        ticks = [each.job.key for each in await shards.behind(uow)]
    expected = {*ticks, lifecycle.run_job(replayed).key, lifecycle.run_job(session_id).key}
    assert len(expected) == 3
    await sweep(live.bots.runtime)
    assert await live.bots.runtime.queue.waiting(QUEUE, list(expected)) == expected
    await _tick(live)
    await live.bots.run(replayed)
    await live.bots.runtime.queue._redis.flushdb()
    await sweep(live.bots.runtime)
    assert await live.bots.runtime.queue.waiting(QUEUE, list(expected)) == set()


async def test_a_stopped_bot_is_not_resumed_and_a_running_one_is(live: LiveMarket) -> None:
    stopped, first = await _begin(live)
    running, second = await _begin(live)
    await live.close_bars(2)
    await _tick(live)
    await live.bots.stop(stopped)
    await live.bots.close(first)
    ended = await live.bots.session(first)
    # A restart of everything: nothing is left but the database.
    await live.bots.runtime.queue._redis.flushdb()
    await live.close_bars(30)
    await sweep(live.bots.runtime)
    assert await _tick(live) == 1
    assert await live.bots.session(first) == ended
    assert (await live.bots.session(second)).bars == 31
    assert (await live.bots.bot(stopped)).state == BotState.STOPPED
    assert (await live.bots.bot(running)).state == BotState.RUNNING


async def test_shards_fill_up_one_after_the_other(live: LiveMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "SHARD_SESSIONS", 2)
    made = [await _begin(live) for _ in range(5)]
    await live.close_bars(1)

    async def numbers() -> list[int]:
        async with live.bots.runtime.unit_of_work() as uow:
            return list(
                await uow.session.scalars(select(TradingSessionRow.shard).order_by(TradingSessionRow.id))
            )

    assert await numbers() == [0, 0, 1, 1, 2]
    await live.bots.stop(made[1][0])
    await live.bots.close(made[1][1])
    await _begin(live)
    assert (await numbers())[-1] == 0
    await live.close_bars(1)
    assert len(await _shards(live)) == 3
    assert types.SHARD_SESSIONS >= 250


async def test_sessions_stand_the_same_whether_they_had_their_bars_one_by_one_or_together(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "SHARD_SESSIONS", 1)
    execution = ExecutionSpec(
        stop_loss=0.01, cooldown_bars=3, max_daily_trades=2, max_daily_loss=0.02, max_drawdown=0.5
    )
    often = {"execution": execution, "parameters": {"fast": 3, "slow": 7}}
    sessions = [(await _begin(live, **often))[1] for _ in range(2)]
    await live.close_bars(2)
    first, second = await _shards(live)
    for _ in range(60):
        assert await ticking.tick(live.bots.runtime, first) == 1
        await live.close_bars(1)
    assert [await ticking.tick(live.bots.runtime, each) for each in (first, second)] == [1, 1]
    async with live.bots.runtime.unit_of_work() as uow:
        rows = (
            await uow.session.execute(
                select(*SessionStateRow.__table__.c).where(SessionStateRow.session_id.in_(sessions))
            )
        ).all()
    ticked, caught_up = sorted((row._asdict() for row in rows), key=lambda row: -row["revision"])
    assert (ticked.pop("revision"), caught_up.pop("revision")) == (61, 1)
    assert ticked.pop("session_id") != caught_up.pop("session_id")
    assert ticked == caught_up
    trades = [booked(await live.bots.trades(session_id)) for session_id in sessions]
    assert trades[0] == trades[1]
    assert len(trades[0]) >= 3


async def test_bots_of_other_parameters_and_first_bars_each_trade_like_their_backtest(
    live: LiveMarket,
) -> None:
    made: list[tuple[UUID, dict[str, Any]]] = []
    for fast, slow, stop in ((3, 7, 0.02), (4, 9, 0.02), (3, 7, 0.03), (5, 11, None)):
        often = {"execution": ExecutionSpec(stop_loss=stop), "parameters": {"fast": fast, "slow": slow}}
        made.append(((await _begin(live, **often))[1], often))
        await live.close_bars(3)
    [shard] = await _shards(live)
    for _ in range(60):
        assert await ticking.tick(live.bots.runtime, shard) == len(made)
        await live.close_bars(1)
    found = []
    for session_id, often in made:
        expected, _ = await _backtest(live, session_id, **often)
        closed = [trade for trade in await live.bots.trades(session_id) if trade.exit_time is not None]
        assert booked(closed) == [each for each in as_booked(expected) if each[12] != "END_OF_DATA"]
        found.append(len(closed))
    assert min(found) >= 1
    assert len(set(found)) > 1


async def test_what_never_changes_of_a_session_is_read_once(live: LiveMarket) -> None:
    await _begin(live)
    for count, reads in ((2, 1), (1, 0), (1, 0)):
        await live.close_bars(count)
        [shard] = await _shards(live)
        with counted_statements(live.bots.desk.engine) as statements:
            assert await ticking.tick(live.bots.runtime, shard) == 1
        assert sum("trading_sessions.parameters" in each for each in statements) == reads
    # Another process, or one that has met many others since, reads it again.
    known._known.clear()
    await live.close_bars(1)
    assert await _tick(live) == 1


async def test_the_number_of_statements_of_a_tick_does_not_grow_with_its_bots(live: LiveMarket) -> None:
    counts = []
    for number in (1, 12):
        for _ in range(number):
            await _begin(live)
        # Their first bar leaves no quarter of an hour behind.
        for _ in range(2):
            await live.close_bars(1)
            await _tick(live)
        await live.close_bars(1)
        [shard] = await _shards(live)
        with counted_statements(live.bots.desk.engine) as statements:
            await ticking.tick(live.bots.runtime, shard)
        # Closed trades are counted in one more; not every tick closes some.
        counts.append(sum("INTO session_totals" not in each for each in statements))
    assert counts[0] == counts[1]
    async with live.bots.runtime.unit_of_work() as uow:
        states = set(await uow.session.scalars(select(BotRow.state)))
    assert states == {BotState.RUNNING}


@pytest.mark.parametrize("change", [{"status": "DISABLED"}, {"role": "VIEWER"}])
async def test_the_bots_of_a_user_who_may_not_trade_any_more_are_stopped(
    live: LiveMarket, change: dict[str, str]
) -> None:
    bot_id, session_id = await _begin(live)
    await sweep(live.bots.runtime)
    await live.bots.run(session_id)
    assert (await live.bots.bot(bot_id)).state == BotState.RUNNING
    async with live.bots.runtime.unit_of_work() as uow:
        await uow.session.execute(update(UserRow).values(**change))
    await sweep(live.bots.runtime)
    assert (await live.bots.bot(bot_id)).state == BotState.STOPPING
    await live.bots.close(session_id)
    await sweep(live.bots.runtime)
    assert (await live.bots.bot(bot_id)).state == BotState.STOPPED


async def test_the_feeds_of_markets_that_bots_trade_are_wanted_as_long_as_they_do(live: LiveMarket) -> None:
    async def wanted() -> list[tuple[str, bool]]:
        async with live.bots.runtime.unit_of_work() as uow:
            rows = await uow.session.execute(
                select(MarketFeedRow.interval, MarketFeedRow.wanted_until > func.clock_timestamp())
            )
            return [(row[0], row[1]) for row in rows]

    await live.bots.begin()
    assert await wanted() == [], "a replay needs no feed"
    bot_id, session_id = await _begin(live)
    assert await wanted() == [("H1", True)]
    over = update(MarketFeedRow).values(wanted_until=func.clock_timestamp())
    for state, still in ((BotState.RUNNING, True), (BotState.STOPPED, False)):
        if state is BotState.STOPPED:
            await live.bots.stop(bot_id)
            await live.bots.close(session_id)
        async with live.bots.runtime.unit_of_work() as uow:
            await uow.session.execute(over)
        await sweep(live.bots.runtime)
        assert await wanted() == [("H1", still)]
