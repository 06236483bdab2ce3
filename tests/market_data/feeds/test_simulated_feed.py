"""Simulated prices that go on: the same whoever computes them and when, on the venue `demo` only."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import DAY, MINUTE, Interval
from gql_trader.engine.bars import Bars
from gql_trader.market_data.feeds import simulated
from gql_trader.market_data.service import save_candles
from gql_trader.market_data.store.resampling import resample
from tests.factories.candles import assert_same_bars, random_bars
from tests.market_data.feed_desk import FeedDesk

START = 20_000 * DAY


def minutes(start: int, count: int, opening: float = 100.0) -> Bars:
    return simulated.minutes("BTC/USD", start, count, opening, 2)


def test_the_walk_is_the_same_in_one_piece_and_in_many() -> None:
    whole = minutes(START, 3_000)
    first = minutes(START, 1_777)
    second = minutes(START + 1_777 * MINUTE, 3_000 - 1_777, float(first.close[-1]))
    assert_same_bars(first, whole.slice(0, 1_777))
    assert_same_bars(second, whole.slice(1_777, 3_000))
    other = simulated.minutes("ETH/USD", START, 3_000, 100.0, 2)
    assert not np.array_equal(other.close, whole.close)


def test_its_candles_are_sound_and_go_on_from_one_another() -> None:
    bars = minutes(START, 20_000)
    assert np.array_equal(bars.open[1:], bars.close[:-1])
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.low > 0).all()
    assert np.array_equal(bars.close, np.round(bars.close, 2))
    assert 0.0004 < np.std(np.diff(np.log(bars.close))) < 0.0008
    cheap = simulated.minutes("BTC/USD", START, 5_000, 0.01, 2)
    assert cheap.low.min() == 0.01


def test_a_minute_forms_towards_what_it_will_be() -> None:
    closed = minutes(START, 1)
    assert simulated.forming_minute("BTC/USD", START, 1_000, 100.0, 2) is None
    halfway = simulated.forming_minute("BTC/USD", START, MINUTE // 2, 100.0, 2)
    assert halfway is not None
    assert halfway.high[0] <= closed.high[0]
    assert halfway.low[0] >= closed.low[0]
    assert halfway.volume[0] == pytest.approx(closed.volume[0] / 2)
    ended = simulated.forming_minute("BTC/USD", START, MINUTE, 100.0, 2)
    assert ended is not None
    assert (ended.close[0], ended.high[0]) == (closed.close[0], closed.high[0])


async def _demo(desk: FeedDesk, interval: Interval, bars_ago: int) -> Any:
    """Store ten simulated candles of a market, so many before now, and want more."""
    market_id = await desk.market_id("demo:BTC/USD")
    now = to_milliseconds(desk.runtime.clock.now())
    start = interval.floor(now) - (bars_ago + 10) * interval.milliseconds
    async with desk.runtime.unit_of_work() as uow:
        await save_candles(uow, market_id, interval, random_bars(10, interval, start=start))
    await desk.want(market_id, interval)
    return market_id


async def test_simulated_minutes_go_on_to_the_present(desk: FeedDesk) -> None:
    market_id = await _demo(desk, Interval.M1, 1_500)
    feed = await desk.poll(market_id, Interval.M1)
    # The minute may end while this runs.
    feed = await desk.poll(market_id, Interval.M1)
    assert feed.state == "LIVE"
    stored = await desk.stored(Interval.M1, "demo:BTC/USD")
    assert 1_510 <= len(stored) <= 1_512
    expected = minutes(int(stored.time[10]), len(stored) - 10, float(stored.close[9]))
    assert_same_bars(stored.slice(10, len(stored)), expected)
    assert feed.pause <= 5.0, "the minute is told as it forms"
    assert desk.simulator.received == []


async def test_simulated_hours_are_made_of_the_markets_minutes(desk: FeedDesk) -> None:
    market_id = await _demo(desk, Interval.H1, 5)
    hours = await desk.stored(Interval.H1, "demo:BTC/USD")
    first = int(hours.time[-1]) + 3_600_000
    async with desk.runtime.unit_of_work() as uow:
        await save_candles(uow, market_id, Interval.M1, random_bars(150, Interval.M1, start=first))
    feed = await desk.poll(market_id)
    # Two hours and a half are stored as minutes; the rest has to wait until they have gone on.
    assert (feed.state, feed.last_time) in (("LATE", first + 3_600_000), ("CATCHING_UP", first + 3_600_000))
    await desk.poll(market_id, Interval.M1)
    feed = await desk.poll(market_id)
    assert feed.state == "LIVE"
    found = await desk.stored(Interval.H1, "demo:BTC/USD")
    made = resample(await desk.stored(Interval.M1, "demo:BTC/USD"), Interval.H1)
    assert_same_bars(found.slice(10, len(found)), made.slice(0, len(found) - 10))


async def test_hours_without_minutes_are_simulated_all_the_same(desk: FeedDesk) -> None:
    market_id = await _demo(desk, Interval.H1, 100)
    feed = await desk.poll(market_id)
    feed = await desk.poll(market_id)
    assert feed.state == "LIVE"
    found = await desk.stored(Interval.H1, "demo:BTC/USD")
    assert 110 <= len(found) <= 111
    walked = minutes(int(found.time[10]), 60 * (len(found) - 10), float(found.close[9]))
    assert_same_bars(found.slice(10, len(found)), resample(walked, Interval.H1))


async def test_nothing_is_simulated_where_that_is_off(desk: FeedDesk) -> None:
    market_id = await _demo(desk, Interval.M1, 5)
    desk.runtime = replace(
        desk.runtime, settings=desk.runtime.settings.model_copy(update={"simulated_feed": False})
    )
    feed = await desk.poll(market_id, Interval.M1)
    assert (feed.state, feed.error) == ("FAILING", "Simulated prices do not go on: SIMULATED_FEED is off.")
    assert len(await desk.stored(Interval.M1, "demo:BTC/USD")) == 10
