"""Following notifications: what is unread, what was missed, what comes, whatever Redis forgets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidInput
from gql_trader.infra.keyset import PageRequest
from gql_trader.infra.stream_reader import stream_key
from gql_trader.notifications import following, service
from gql_trader.notifications.following import cursor_of, follow
from gql_trader.notifications.types import NotificationKind, NotificationRecord, stream_of
from gql_trader.runtime import Runtime
from tests.factories.actors import make_actor
from tests.notifications.notices import approve

Feed = AsyncGenerator[NotificationRecord, None]


@pytest.fixture
async def ada(runtime: Runtime) -> Actor:
    return await make_actor(runtime, "ada")


def followed(runtime: Runtime, actor: Actor, after: str | None = None) -> Feed:
    return follow(runtime.unit_of_work, runtime.events, actor, after)


async def told(feed: Feed, count: int) -> list[str]:
    """Return the names in the next notifications."""
    async with asyncio.timeout(60):
        return [(await anext(feed)).body.removeprefix("Welcome, ").partition(":")[0] for _ in range(count)]


async def test_a_fresh_follower_is_told_what_is_unread_and_then_what_comes(
    runtime: Runtime, ada: Actor
) -> None:
    for name in ("one", "two", "three"):
        await approve(runtime, ada, name)
    async with runtime.unit_of_work() as uow:
        second = (await service.list_notifications(uow, ada, None, None, PageRequest(10))).rows[1][0]
        await service.mark_read(uow, ada, [second.id])
    async with aclosing(followed(runtime, ada)) as feed:
        assert await told(feed, 2) == ["one", "three"]
        await approve(runtime, ada, "four")
        assert await told(feed, 1) == ["four"]


async def test_a_cursor_replays_all_that_came_after_it_also_what_was_read_elsewhere(
    runtime: Runtime, ada: Actor
) -> None:
    for name in ("one", "two", "three"):
        await approve(runtime, ada, name)
    async with aclosing(followed(runtime, ada)) as feed:
        first = await anext(feed)
        last = [await anext(feed) for _ in range(2)][-1]
    async with runtime.unit_of_work() as uow:
        assert await service.mark_all_read(uow, ada, last.id) == 3
    async with aclosing(followed(runtime, ada, cursor_of(first))) as feed:
        assert await told(feed, 2) == ["two", "three"]
    async with aclosing(followed(runtime, ada, cursor_of(last))) as feed:
        await approve(runtime, ada, "four")
        assert await told(feed, 1) == ["four"]


async def test_nothing_is_lost_with_the_stream(
    runtime: Runtime, ada: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.1)
    await approve(runtime, ada, "one")
    async with aclosing(followed(runtime, ada)) as feed:
        [_] = await told(feed, 1)
        await approve(runtime, ada, "two")
        await runtime.events._redis.delete(stream_key(stream_of(ada.user_id)))
        assert await told(feed, 1) == ["two"]
    # More than a page, and nothing of it in Redis.
    for number in range(following._PAGE + 3):
        await approve(runtime, ada, str(number))
    await runtime.events._redis.flushdb()
    async with aclosing(followed(runtime, ada, "2")) as feed:
        assert await told(feed, following._PAGE + 3) == [str(each) for each in range(following._PAGE + 3)]


async def test_what_commits_later_is_numbered_later(runtime: Runtime, ada: Actor) -> None:
    """Otherwise a follower would have gone past a number that becomes visible behind it."""
    kind = NotificationKind.ACCOUNT_APPROVED
    first, second = runtime.unit_of_work(), runtime.unit_of_work()
    await first.__aenter__()
    await service.notify(first, ada.user_id, kind, {"username": "slow"})
    await second.__aenter__()
    waiting = asyncio.create_task(service.notify(second, ada.user_id, kind, {"username": "quick"}))
    async with aclosing(followed(runtime, ada)) as feed:
        unread = asyncio.create_task(told(feed, 2))
        done, _ = await asyncio.wait([waiting, unread], timeout=0.1)
        assert not done
        await first.__aexit__(None, None, None)
        await waiting
        await second.__aexit__(None, None, None)
        assert await unread == ["slow", "quick"]


async def test_another_users_notifications_are_not_told(runtime: Runtime, ada: Actor) -> None:
    bob = await make_actor(runtime, "bob")
    async with aclosing(followed(runtime, ada)) as feed:
        waiting = asyncio.create_task(told(feed, 1))
        await approve(runtime, bob, "for bob")
        await approve(runtime, ada, "for ada")
        assert await waiting == ["for ada"]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "01", "1-0", "9" * 19])
async def test_a_bad_cursor_is_refused(runtime: Runtime, ada: Actor, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await anext(followed(runtime, ada, cursor))


async def test_a_cursor_that_nothing_has_yet_is_refused(runtime: Runtime, ada: Actor) -> None:
    """Whoever followed from there would not be told of what comes before it."""
    await approve(runtime, ada, "one")
    with pytest.raises(InvalidInput, match="has this cursor yet"):
        await anext(followed(runtime, ada, "2"))
    async with aclosing(followed(runtime, ada, "1")) as feed:
        await approve(runtime, ada, "two")
        assert await told(feed, 1) == ["two"]


async def test_following_leaves_nothing_behind(runtime: Runtime, ada: Actor) -> None:
    feed = followed(runtime, ada)
    waiting = asyncio.create_task(told(feed, 1))
    await approve(runtime, ada, "one")
    await waiting
    await feed.aclose()
    assert runtime.events.followed == 0
