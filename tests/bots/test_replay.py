"""A replayed bot is its backtest: the same ledger, trade for trade and cent for cent, however it is run."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, text, update

from gql_trader.bots import jobs
from gql_trader.bots.models import SessionStateRow
from gql_trader.bots.types import BotState, Feed, Replay
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import to_decimal
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from tests.factories.backtests import BARS
from tests.factories.bots import BotDesk, as_booked, bar_time, booked
from tests.factories.clock import MovableClock

_SPECS = st.builds(
    ExecutionSpec,
    fill=st.sampled_from(FillModel),
    direction=st.sampled_from(Direction),
    slippage=st.sampled_from([0.0, 0.0005]),
    sizing=st.sampled_from([Sizing(), Sizing(SizingKind.CASH, 2500.0), Sizing(SizingKind.QUANTITY, 3.5)]),
    stop_loss=st.sampled_from([None, 0.01]),
    take_profit=st.sampled_from([None, 0.02]),
    trailing_stop=st.sampled_from([None, 0.015]),
    minimal_roi=st.sampled_from([(), ((0, 0.03), (600, 0.005))]),
    leverage=st.sampled_from([1.0, 3.0]),
    funding_rate_per_day=st.sampled_from([0.0, 0.001]),
    max_daily_loss=st.sampled_from([None, 0.01]),
    max_daily_trades=st.sampled_from([None, 1]),
    cooldown_bars=st.sampled_from([0, 5]),
    timezone=st.sampled_from([None, "America/New_York"]),
)


async def _replayed_equals_backtest(
    bots: BotDesk, execution: ExecutionSpec, start: int, **changes: Any
) -> int:
    replay = Feed(Replay(bar_time(start), bar_time(BARS - 7)))
    bot_id, session_id = await bots.begin(execution=execution, feed=replay, **changes)
    await bots.run(session_id)
    expected, backtest = await bots.backtest(
        execution=execution, start=bar_time(start), end=bar_time(BARS - 7), **changes
    )
    session = await bots.session(session_id)
    trades = booked(await bots.trades(session_id))
    assert trades == as_booked(expected)
    assert to_decimal(session.equity) == backtest.final_equity
    assert session.bars == backtest.bars
    assert (await bots.bot(bot_id)).state == BotState.STOPPED
    return len(trades)


async def test_the_ledger_of_a_replay_is_that_of_the_backtest_whatever_the_spec(
    bots: BotDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STEP_BARS", 97)
    cases: list[tuple[ExecutionSpec, int]] = []

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_SPECS, st.sampled_from([0, 20, 500, 1500]))
    def collect(spec: ExecutionSpec, start: int) -> None:
        cases.append((spec, start))

    collect()
    traded = [await _replayed_equals_backtest(bots, spec, start) for spec, start in cases]
    assert len(traded) >= 10
    assert sum(traded) > 100


async def test_a_replay_that_is_interrupted_anywhere_goes_on_where_it_was(
    bots: BotDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STEP_BARS", 250)
    execution = ExecutionSpec(stop_loss=0.02, max_daily_loss=0.02, cooldown_bars=3)
    bot_id, session_id = await bots.begin(execution=execution)
    write, steps = jobs._write, 0

    async def die(*arguments: Any) -> bool:
        # A worker that is killed before it commits: what it has computed is lost, and its lease stays.
        nonlocal steps
        steps += 1
        if steps in (2, 5):
            raise asyncio.CancelledError
        return await write(*arguments)

    monkeypatch.setattr(jobs, "_write", die)
    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await bots.run(session_id)
        assert (await bots.bot(bot_id)).state == BotState.RUNNING
    await bots.run(session_id)
    expected, backtest = await bots.backtest(execution=execution, start=bar_time(500))
    assert booked(await bots.trades(session_id)) == as_booked(expected)
    assert (await bots.session(session_id)).bars == backtest.bars == BARS - 500
    orders = await bots.orders(session_id)
    assert [order.number for order in orders] == list(range(1, 2 * len(expected) + 1))
    assert len({order.client_order_id for order in orders}) == len(orders)


async def test_two_workers_at_once_trade_each_bar_once(
    bots: BotDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STEP_BARS", 100)
    _, session_id = await bots.begin()

    async def without_lease() -> None:
        async with bots.runtime.unit_of_work() as uow:
            await uow.session.execute(update(SessionStateRow).values(lease_expires_at=func.now()))
        await bots.run(session_id)

    await asyncio.gather(bots.run(session_id), *(without_lease() for _ in range(4)))
    while (await bots.session(session_id)).ended_at is None:
        await without_lease()
    expected, backtest = await bots.backtest(start=bar_time(500))
    assert booked(await bots.trades(session_id)) == as_booked(expected)
    assert (await bots.session(session_id)).bars == backtest.bars


async def test_running_an_ended_session_again_changes_nothing(bots: BotDesk) -> None:
    bot_id, session_id = await bots.begin()
    await bots.run(session_id)
    before = await bots.session(session_id), booked(await bots.trades(session_id))
    await bots.run(session_id)
    await bots.close(session_id)
    assert (await bots.session(session_id), booked(await bots.trades(session_id))) == before
    assert (await bots.bot(bot_id)).state == BotState.STOPPED


async def test_equity_is_kept_at_every_trade_and_at_the_end(bots: BotDesk) -> None:
    _, session_id = await bots.begin()
    await bots.run(session_id)
    points = {point.time: point.equity for point in await bots.points(session_id)}
    session = await bots.session(session_id)
    assert points[to_milliseconds(bar_time(BARS - 1))] == session.equity
    trades = await bots.trades(session_id)
    assert all(to_milliseconds(trade.entry_time) in points for trade in trades)
    # A replay of fewer bars than the bound keeps all of them.
    assert len(points) == BARS - 500


async def test_a_paced_replay_trades_no_bar_before_its_time(bots: BotDesk, clock: MovableClock) -> None:
    hours_a_second = 3600.0
    replay = Replay(bar_time(500), bar_time(BARS), speed=hours_a_second)
    bot_id, session_id = await bots.begin(feed=Feed(replay))
    await bots.run(session_id)
    begun = await bots.session(session_id)
    assert begun.bars < 100
    assert begun.due_at is not None
    clock.move(seconds=200)
    await bots.run(session_id)
    later = await bots.session(session_id)
    assert 200 <= later.bars < 300
    assert (await bots.bot(bot_id)).state == BotState.RUNNING
    clock.move(seconds=1300)
    await bots.run(session_id)
    assert (await bots.bot(bot_id)).state == BotState.STOPPED
    expected, _ = await bots.backtest(start=bar_time(500))
    assert booked(await bots.trades(session_id)) == as_booked(expected)


async def test_a_replay_that_is_stopped_equals_a_backtest_up_to_there(
    bots: BotDesk, clock: MovableClock
) -> None:
    replay = Replay(bar_time(500), bar_time(BARS), speed=3600.0)
    bot_id, session_id = await bots.begin(feed=Feed(replay))
    clock.move(seconds=700)
    await bots.run(session_id)
    await bots.stop(bot_id)
    await bots.run(session_id)
    assert (await bots.bot(bot_id)).state == BotState.STOPPING
    await bots.close(session_id)
    session = await bots.session(session_id)
    assert (await bots.bot(bot_id)).state == BotState.STOPPED
    assert session.ended_at is not None
    expected, backtest = await bots.backtest(start=bar_time(500), end=bar_time(500 + session.bars))
    assert booked(await bots.trades(session_id)) == as_booked(expected)
    assert to_decimal(session.equity) == backtest.final_equity
    points = await bots.points(session_id)
    assert np.isclose(points[-1].equity, session.equity, rtol=0, atol=0)


async def test_without_candles_a_replay_fails_and_says_so(bots: BotDesk) -> None:
    bot_id, session_id = await bots.begin()
    async with bots.runtime.unit_of_work() as uow:
        await uow.session.execute(text("DELETE FROM candle_chunks"))
        await uow.session.execute(text("DELETE FROM price_series"))
    await bots.run(session_id)
    bot = await bots.bot(bot_id)
    assert (bot.state, bot.error) == (BotState.FAILED, "The candles of this replay are gone.")
    assert (await bots.session(session_id)).ended_at is not None
