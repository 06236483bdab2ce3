"""Events: what is published is followed, in order, once, across outages and by slow readers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from statistics import median
from time import perf_counter
from typing import Any

import pytest

from gql_trader.core.errors import InvalidInput
from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.infra.event_streams import BEGINNING, Event, EventStreams, EventTransportError


@pytest.fixture
async def streams(redis_url: str) -> AsyncIterator[EventStreams]:
    streams = EventStreams(redis_url)
    yield streams
    await streams.close()


async def _take(streams: EventStreams, stream: str, after: str, count: int) -> list[Any]:
    """Return the numbers in the next ``count`` events."""
    numbers = []
    async with asyncio.timeout(60), aclosing(streams.follow(stream, after, idle_seconds=30)) as events:
        async for event in events:
            assert event is not None
            numbers.append(event.data["n"])
            if len(numbers) == count:
                return numbers
    raise AssertionError("follow ended")


async def test_follow_replays_what_came_after_the_cursor_and_goes_on_live(streams: EventStreams) -> None:
    cursors = [await streams.publish("s", {"n": number}) for number in range(3)]
    follower = asyncio.create_task(_take(streams, "s", cursors[0], 4))
    await streams.publish("s", {"n": 3})
    await streams.publish("s", {"n": 4})
    assert await follower == [1, 2, 3, 4]


async def test_last_cursor_is_where_new_events_begin(streams: EventStreams) -> None:
    assert await streams.last_cursor("s") == BEGINNING
    cursor = await streams.publish("s", {"n": 1})
    assert await streams.last_cursor("s") == cursor
    await streams.publish("s", {"n": 2})
    assert await _take(streams, "s", cursor, 1) == [2]


async def test_streams_do_not_mix(streams: EventStreams) -> None:
    followers = [asyncio.create_task(_take(streams, name, BEGINNING, 2)) for name in ("a", "b")]
    for number in (1, 2):
        await streams.publish("a", {"n": number})
        await streams.publish("b", {"n": -number})
    assert await asyncio.gather(*followers) == [[1, 2], [-1, -2]]


async def test_a_stream_added_while_the_reader_waits_is_read_at_once(streams: EventStreams) -> None:
    async with aclosing(streams.follow("quiet", BEGINNING, idle_seconds=0.05)) as quiet:
        assert await anext(quiet) is None  # the reader now waits for the quiet stream
        await streams.publish("s", {"n": 1})
        started = perf_counter()
        assert await _take(streams, "s", BEGINNING, 1) == [1]
        assert perf_counter() - started < 0.5


async def test_none_comes_whenever_nothing_has_come_for_the_idle_time(streams: EventStreams) -> None:
    async with aclosing(streams.follow("s", BEGINNING, idle_seconds=0.02)) as events:
        assert await anext(events) is None
        assert await anext(events) is None
        cursor = await streams.publish("s", {"n": 1})
        while (event := await anext(events)) is None:
            pass
        assert event == Event(cursor, {"n": 1})
        assert await anext(events) is None


async def test_a_second_follower_with_an_older_cursor_gets_the_past_too(streams: EventStreams) -> None:
    cursor = [await streams.publish("s", {"n": number}) for number in range(500)][-2]
    async with aclosing(streams.follow("s", cursor, idle_seconds=30)) as first:
        event = await anext(first)
        assert event is not None
        assert event.data["n"] == 499
        second = asyncio.create_task(_take(streams, "s", BEGINNING, 501))
        await streams.publish("s", {"n": 500})
        assert await second == list(range(501))


async def test_a_cursor_from_the_future_harms_nobody_else(streams: EventStreams) -> None:
    async with aclosing(streams.follow("s", "99999999999999-0", idle_seconds=0.02)) as ahead:
        assert await anext(ahead) is None
        await streams.publish("s", {"n": 1})
        assert await _take(streams, "s", BEGINNING, 1) == [1]
        assert await anext(ahead) is None


async def test_a_slow_follower_stops_nobody_and_misses_nothing(streams: EventStreams) -> None:
    async with aclosing(streams.follow("s", BEGINNING, idle_seconds=30)) as slow:
        await streams.publish("s", {"n": 0})
        first = await anext(slow)  # and takes no more for now
        fast = asyncio.create_task(_take(streams, "s", BEGINNING, 900))
        for number in range(1, 900):
            await streams.publish("s", {"n": number})
        assert await fast == list(range(900))
        assert first is not None
        rest = [await anext(slow) for _ in range(899)]
        assert [event.data["n"] for event in rest if event is not None] == list(range(1, 900))


@pytest.mark.parametrize(
    "cursor", ["", "0", "-", "$", "1-", "a-1", "1-1-1", "18446744073709551616-0", "+", "01-0"]
)
async def test_a_malformed_cursor_is_refused_at_the_call(streams: EventStreams, cursor: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        streams.follow("s", cursor, idle_seconds=1)
    assert refusal.value.path == ("after",)


async def test_closing_a_follower_leaves_nothing_behind(streams: EventStreams) -> None:
    tasks_before = len(asyncio.all_tasks())
    followers = [streams.follow(f"s{number % 10}", BEGINNING, idle_seconds=0.01) for number in range(100)]
    assert await asyncio.gather(*(anext(follower) for follower in followers)) == [None] * 100
    assert streams.followed == 10
    for follower in followers:
        await follower.aclose()
    assert streams.followed == 0
    assert len(asyncio.all_tasks()) == tasks_before + 1  # the reader, shared by all that will follow

    waiting = asyncio.create_task(_take(streams, "s", BEGINNING, 1))
    await asyncio.sleep(0)
    assert streams.followed == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert streams.followed == 0


async def test_a_stream_keeps_about_its_maximum_length(redis_url: str) -> None:
    streams = EventStreams(redis_url, maximum_length=100)
    for number in range(500):
        await streams.publish("s", {"n": number})
    numbers = []
    async with aclosing(streams.follow("s", BEGINNING, idle_seconds=0.1)) as events:
        while (event := await anext(events)) is not None:
            numbers.append(event.data["n"])
    assert numbers == list(range(numbers[0], 500))
    assert 100 <= len(numbers) <= 200
    await streams.close()


async def test_an_outage_loses_nothing_and_ends_no_follower(own_valkey: EmbeddedServers) -> None:
    assert own_valkey.redis_url is not None
    streams = EventStreams(own_valkey.redis_url)
    async with aclosing(streams.follow("s", BEGINNING, idle_seconds=0.05)) as events:
        await streams.publish("s", {"n": 1})
        first = await anext(events)
        assert first is not None
        assert first.data["n"] == 1

        assert own_valkey.valkey_child is not None
        own_valkey.valkey_child.process.kill()
        own_valkey.valkey_child.process.wait()
        started = perf_counter()
        with pytest.raises(EventTransportError):
            await streams.publish("s", {"n": 2})
        with pytest.raises(EventTransportError):
            await streams.last_cursor("s")
        assert perf_counter() - started < 2.5
        assert await anext(events) is None  # the caller still gets its chance to look elsewhere

        own_valkey.restart_dead()
        other = EventStreams(own_valkey.redis_url)
        await other.publish("s", {"n": 3})  # while the first process may not have noticed yet
        await streams.publish("s", {"n": 4})
        numbers: list[int] = []
        async with asyncio.timeout(60):
            while len(numbers) < 2:
                if (event := await anext(events)) is not None:
                    numbers.append(event.data["n"])
        assert numbers == [3, 4]
        await other.close()
    await streams.close()


async def test_an_event_arrives_within_milliseconds(streams: EventStreams) -> None:
    delays = []
    async with aclosing(streams.follow("s", BEGINNING, idle_seconds=30)) as events:
        await streams.publish("s", {"n": -1})
        await anext(events)
        for number in range(50):
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            started = perf_counter()
            await streams.publish("s", {"n": number})
            await waiting
            delays.append(perf_counter() - started)
    assert median(delays) < 0.02, f"{median(delays) * 1000:.1f} ms"
