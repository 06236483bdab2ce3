"""Exchanges' streams of candles over WebSocket: they make a feed livelier, and store nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import func, update

from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.infra.event_streams import BEGINNING
from gql_trader.market_data.feeds import jobs_streams
from gql_trader.market_data.feeds.jobs_streams import watch_feeds
from gql_trader.market_data.models_feeds import MarketFeedRow
from gql_trader.market_data.types_feeds import HISTORY_BARS, stream_of
from tests.graphql_client import until
from tests.market_data.feed_desk import FeedDesk

HOUR = 3_600_000


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_streams, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(jobs_streams, "TELL_SECONDS", 0.0)


@pytest.fixture
async def market(desk: FeedDesk) -> MarketId:
    """A market with a live feed; at the exchange it is half past, in the 2,001st candle."""
    market_id = await desk.market_id()
    desk.serve(desk.bars.slice(0, 2_001))
    desk.set_time(2_000)
    await desk.want(market_id)
    assert (await desk.poll(market_id)).state == "LIVE"
    return market_id


@asynccontextmanager
async def watching(desk: FeedDesk) -> AsyncIterator[None]:
    task = asyncio.create_task(watch_feeds(desk.runtime))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def form(desk: FeedDesk, market: MarketId, hour: int, close: str) -> dict[str, Any]:
    """Have the exchange stream a candle until followers are told of it; return what they are told.

    As with any stream, what comes while the last message is still being handled is seen with the next one.
    """
    candle = (desk.start + hour * HOUR, "900", "1000", "800", close, "2")
    feed = desk.runtime.events.follow(stream_of(market, Interval.H1), BEGINNING, idle_seconds=0.05)
    async with asyncio.timeout(60), aclosing(feed):
        async for event in feed:
            if event is None:
                desk.simulator.tell(desk.simulator.markets["BTCUSDT"], "1h", candle, closed=False)
            elif not event.data["closed"] and event.data["close"] == float(close):
                return event.data
    raise AssertionError("the stream of events has ended")


async def test_followers_see_the_candle_form_and_a_close_is_asked_for_at_once(
    desk: FeedDesk, market: MarketId
) -> None:
    async with watching(desk):
        await until(lambda: bool(desk.simulator.streams))
        assert desk.simulator.subscribed == ["btcusdt@kline_1h"]
        first = await form(desk, market, 2_000, "901.5")
        second = await form(desk, market, 2_000, "902.5")
        assert first["time"] == second["time"] == desk.start + 2_000 * HOUR
        assert (second["open"], second["high"], second["low"], second["volume"]) == (900, 1000, 800, 2)
        assert (await desk.feed(market)).pause > 1_700
        await form(desk, market, 2_001, "903.5")
        assert (await desk.feed(market)).pause <= 0.0
    # Nothing that the stream said is stored.
    assert len(await desk.stored()) == HISTORY_BARS
    assert not desk.simulator.streams


async def test_one_worker_follows_a_stream_and_only_while_it_is_wanted(
    desk: FeedDesk, market: MarketId
) -> None:
    async with watching(desk), watching(desk):
        await until(lambda: bool(desk.simulator.streams))
        await form(desk, market, 2_000, "901.5")
        assert len(desk.simulator.streams) == 1
        async with desk.runtime.unit_of_work() as uow:
            await uow.session.execute(update(MarketFeedRow).values(wanted_until=func.now()))
        await until(lambda: not desk.simulator.streams)
        await desk.want(market)
        await until(lambda: bool(desk.simulator.streams))
    assert desk.simulator.subscribed == ["btcusdt@kline_1h"] * 2


async def test_without_streams_there_is_polling_as_before(desk: FeedDesk, market: MarketId) -> None:
    async with watching(desk):
        await until(lambda: bool(desk.simulator.streams))
        desk.simulator.hang_up()
        await until(lambda: not desk.simulator.streams)
        desk.set_time(2_001)
        feed = await desk.poll(market)
        assert (feed.state, feed.last_time) == ("LIVE", desk.start + 2_000 * HOUR)
