"""Following a run: the present state, then what happens, to the end, whatever goes missing meanwhile."""

import asyncio
from contextlib import aclosing
from uuid import UUID, uuid4

import pytest

from gql_trader.backtests import lifecycle
from gql_trader.backtests.following import News, follow
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.types import RunStatus, stream_of
from gql_trader.core.errors import InvalidInput, NotFound
from gql_trader.infra import following
from gql_trader.infra.event_streams import BEGINNING
from gql_trader.infra.stream_reader import stream_key
from tests.factories.actors import make_actor
from tests.factories.backtests import Desk


async def _follow(desk: Desk, backtest_id: UUID, after: str | None = None) -> list[News]:
    runtime = desk.runtime
    feed = follow(runtime.unit_of_work, runtime.events, desk.trader, backtest_id, after)
    async with asyncio.timeout(20), aclosing(feed):
        return [news async for news in feed]


async def test_a_fresh_follower_is_told_the_present_state_first(desk: Desk) -> None:
    row, _ = await desk.submit()
    runtime = desk.runtime
    feed = follow(runtime.unit_of_work, runtime.events, desk.trader, row.id, None)
    async with asyncio.timeout(20), aclosing(feed):
        first = await anext(feed)
        assert (first.status, first.progress, first.final) == (RunStatus.QUEUED, 0.0, None)
        running = asyncio.create_task(run_backtest({"runtime": runtime}, str(row.id)))
        rest = [news async for news in feed]
        await running
    assert [news.status for news in rest[:-1]] == [RunStatus.RUNNING] * (len(rest) - 1)
    assert rest[-1].status is RunStatus.COMPLETED
    assert rest[-1].final is not None
    assert rest[-1].final.total_return is not None
    assert all(news.final is None for news in rest[:-1])


async def test_a_follower_of_an_ended_run_is_told_its_end_alone(desk: Desk) -> None:
    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    [news] = await _follow(desk, row.id)
    assert (news.status, news.progress) == (RunStatus.COMPLETED, 1.0)
    assert news.final is not None


async def test_a_cursor_replays_exactly_what_came_after_it(desk: Desk) -> None:
    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    everything = await _follow(desk, row.id, BEGINNING)
    assert len(everything) > 5
    for place in (0, 3, len(everything) - 2):
        later = await _follow(desk, row.id, everything[place].cursor)
        assert [news.cursor for news in later] == [news.cursor for news in everything[place + 1 :]]
    [end] = await _follow(desk, row.id, everything[-1].cursor)
    assert end.status is RunStatus.COMPLETED


async def test_behind_a_cursor_that_was_never_told_the_present_state_comes_first(desk: Desk) -> None:
    row, _ = await desk.submit()
    runtime = desk.runtime
    feed = follow(runtime.unit_of_work, runtime.events, desk.trader, row.id, "4900000000000-0")
    async with asyncio.timeout(20), aclosing(feed):
        first = await anext(feed)
        assert (first.status, first.progress) == (RunStatus.QUEUED, 0.0)
        await run_backtest({"runtime": runtime}, str(row.id))
        rest = [news async for news in feed]
    # And its steps, not the end alone.
    assert [news.status for news in rest[:3]] == [RunStatus.RUNNING] * 3
    assert rest[-1].status is RunStatus.COMPLETED


async def test_the_end_is_told_even_if_its_event_was_never_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.1)
    row, _ = await desk.submit()
    runtime = desk.runtime
    feed = follow(runtime.unit_of_work, runtime.events, desk.trader, row.id, None)
    async with asyncio.timeout(20), aclosing(feed):
        await anext(feed)
        await run_backtest({"runtime": runtime}, str(row.id))
        # The stream is gone before its follower has read it, as after the loss of Redis's memory.
        await runtime.events._redis.delete(stream_key(stream_of(row.id)))
        rest = [news async for news in feed]
    assert rest[-1].final is not None
    assert rest[-1].status is RunStatus.COMPLETED


async def test_what_a_worker_still_tells_of_a_cancelled_run_is_not_passed_on(desk: Desk) -> None:
    row, _ = await desk.submit()
    runtime = desk.runtime
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, row.id, 60.0)
    assert claimed is not None
    async with runtime.unit_of_work() as uow:
        assert await lifecycle.cancel(uow, row.id)
    cancelled = await runtime.events.last_cursor(stream_of(row.id))
    late = {"status": "RUNNING", "progress": 0.7, "attempt": claimed[0].attempt}
    await runtime.events.publish(stream_of(row.id), late)
    assert [news.status for news in await _follow(desk, row.id, cancelled)] == [RunStatus.CANCELLED]


async def test_a_run_is_queued_before_a_worker_tells_that_it_runs(desk: Desk) -> None:
    enqueue = desk.runtime.queue.enqueue

    async def at_once(name: str, *arguments: str, queue: str, key: str) -> bool:
        await run_backtest({"runtime": desk.runtime}, arguments[0])
        return await enqueue(name, *arguments, queue=queue, key=key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.runtime.queue, "enqueue", at_once)
        row, _ = await desk.submit()
    told = [event["status"] for event in await desk.events(row.id)]
    assert (told[0], told[1], told[-1]) == ("QUEUED", "RUNNING", "COMPLETED")


async def test_another_users_run_does_not_exist(desk: Desk) -> None:
    row, _ = await desk.submit()
    stranger = await make_actor(desk.runtime, "stranger")
    for actor, key in ((stranger, row.id), (desk.trader, uuid4())):
        with pytest.raises(NotFound):
            await anext(follow(desk.runtime.unit_of_work, desk.runtime.events, actor, key, None))


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1-0", "99999999999999999999999-0"])
async def test_a_bad_cursor_is_refused(desk: Desk, cursor: str) -> None:
    row, _ = await desk.submit()
    with pytest.raises(InvalidInput):
        await _follow(desk, row.id, cursor)


async def test_following_leaves_nothing_behind(desk: Desk) -> None:
    row, _ = await desk.submit()
    feed = follow(desk.runtime.unit_of_work, desk.runtime.events, desk.trader, row.id, None)
    await anext(feed)
    # The next event is one that only the stream can tell of, so that the stream is being followed.
    async with desk.runtime.unit_of_work() as uow:
        await lifecycle.claim(uow, row.id, 60.0)
    await anext(feed)
    assert desk.runtime.events.followed == 1
    await feed.aclose()
    assert desk.runtime.events.followed == 0
