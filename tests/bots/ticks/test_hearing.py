"""A new bar costs old bots what it costs young ones: what their strategies said is not computed again."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from gql_trader.bots import repository
from gql_trader.bots.ticks import shards, ticking
from gql_trader.bots.ticks.hearing import KEPT_BARS, Hearings, Source, hearings, listen
from gql_trader.bots.types import Feed
from gql_trader.core.ids import SeriesId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import CompiledRules, Rules, compile_rules
from gql_trader.engine.rules.continuing import ContinuedSignals
from gql_trader.infra.keyset import page_request
from gql_trader.market_data.service import find_market, save_candles
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.factories.bots import HOUR, LiveMarket, as_booked, booked
from tests.factories.random_bars import random_bars

PAGE = 100
SOURCE = Source(SeriesId(uuid7()), 0)
RULES = compile_rules(
    Rules("crossover(sma(close, 3), ema(close, 8))", "rsi(close, 5) > 70", plots=("atr(4)", "obv()"))
)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bars strategies were computed on, each time."""
    counts: list[int] = []
    extend = ContinuedSignals.extend

    def counted(self: ContinuedSignals, bars: Bars) -> Any:
        counts.append(len(bars))
        return extend(self, bars)

    monkeypatch.setattr(ContinuedSignals, "extend", counted)
    return counts


async def _begin(live: LiveMarket, **changes: Any) -> UUID:
    usual = {"market": "LIVE/USD", "feed": Feed(), "parameters": {"fast": 3, "slow": 7}}
    return (await live.bots.begin(**usual | changes))[1]


async def _said(live: LiveMarket, session_id: UUID) -> list[tuple[Any, ...]]:
    async with live.bots.runtime.unit_of_work() as uow:
        pages = await repository.pages_of_decisions(
            uow.session, live.bots.trader.user_id, [session_id], page_request(first=PAGE)
        )
    return [(row.time, row.signals, row.said) for row in reversed(pages[session_id].rows)]


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


async def _expected(live: LiveMarket, session_id: UUID) -> list[tuple[Any, ...]]:
    """Return what a strategy says at the latest bars of a session, computed over all of them at once."""
    session = await live.bots.session(session_id)
    async with live.bots.runtime.unit_of_work() as uow:
        definition = await strategies.load_version(uow, session.strategy_id, session.strategy_version)
    code = strategies.compiled(definition, live.bots.runtime.plugins)
    assert isinstance(code, CompiledRules)
    begin = int(np.searchsorted(live.bars.time, session.anchor_time))
    bars = live.bars.slice(begin, live.stored)
    signals, lines = code.signals_and_lines(bars, session.parameters)
    columns = (signals.entry_long, signals.exit_long, signals.entry_short, signals.exit_short)
    first = int(np.searchsorted(bars.time, int(session.trade_from.timestamp() * 1000)))
    return [
        (
            int(bars.time[at]),
            sum(int(column[at]) << place for place, column in enumerate(columns)),
            {line.text: _defined(float(line.values[at])) for line in lines},
        )
        for at in range(max(first, len(bars) - PAGE), len(bars))
    ]


async def test_a_bar_is_computed_once_and_alone(live: LiveMarket, computed: list[int]) -> None:
    sessions = [await _begin(live), await _begin(live)]
    for count in (3, 1, 1, 5, 1):
        await live.close_bars(count)
        assert await live.advance() == 2
    # The first time with what the averages need before; from then on only what is new, once for both.
    assert computed[0] > 3
    assert computed[1:] == [1, 1, 5, 1]
    said = [await _said(live, session_id) for session_id in sessions]
    assert said[0] == said[1] == await _expected(live, sessions[0])
    assert len(said[0]) == 10


async def test_a_worker_that_has_not_heard_a_strategy_says_the_same(
    live: LiveMarket, computed: list[int]
) -> None:
    async with live.bots.runtime.unit_of_work() as uow:
        rules = Rules(
            'close > on("4h", sma(close, 3)) and rsi(close, 4) < 60',
            "crossunder(close, supertrend(5, 1.0).line) or barssince(close > open) > 3",
            plots=("macd(close, 3, 8, 4).hist", 'on("4h", atr(3))', "adx(5)"),
        )
        made = await strategies.create_strategy(uow, live.bots.trader, NewStrategy("Much", "", rules))
    much = {"execution": ExecutionSpec(stop_loss=0.02), "strategy_id": made.id, "parameters": {}}
    session_id = await _begin(live, **much)
    for at in range(45):
        await live.close_bars(1 + at % 3)
        if at % 20 == 10:
            for key in list(hearings._kept):
                hearings.forget(key)
        assert await live.advance() == 1 or at == 0
    assert sum(count > 10 for count in computed) == 1 + 2
    assert await _said(live, session_id) == await _expected(live, session_id)
    session = await live.bots.session(session_id)
    end = datetime.fromtimestamp((session.last_bar_time + HOUR) / 1000, UTC)
    expected, backtest = await live.bots.backtest(
        market="LIVE/USD", start=session.trade_from, end=end, **much
    )
    closed = [trade for trade in await live.bots.trades(session_id) if trade.exit_time is not None]
    assert booked(closed) == [each for each in as_booked(expected) if each[12] != "END_OF_DATA"]
    assert len(closed) >= 3
    assert session.bars == backtest.bars


async def test_corrected_candles_are_heard_from_the_beginning(live: LiveMarket, computed: list[int]) -> None:
    session_id = await _begin(live)
    for _ in range(3):
        await live.close_bars(2)
        await live.advance()
    at = live.stored - 4
    close = live.bars.close.copy()
    close[at] = (live.bars.high[at] + live.bars.low[at]) / 2
    live.bars = replace(live.bars, close=close)
    async with live.bots.runtime.unit_of_work() as uow:
        market = await find_market(uow, "test:LIVE/USD")
        await save_candles(uow, market.id, Interval.H1, live.bars.slice(at, at + 1))
    del computed[:]
    for _ in range(2):
        await live.close_bars(1)
        await live.advance()
    assert computed[0] > 3
    assert computed[1:] == [1]
    # What was said before stays as it was; from then on it is what the corrected candles say.
    assert (await _said(live, session_id))[-2:] == (await _expected(live, session_id))[-2:]


async def test_sessions_that_lag_behind_hear_what_the_others_have_heard(
    live: LiveMarket, monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    monkeypatch.setattr(repository, "SHARD_SESSIONS", 1)
    sessions = [await _begin(live), await _begin(live)]
    await live.close_bars(2)
    await live.advance()
    await live.close_bars(1)
    async with live.bots.runtime.unit_of_work() as uow:
        first, second = [each.shard for each in await shards.behind(uow)]
    for _ in range(5):
        await live.close_bars(1)
        assert await ticking.tick(live.bots.runtime, first) == 1
    del computed[:]
    assert await ticking.tick(live.bots.runtime, second) == 1
    assert computed == []
    # Longer ago than is remembered: the next tick computes it all.
    for _ in range(KEPT_BARS + 5):
        await live.close_bars(1)
        assert await ticking.tick(live.bots.runtime, first) == 1
    assert await ticking.tick(live.bots.runtime, second) == 0
    assert await ticking.tick(live.bots.runtime, second) == 1
    trades = [booked(await live.bots.trades(each)) for each in sessions]
    assert trades[0] == trades[1]
    bars = {(await live.bots.session(each)).bars for each in sessions}
    assert bars == {1 + 1 + 5 + KEPT_BARS + 5}


async def test_bars_made_of_shorter_ones_are_heard_one_by_one(live: LiveMarket, computed: list[int]) -> None:
    session_id = await _begin(live, interval=Interval.H4)
    await live.close_bars(9)
    assert await live.advance() == 1
    del computed[:]
    for _ in range(12):
        await live.close_bars(1)
        await live.advance()
    assert computed == [1, 1, 1]
    assert len(await _said(live, session_id)) == (await live.bots.session(session_id)).bars >= 4


def test_what_is_asked_again_is_answered_from_memory(computed: list[int]) -> None:
    bars = random_bars(200, seed=2)
    _, hearing = listen(RULES, {}, SOURCE, bars.slice(0, 150))
    whole = RULES.signals_and_lines(bars)
    for stop, after, wanted in ((151, 149, 1), (151, 140, 10), (150, 148, 1), (180, 150, 29), (181, 165, 15)):
        heard = hearing.hear(bars.slice(100, stop), int(bars.time[after]))
        assert heard is not None
        np.testing.assert_array_equal(heard.bars.time, bars.time[stop - wanted : stop])
        np.testing.assert_array_equal(heard.signals.exit_long, whole[0].exit_long[stop - wanted : stop])
        for line, expected in zip(heard.lines, whole[1], strict=True):
            assert (line.text, line.plot) == (expected.text, expected.plot)
            np.testing.assert_array_equal(line.values, expected.values[stop - wanted : stop])
    assert computed == [150, 1, 29, 1]
    assert hearing.hear(bars.slice(100, 181), int(bars.time[160])) is None


def test_a_bounded_number_of_strategies_is_kept_the_oldest_go_first() -> None:
    bars = random_bars(50)
    made = [listen(RULES, {}, SOURCE, bars)[1] for _ in range(3)]
    keys = [uuid7() for _ in made]
    kept = Hearings(2 * made[0].size)
    kept.put(keys[0], made[0])
    kept.put(keys[1], made[1])
    assert kept.get(keys[0], SOURCE) is made[0]
    kept.put(keys[2], made[2])
    assert [kept.get(key, SOURCE) for key in keys] == [made[0], None, made[2]]
    # Put again it counts once; on other candles it is of no use.
    kept.put(keys[2], made[1])
    assert kept.get(keys[0], SOURCE) is made[0]
    assert kept.get(keys[2], replace(SOURCE, rewrites=1)) is None
    assert kept.get(keys[2], SOURCE) is None
    assert kept.get(None, SOURCE) is None


async def test_longer_bars_that_there_are_no_candles_for_hold_nobody_up(live: LiveMarket) -> None:
    session_id = await _begin(live, interval=Interval.H4)
    await live.close_bars(9)
    assert await live.advance() == 1
    before = (await live.bots.session(session_id)).last_bar_time
    # The exchange stands still for most of a day: the candle after that ends bars that are not there.
    opening = Interval.H4.floor(int(live.bars.time[live.stored])) + 5 * 4 * HOUR
    at = int(np.searchsorted(live.bars.time, opening))
    live.clock.move(hours=at + 1 - live.stored)
    live.stored = at
    await live.store(at + 1)
    await live.advance()
    await live.close_bars(4)
    assert await live.advance() == 1
    assert (await live.bots.session(session_id)).last_bar_time == opening > before
