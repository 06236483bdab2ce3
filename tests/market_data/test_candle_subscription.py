"""Following a market's candles over WebSocket: none that closed is missed, none is told twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.market_data.feeds import following
from gql_trader.market_data.service import save_candles
from gql_trader.market_data.store.resampling import resample
from tests.graphql_client import GraphQLSocket
from tests.market_data.feed_desk import FeedDesk

HOUR = 3_600_000
QUERY = """subscription($interval: Interval!, $after: String) {
    candles(market: "binance:BTC/USDT", interval: $interval, after: $after) {
        cursor closed candle { time open high low close volume } } }"""


@pytest.fixture
async def market(desk: FeedDesk) -> MarketId:
    """A market with 1,990 hourly candles, where the exchange has ten more that are over."""
    market_id = await desk.market_id()
    async with desk.runtime.unit_of_work() as uow:
        await save_candles(uow, market_id, Interval.H1, desk.bars.slice(0, 1_990))
    desk.serve(desk.bars.slice(0, 2_000))
    desk.set_time(2_000)
    return market_id


async def follow(
    socket: GraphQLSocket, interval: str = "H1", after: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    async for payload in socket.results(QUERY, {"interval": interval, "after": after}):
        yield payload["data"]["candles"]


async def take(told: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [await anext(told) for _ in range(count)]


def shown(bars: Bars, at: int) -> dict[str, Any]:
    """Return a candle as the API shows it, prices as numbers; volumes may be added up in another order."""
    prices = {name: float(getattr(bars, name)[at]) for name in ("open", "high", "low", "close")}
    opened = f"{from_milliseconds(int(bars.time[at])):%Y-%m-%dT%H:%M:%S}.000Z"
    return {"time": opened, **prices, "volume": pytest.approx(float(bars.volume[at]))}


def as_numbers(event: dict[str, Any]) -> dict[str, Any]:
    candle = event["candle"]
    return {name: value if name == "time" else float(value) for name, value in candle.items()}


async def test_the_last_candle_comes_first_then_each_as_it_closes(desk: FeedDesk, market: MarketId) -> None:
    async with desk.socket() as socket:
        told = follow(socket)
        (first,) = await take(told, 1)
        assert (first["closed"], as_numbers(first)) == (True, shown(desk.bars, 1_989))
        # Following is wanting: there is a feed now.
        assert (await desk.poll(market)).state == "LIVE"
        later = await take(told, 10)
        assert [as_numbers(each) for each in later] == [shown(desk.bars, at) for at in range(1_990, 2_000)]
        assert all(each["closed"] for each in later)
    async with desk.socket() as socket:
        # Whoever comes back gets what was missed, then what comes.
        told = follow(socket, after=later[6]["cursor"])
        again = await take(told, 3)
        assert [as_numbers(each) for each in again] == [shown(desk.bars, at) for at in range(1_997, 2_000)]
        desk.serve(desk.bars.slice(0, 2_001))
        desk.set_time(2_001)
        await desk.poll(market)
        assert as_numbers((await take(told, 1))[0]) == shown(desk.bars, 2_000)


async def test_whoever_was_away_for_long_is_told_every_candle_from_there_on(
    desk: FeedDesk, market: MarketId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 700)
    async with desk.socket() as socket:
        told = follow(socket, after=f"{int(desk.bars.time[99])}-0")
        missed = await take(told, 1_890)
        opened = [each["candle"]["time"] for each in missed]
        assert opened == [shown(desk.bars, at)["time"] for at in range(100, 1_990)]
        assert as_numbers(missed[-1]) == shown(desk.bars, 1_989)
        # What closes then follows on, also where it was many at once.
        monkeypatch.setattr(following, "PAGE", 3)
        await desk.poll(market)
        later = await take(told, 10)
        assert [as_numbers(each) for each in later] == [shown(desk.bars, at) for at in range(1_990, 2_000)]


async def test_candles_that_are_made_of_shorter_ones_are_all_told_too(
    desk: FeedDesk, market: MarketId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 100)
    whole = resample(desk.bars.slice(0, 1_990), Interval.H4)
    closed = int(whole.time[-1]) + 4 * HOUR <= int(desk.bars.time[1_989]) + HOUR
    count = len(whole) - (not closed)
    async with desk.socket() as socket:
        told = follow(socket, "H4", after=f"{int(whole.time[0])}-0")
        missed = await take(told, count - 1)
    assert [each["candle"]["time"] for each in missed] == [shown(whole, at)["time"] for at in range(1, count)]
    assert all(each["closed"] for each in missed)


async def test_what_was_stored_without_an_event_is_told_all_the_same(
    desk: FeedDesk, market: MarketId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.1)
    async with desk.socket() as socket:
        told = follow(socket)
        await take(told, 1)
        # As by an import, or by a worker that died between the commit and the announcement.
        async with desk.runtime.unit_of_work() as uow:
            await save_candles(uow, market, Interval.H1, desk.bars.slice(1_990, 1_993))
        found = await take(told, 3)
        assert [as_numbers(each) for each in found] == [shown(desk.bars, at) for at in range(1_990, 1_993)]
        await desk.poll(market)
        found = await take(told, 7)
        assert [as_numbers(each) for each in found] == [shown(desk.bars, at) for at in range(1_993, 2_000)]


async def test_candles_of_a_higher_interval_form_from_those_that_close(
    desk: FeedDesk, market: MarketId
) -> None:
    # Four hourly candles make one; the first whole one of the series may begin later than it.
    at = 1_990
    while Interval.H4.floor(int(desk.bars.time[at])) != desk.bars.time[at]:
        at += 1
    async with desk.runtime.unit_of_work() as uow:
        await save_candles(uow, market, Interval.H1, desk.bars.slice(0, at + 1))
    desk.serve(desk.bars.slice(0, at + 5))
    desk.set_time(at + 5)
    whole = resample(desk.bars.slice(0, at + 4), Interval.H4)
    async with desk.socket() as socket:
        told = follow(socket, "H4")
        last, forming = await take(told, 2)
        assert (last["closed"], as_numbers(last)) == (True, shown(whole, len(whole) - 2))
        assert (forming["closed"], as_numbers(forming)) == (False, shown(desk.bars, at))
        assert forming["cursor"] == last["cursor"]
        assert (await desk.poll(market)).state == "LIVE"
        second, third, closed, following_one = await take(told, 4)
        assert [each["closed"] for each in (second, third, closed, following_one)] == [
            False,
            False,
            True,
            False,
        ]
        assert float(second["candle"]["close"]) == desk.bars.close[at + 1]
        assert float(third["candle"]["high"]) == desk.bars.high[at : at + 3].max()
        assert as_numbers(closed) == shown(whole, len(whole) - 1)
        assert as_numbers(following_one) == shown(desk.bars, at + 4)


async def test_a_market_without_candles_begins_with_its_first(desk: FeedDesk) -> None:
    market = await desk.market_id()
    desk.serve(desk.bars.slice(1_999, 2_000))
    desk.set_time(2_000)
    async with desk.socket() as socket:
        told = follow(socket)
        first = asyncio.create_task(take(told, 1))
        async with asyncio.timeout(20):
            while desk.runtime.events.followed == 0:  # noqa: ASYNC110 -- nothing is sent until it closes
                await asyncio.sleep(0.01)
        await desk.poll(market)
        assert as_numbers((await first)[0]) == shown(desk.bars, 1_999)


# The last one is a cursor, but of a candle that opens in a hundred years.
@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("x", "Not a cursor"),
        ("99999999999999999-0", "Not a cursor"),
        ("4900000000000-0", "No candle has this cursor yet."),
    ],
)
async def test_what_is_no_cursor_is_refused(
    desk: FeedDesk, market: MarketId, after: str, message: str
) -> None:
    async with desk.socket() as socket:
        await socket.start(QUERY, {"interval": "H1", "after": after})
        [error] = (await socket.receive())["payload"]["errors"]
    assert message in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_market_that_does_not_exist_cannot_be_followed(desk: FeedDesk) -> None:
    async with desk.socket() as socket:
        await socket.start(QUERY, {"interval": "H1"})
        message = await socket.receive()
    assert message["payload"]["errors"][0]["message"] == "There is no market 'binance:BTC/USDT'."
