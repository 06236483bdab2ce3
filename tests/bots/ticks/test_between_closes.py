"""Between the closes of bars: positions at the newest price, exits told before they are booked."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import func, select

from gql_trader.bots import jobs
from gql_trader.bots.models import SessionMarkRow, TickLeaseRow
from gql_trader.bots.ticks import marking, shards, ticking
from gql_trader.bots.types import QUEUE, Feed, Shard, status_stream
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_price
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules
from gql_trader.market_data.feeds.forming import Told, forming_bar, told_candles
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.service import find_market, save_candles
from gql_trader.market_data.types_feeds import stream_of
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.bots.bots_api import Api
from tests.factories.actors import make_access_token
from tests.factories.bots import LiveMarket, as_booked, booked
from tests.factories.statements import counted_statements

_SPEC = ExecutionSpec(stop_loss=0.006, take_profit=0.004, slippage=0.001)


async def _market(live: LiveMarket) -> UUID:
    async with live.bots.runtime.unit_of_work() as uow:
        return (await find_market(uow, "test:LIVE/USD")).id


async def _begin(live: LiveMarket, rules: Rules, **changes: Any) -> tuple[UUID, UUID]:
    async with live.bots.runtime.unit_of_work() as uow:
        name = f"Rules {live.stored}"
        made = await strategies.create_strategy(uow, live.bots.trader, NewStrategy(name, "", rules))
    given = {"market": "LIVE/USD", "feed": Feed(), "strategy_id": made.id, "execution": _SPEC} | changes
    return await live.bots.begin(**given)


async def _close_and_tick(live: LiveMarket, count: int = 1) -> None:
    await live.close_bars(count)
    async with live.bots.runtime.unit_of_work() as uow:
        behind = await shards.behind(uow)
    for each in behind:
        await ticking.tick(live.bots.runtime, each.shard)


async def _tell(live: LiveMarket, low: float = 0.0, high: float = 1e9, close: float | None = None) -> None:
    """Have the feed tell of the bar that is under way, cut down to some prices."""
    at, market_id = live.stored, await _market(live)
    event = {
        "time": int(live.bars.time[at]),
        "open": float(live.bars.open[at]),
        "high": min(high, float(live.bars.high[at])),
        "low": max(low, float(live.bars.low[at])),
        "close": float(live.bars.close[at]) if close is None else close,
        "volume": 1.0,
        "closed": False,
    }
    await live.bots.runtime.events.publish(stream_of(market_id, Interval.H1), event)


async def _check(live: LiveMarket) -> int:
    return await marking.check(live.bots.runtime, Shard(await _market(live), Interval.H1, 0))  # type: ignore[arg-type]


ALWAYS = Rules(entry_long="close > 0")


async def test_what_a_bar_shows_before_its_close_is_what_is_booked_at_its_close(live: LiveMarket) -> None:
    _, session_id = await _begin(live, Rules(entry_long="close > open", exit_long="close < open * 0.998"))
    await live.bots.run(session_id)
    await _close_and_tick(live, 2)
    seen: dict[str, int] = {}
    for _ in range(60):
        live.clock.move(minutes=10)
        await _tell(live)
        marked = await _check(live)
        before = await live.bots.session(session_id)
        held = [each for each in await live.bots.trades(session_id) if each.exit_time is None]
        assert marked == len(held)
        live.clock.move(minutes=-10)
        await _close_and_tick(live)
        after = await live.bots.session(session_id)
        # The mark was of the bar before.
        assert after.mark_equity is None
        if held:
            assert (before.mark_price, before.mark_equity) == (after.last_close, after.equity)
            [trade] = [each for each in await live.bots.trades(session_id) if each.id == held[0].id]
            assert trade.exit_reason == before.due_reason
            if before.due_reason is not None:
                assert trade.exit_price == to_price(before.due_price)
                seen[before.due_reason] = seen.get(before.due_reason, 0) + 1
    assert set(seen) == {"SIGNAL", "STOP_LOSS", "TAKE_PROFIT"}


async def test_looking_at_positions_books_nothing(live: LiveMarket) -> None:
    bot_id, session_id = await _begin(live, ALWAYS)
    await live.bots.run(session_id)
    for _ in range(25):
        await _close_and_tick(live)
        live.clock.move(minutes=2)
        await _tell(live)
        await _check(live)
        live.clock.move(minutes=-2)
    await live.bots.stop(bot_id)
    await live.bots.close(session_id)
    session = await live.bots.session(session_id)
    end = live.opening(live.stored)
    expected, _ = await live.bots.backtest(
        market="LIVE/USD",
        start=session.trade_from,
        end=end,
        execution=_SPEC,
        strategy_id=session.strategy_id,
    )
    assert booked(await live.bots.trades(session_id)) == as_booked(expected)
    assert len(expected) > 1
    # What is over is valued at its last close.
    assert session.mark_equity is None


async def test_positions_are_looked_at_every_so_often_and_only_those(live: LiveMarket) -> None:
    runtime = live.bots.runtime
    _, session_id = await _begin(live, ALWAYS, check_interval_seconds=600)
    await _begin(live, ALWAYS, check_interval_seconds=3600)
    await live.bots.begin(market="LIVE/USD", feed=Feed())
    await live.bots.run(session_id)

    async def planned() -> Any:
        async with runtime.unit_of_work() as uow:
            jobs_ = [job.key for job in await marking.due_jobs(uow)]
            return await uow.session.scalar(select(TickLeaseRow.check_at)), jobs_

    assert await planned() == (None, [])
    await _close_and_tick(live, 2)
    plan, due = await planned()
    assert timedelta(minutes=9, seconds=50) < plan - live.clock.now() <= timedelta(minutes=10)
    assert due == []
    live.clock.move(minutes=9)
    assert await _check(live) == 0
    live.clock.move(minutes=1)
    _, due = await planned()
    await jobs.pace(runtime)
    assert await runtime.queue.waiting(QUEUE, due) == set(due)
    assert len(due) == 1
    # Nothing is known of the bar that is under way: nothing is made up.
    assert await _check(live) == 0
    live.clock.move(minutes=10)
    await _tell(live)
    # Of the two with a position one is looked at as seldom as bars close.
    assert await _check(live) == 1
    plan, due = await planned()
    assert timedelta(minutes=9, seconds=50) < plan - live.clock.now() <= timedelta(minutes=10)
    assert due == []
    async with runtime.unit_of_work() as uow:
        assert await uow.session.scalar(select(func.count()).select_from(SessionMarkRow)) == 1
    # Prices of minutes are asked for as long as it holds something.
    await jobs.sweep(runtime)
    async with runtime.unit_of_work() as uow:
        wanted = set(await uow.session.scalars(select(MarketFeedRow.interval)))
    assert wanted == {"H1", "M1"}


async def test_many_positions_cost_as_many_statements_as_one(live: LiveMarket) -> None:
    counts = []
    for more in (1, 4):
        for _ in range(more):
            _, session_id = await live.bots.begin(
                market="LIVE/USD", feed=Feed(), strategy_id=(await _strategy(live)), execution=_SPEC
            )
            await live.bots.run(session_id)
        await _close_and_tick(live, 2)
        live.clock.move(minutes=5)
        await _tell(live, low=float(live.bars.open[live.stored]))
        with counted_statements(live.bots.desk.engine) as statements:
            assert await _check(live) >= more
        counts.append(len(statements))
        live.clock.move(minutes=-5)
    assert counts[0] == counts[1]


async def _strategy(live: LiveMarket) -> UUID:
    async with live.bots.runtime.unit_of_work() as uow:
        found = await strategies.find_strategy(uow, live.bots.trader, slug="buy-and-hold")
    assert found is not None
    return found.id


async def test_a_bar_under_way_is_made_of_what_is_stored_and_of_what_was_told(live: LiveMarket) -> None:
    runtime, market_id = live.bots.runtime, await _market(live)
    opening = int(live.bars.time[live.stored])
    minute = Interval.M1.milliseconds

    async def forming(*told: Told) -> Bars | None:
        async with runtime.unit_of_work() as uow:
            return await forming_bar(uow, runtime.arrays, market_id, Interval.H1, told)

    assert await told_candles(runtime.events, market_id, Interval.H1) == []
    assert await forming() is None
    prices = np.array([[10.0, 12.0, 9.0, 11.0], [11.0, 11.5, 8.0, 8.5], [8.5, 30.0, 8.5, 20.0]])
    open_, high, low, close = (np.ascontiguousarray(prices[:, at]) for at in range(4))
    # The last of these minutes is not over yet by the clock: it is half past.
    time = opening + np.array([0, 10, 30]) * minute
    async with runtime.unit_of_work() as uow:
        bars = Bars(time.astype(np.int64), open_, high, low, close, np.ones(3), minute)
        await save_candles(uow, market_id, Interval.M1, bars)  # type: ignore[arg-type]
    found = await forming()
    assert found is not None
    assert [float(getattr(found, name)[0]) for name in ("open", "high", "low", "close")] == [10, 12, 8, 8.5]
    assert (int(found.time[0]), found.interval) == (opening, 11 * minute)
    told = Told(opening + 20 * minute, opening + 20 * minute + 5, 9.0, 13.0, 7.5, 12.5)
    before = Told(opening - minute, opening, 1.0, 99.0, 1.0, 1.0)
    found = await forming(told, before)
    assert found is not None
    assert [float(getattr(found, name)[0]) for name in ("open", "high", "low", "close")] == [
        10,
        13,
        7.5,
        12.5,
    ]
    assert found.interval == 20 * minute + 5


async def test_a_stop_that_is_reached_is_told_at_once(live: LiveMarket, api: Api) -> None:
    _, session_id = await _begin(live, ALWAYS, execution=ExecutionSpec(stop_loss=0.01, slippage=0.001))
    await live.bots.run(session_id)
    await _close_and_tick(live, 2)
    query = """{ tradingSessions(status: ACTIVE) { nodes {
        equity profit markedAt lastBarTime
        positions { markPrice unrealizedProfit exitDue { reason price since } }
        trades { nodes { status exitPrice exitReason } } } } }"""

    async def shows() -> Any:
        # Tokens do not last as long as bars.
        token = await make_access_token(live.bots.runtime, live.bots.trader)
        [session] = (await api.do(query, api.client.signed_in(token)))["nodes"]
        return session

    before = await shows()
    assert before["positions"][0]["exitDue"] is None
    # Bars go by until one reaches the stop; it is shown in two parts.
    [trade] = [each for each in await live.bots.trades(session_id) if each.exit_time is None]
    stop = float(trade.entry_price) * 0.99
    while float(live.bars.low[live.stored]) > stop:
        await _close_and_tick(live)
        [*_, trade] = await live.bots.trades(session_id)
        stop = float(trade.entry_price) * 0.99
    events = live.bots.runtime.events
    status = status_stream(live.bots.trader.user_id)
    quiet = await events.last_cursor(status)
    live.clock.move(minutes=5)
    await _tell(live, low=stop + 0.01, close=stop + 0.01)
    assert await _check(live) == 1
    assert await events.last_cursor(status) == quiet
    shown = await shows()
    [position] = shown["positions"]
    assert (float(position["markPrice"]), position["exitDue"]) == (stop + 0.01, None)
    assert shown["markedAt"] != shown["lastBarTime"]
    live.clock.move(minutes=5)
    await _tell(live)
    assert await _check(live) == 1
    assert await events.last_cursor(status) != quiet
    shown = await shows()
    [position] = shown["positions"]
    due = position["exitDue"]
    assert due["reason"] == "STOP_LOSS"
    # Nothing is booked yet.
    assert shown["trades"]["nodes"][-1]["status"] == "OPEN"
    live.clock.move(minutes=-10)
    await _close_and_tick(live)
    shown = await shows()
    closed = [each for each in shown["trades"]["nodes"] if each["status"] == "CLOSED"][-1]
    assert (closed["exitReason"], closed["exitPrice"]) == ("STOP_LOSS", due["price"])
