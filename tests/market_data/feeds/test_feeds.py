"""Live feeds from an exchange over HTTP: each candle once, shortly after it closed, and never one made up."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, update

from gql_trader.alerts import service as alerts
from gql_trader.alerts.jobs import watch
from gql_trader.alerts.types import AlertSpec
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.market_data.feeds import states as feeds
from gql_trader.market_data.feeds.jobs import dispatch_feeds, poll_feed
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.market_data.types import BARS_CLOSED, BARS_CLOSED_QUEUE
from gql_trader.market_data.types_feeds import HISTORY_BARS, QUEUE
from tests.factories.candles import assert_same_bars, random_bars, without
from tests.factories.exchange_simulator import CutOff, Pause, Refusal
from tests.market_data.feed_desk import KLINES, FeedDesk

HOUR = 3_600_000


@pytest.fixture
async def market(desk: FeedDesk) -> MarketId:
    """A market whose candles somebody wants; at the exchange it is half past, in the 2,001st candle."""
    market_id = await desk.market_id()
    desk.serve(desk.bars.slice(0, 2_001))
    desk.set_time(2_000)
    await desk.want(market_id)
    return market_id


async def jobs(desk: FeedDesk, market_id: MarketId, hour: int) -> bool:
    """Return whether bots were told that the candle has closed that opened so many hours after the first."""
    key = f"{BARS_CLOSED}:{market_id}:H1:{desk.start + hour * HOUR}"
    return await desk.runtime.queue.waiting(BARS_CLOSED_QUEUE, [key]) == {key}


def times(desk: FeedDesk, told: list[dict[str, Any]]) -> list[tuple[int, bool]]:
    return [((each["time"] - desk.start) // HOUR, each["late"]) for each in told]


async def test_a_new_series_begins_with_some_history_and_grows_as_candles_close(
    desk: FeedDesk, market: MarketId
) -> None:
    feed = await desk.poll(market)
    # The exchange has one candle more, which is not over.
    assert_same_bars(await desk.stored(), desk.bars.slice(2_000 - HISTORY_BARS, 2_000))
    assert (feed.state, feed.error, feed.failures) == ("LIVE", None, 0)
    assert feed.last_time == desk.start + 1_999 * HOUR
    # Half an hour to go, and a moment.
    assert 1_790 < feed.pause < 1_801
    assert await jobs(desk, market, 1_999)
    await desk.poll(market)
    assert len(desk.pages()) == 1, "what is there is not asked for"
    desk.serve(desk.bars.slice(0, 2_002))
    desk.set_time(2_001, 0.01)
    feed = await desk.poll(market)
    assert desk.pages()[1:] == [(2_000, 1)]
    assert_same_bars(await desk.stored(), desk.bars.slice(2_000 - HISTORY_BARS, 2_001))
    assert 3_590 < feed.pause < 3_601
    assert await jobs(desk, market, 2_000)
    assert times(desk, await desk.told(market))[-2:] == [(1_999, False), (2_000, False)]


async def test_what_is_over_is_told_by_the_exchanges_clock(desk: FeedDesk, market: MarketId) -> None:
    # Two hours behind ours, the exchange has sent candles that are over by our clock alone.
    desk.serve(desk.bars)
    await desk.poll(market)
    assert (await desk.stored()).time[-1] == desk.start + 1_999 * HOUR
    # An hour ahead of ours, it has closed what is not over by our clock.
    ahead = 2_500 + 3
    late = random_bars(4, seed=9, start=desk.start + 2_500 * HOUR)
    desk.serve(late)
    desk.set_time(ahead)
    feed = await desk.poll(market)
    assert (feed.state, (await desk.stored()).time[-1]) == ("LIVE", desk.start + (ahead - 1) * HOUR)


async def test_a_candle_that_is_late_is_asked_for_again_and_said_to_be_late(
    desk: FeedDesk, market: MarketId
) -> None:
    await desk.poll(market)
    desk.serve(desk.bars.slice(0, 2_000))
    desk.set_time(2_001, 0.05)
    feed = await desk.poll(market)
    assert (feed.state, feed.error) == ("LIVE", None)
    assert feed.pause < 3.0
    desk.set_time(2_001, 0.5)
    feed = await desk.poll(market)
    assert feed.state == "LATE"
    closed = f"{from_milliseconds(desk.start + 2_001 * HOUR):%Y-%m-%d %H:%M}"
    assert feed.error == f"binance has not sent the candle yet that closed at {closed} (UTC)."
    assert 10.0 < feed.pause < 20.0
    desk.set_time(2_001, 20)
    assert 25.0 < (await desk.poll(market)).pause <= 30.0
    assert len(await desk.stored()) == HISTORY_BARS, "nothing is made up"
    assert times(desk, await desk.told(market))[-1] == (1_999, False)
    desk.serve(desk.bars.slice(0, 2_001))
    feed = await desk.poll(market)
    assert (feed.state, feed.error, feed.last_time) == ("LIVE", None, desk.start + 2_000 * HOUR)


async def test_an_exchange_that_cannot_be_asked_fails_the_feed_until_it_can(
    desk: FeedDesk, market: MarketId
) -> None:
    await desk.poll(market)
    before = await desk.stored()
    desk.set_time(2_001)
    desk.simulator.faults.add(KLINES, Refusal(503), times=3)
    feed = await desk.poll(market)
    assert (feed.state, feed.failures) == ("FAILING", 1)
    assert feed.error == "Binance cannot be reached or is out of order; try again later."
    assert feed.pause <= 1.0
    desk.simulator.faults.add(KLINES, CutOff(), times=3)
    assert (await desk.poll(market)).failures == 2
    desk.simulator.faults.add(KLINES, Refusal(429, "20"))
    feed = await desk.poll(market)
    assert (feed.state, feed.error) == ("FAILING", "Binance asks us to slow down; try again in 20 seconds.")
    assert 19.0 < feed.pause < 25.0
    assert_same_bars(await desk.stored(), before)
    query = '{ market(symbol: "BTC/USDT") { feeds { interval state error lastCandle } } }'
    (shown,) = (await desk.client.execute(query)).data["market"]["feeds"]
    assert (shown["interval"], shown["state"], shown["error"]) == ("H1", "FAILING", feed.error)
    desk.waits.slept.append(30.0)
    feed = await desk.poll(market)
    assert (feed.state, feed.failures, feed.error) == ("LIVE", 0, None)
    assert_same_bars(await desk.stored(), desk.bars.slice(2_000 - HISTORY_BARS, 2_001))


async def test_a_market_or_an_exchange_that_does_not_exist_is_said_so(desk: FeedDesk) -> None:
    for name, said in (
        ("binance:NO/SUCH", "Binance has no market NO/SUCH."),
        ("nowhere:BTC/USD", "There is no exchange 'nowhere' to ask."),
    ):
        market_id = await desk.market_id(name)
        await desk.want(market_id)
        feed = await desk.poll(market_id)
        assert (feed.state, feed.error) == ("FAILING", said)
        assert 590 < feed.pause <= 600


async def test_candles_missed_while_nobody_asked_are_brought_in_in_order(
    desk: FeedDesk, market: MarketId
) -> None:
    async with desk.runtime.unit_of_work() as uow:
        await save_candles(uow, market, Interval.H1, desk.bars.slice(0, 10))
    feed = await desk.poll(market)
    assert (feed.state, feed.last_time) == ("CATCHING_UP", desk.start + 1_009 * HOUR)
    assert feed.pause <= 0.0
    feed = await desk.poll(market)
    assert (feed.state, feed.last_time) == ("LIVE", desk.start + 1_999 * HOUR)
    assert desk.pages() == [(10, 1_000), (1_010, 990)]
    assert_same_bars(await desk.stored(), desk.bars.slice(0, 2_000))


async def test_a_candle_that_was_left_out_is_asked_for_again_for_a_while(
    desk: FeedDesk, market: MarketId
) -> None:
    desk.serve(without(desk.bars.slice(0, 2_000), slice(1_400, 1_401), slice(1_997, 1_998)))
    feed = await desk.poll(market)
    assert feed.holes == [desk.start + 1_997 * HOUR]
    assert len(await desk.stored()) == HISTORY_BARS - 1
    desk.serve(desk.bars.slice(0, 2_001))
    desk.set_time(2_001)
    feed = await desk.poll(market)
    assert desk.pages()[1:] == [(1_997, 4)]
    assert feed.holes == []
    # Of the four that came two are new, and one of them comes after its time.
    assert times(desk, await desk.told(market))[-2:] == [(1_997, True), (2_000, False)]
    assert len(await desk.stored()) == HISTORY_BARS + 1
    # A hole that is not filled is given up after ten more candles.
    desk.serve(without(desk.bars, slice(2_001, 2_002)))
    for hour in range(2_003, 2_015):
        desk.set_time(hour)
        feed = await desk.poll(market)
    assert feed.holes == []
    assert desk.pages()[-1] == (2_013, 1)


async def test_of_two_pollers_one_asks(desk: FeedDesk, market: MarketId) -> None:
    pause = Pause()
    desk.simulator.faults.add(KLINES, pause)
    first = asyncio.create_task(desk.poll(market))
    await pause.arrived.wait()
    await poll_feed({"runtime": desk.runtime}, str(market), "H1")
    pause.released.set()
    assert (await first).fence == 1
    assert len(desk.pages()) == 1
    assert len(await desk.told(market)) == 100


async def test_a_poller_that_lost_its_lease_stores_and_tells_nothing(
    desk: FeedDesk, market: MarketId
) -> None:
    pause = Pause()
    desk.simulator.faults.add(KLINES, pause)
    slow = asyncio.create_task(desk.poll(market))
    await pause.arrived.wait()
    # It hangs for longer than its lease: another worker takes over.
    async with desk.runtime.unit_of_work() as uow:
        past = func.now() - func.make_interval(0, 0, 0, 1)
        await uow.session.execute(
            update(MarketFeedRow).values(lease_expires_at=past, fence=MarketFeedRow.fence + 1)
        )
    pause.released.set()
    await slow
    assert await desk.told(market) == []
    assert len(await desk.stored()) == 0
    assert not await jobs(desk, market, 1_999)
    feed = await desk.poll(market)
    assert (feed.state, feed.fence, len(await desk.stored())) == ("LIVE", 3, HISTORY_BARS)
    assert len(await desk.told(market)) == 100


async def test_only_feeds_that_are_due_and_wanted_are_handed_out(desk: FeedDesk, market: MarketId) -> None:
    async def waiting(fence: int) -> bool:
        await dispatch_feeds(desk.runtime)
        key = f"poll_feed:{market}:H1:{fence}"
        return await desk.runtime.queue.waiting(QUEUE, [key]) == {key}

    assert await waiting(0)
    await desk.poll(market)
    assert not await waiting(1)
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(update(MarketFeedRow).values(next_poll_at=func.now()))
    assert await waiting(1)
    await desk.poll(market)
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(MarketFeedRow).values(next_poll_at=func.now(), wanted_until=func.now())
        )
    assert not await waiting(2)
    query = '{ market(symbol: "BTC/USDT") { feeds { state } } }'
    assert (await desk.client.execute(query)).data["market"]["feeds"] == [{"state": "IDLE"}]
    await desk.want(market)
    assert await waiting(2)


async def test_what_is_resampled_grows_with_what_it_is_made_of(desk: FeedDesk, market: MarketId) -> None:
    async with desk.runtime.unit_of_work() as uow:
        other = (await ensure_market(uow, "binance", "ETH/USDT")).id
        await save_candles(uow, other, Interval.M5, random_bars(10, Interval.M5))
        await feeds.want(uow, [(other, Interval.H1), (other, Interval.D1), (other, Interval.M5)])
        await feeds.want(uow, [(other, Interval.M1)])
        rows = await feeds.feeds_of_markets(uow, [other, market])
    assert {(row.market_id, row.interval) for row in rows} == {
        (other, "M1"),
        (other, "M5"),
        (market, "H1"),
    }


async def test_alerts_have_their_candles_brought_in(desk: FeedDesk) -> None:
    market_id = await desk.market_id("binance:ETH/USDT")
    async with desk.runtime.unit_of_work() as uow:
        await alerts.create_alert(
            uow, desk.actor, AlertSpec("binance:ETH/USDT", Interval.M15, "close > 1"), 10
        )
    await watch(desk.runtime)
    assert (await desk.feed(market_id, Interval.M15)).state == "CATCHING_UP"
