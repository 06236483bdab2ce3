"""Following one's balance over GraphQL: what it is, what was missed, what comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from gql_trader.app import create_app
from gql_trader.balances import following
from gql_trader.balances.following import follow
from gql_trader.balances.types import stream_of
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import InvalidInput
from gql_trader.infra.stream_reader import stream_key
from tests.balances.conftest import Office
from tests.factories.actors import make_access_token, make_actor
from tests.graphql_client import GraphQLSocket, InProcessTransport

EVENTS = """
subscription($after: String) {
  balance(after: $after) { cursor time kind currency balance profit profitFraction }
}
"""


@asynccontextmanager
async def _events(office: Office, actor: Actor, after: str | None = None) -> AsyncIterator[Any]:
    app = create_app(office.runtime.settings, office.runtime)
    token = await make_access_token(office.runtime, actor)
    async with GraphQLSocket(InProcessTransport(app), {"authorization": f"Bearer {token}"}) as socket:
        yield socket.results(EVENTS, {"after": after})


async def _next(events: Any) -> Any:
    result = await anext(events)
    assert "errors" not in result, result
    return result["data"]["balance"]


async def test_a_fresh_follower_is_told_what_is_and_then_what_comes(office: Office) -> None:
    ada = await office.trader("ada")
    session = await office.trade(ada, "2000")
    await office.set_equity(session, 2100.0)
    await office.tick()
    async with _events(office, ada) as events:
        assert await _next(events) == {
            "cursor": "0",
            "time": "2026-11-22T12:03:20.123Z",
            "kind": "PRESENT",
            "currency": None,
            "balance": "2100",
            "profit": "100",
            "profitFraction": 0.05,
        }
        await office.set_equity(session, 1900.0)
        await office.tick(minutes=10)
        noted = await _next(events)
        assert (noted["kind"], noted["time"]) == ("SNAPSHOT", "2026-11-22T12:13:20.123Z")
        assert (noted["balance"], noted["profit"], noted["profitFraction"]) == ("1900", "-100", -0.05)
        await office.tick(hours=2)
        assert (await _next(events))["kind"] == "HEARTBEAT"
    # With a cursor, what was missed comes first, and the present is not told apart.
    async with _events(office, ada, noted["cursor"]) as events:
        assert (await _next(events))["kind"] == "HEARTBEAT"
        await office.tick(minutes=10)
        assert (await _next(events))["kind"] == "SNAPSHOT"


async def test_who_has_never_traded_has_a_balance_of_nothing(office: Office) -> None:
    viewer = await make_actor(office.runtime, "viewer", Role.VIEWER)
    async with _events(office, viewer) as events:
        told = await _next(events)
    assert (told["balance"], told["profit"], told["profitFraction"], told["currency"]) == (
        "0",
        "0",
        0.0,
        None,
    )


async def test_nobody_is_told_of_others_balances(office: Office) -> None:
    ada, bob = await office.trader("ada"), await office.trader("bob")
    await office.trade(ada)
    session = await office.trade(bob, "500")
    await office.tick()
    async with _events(office, bob) as events:
        assert (await _next(events))["balance"] == "500"
        await office.stop(bob, session)
        await office.tick(minutes=10)
        assert (await _next(events))["balance"] == "500"
        await office.trade(bob, "700")
        # Ada's next one comes alone, before Bob's.
        await office.tick(minutes=10)
        await office.tick(minutes=10)
        assert (await _next(events))["balance"] == "700"


async def test_a_cursor_that_nobody_can_have_is_refused(office: Office) -> None:
    ada = await office.trader("ada")
    runtime = office.runtime
    for after in ("-1", "x", "01", "9" * 13, "1" * 14):
        with pytest.raises(InvalidInput) as refused:
            await anext(follow(runtime.unit_of_work, runtime.events, ada, after))
        assert refused.value.path == ("after",)
    async with _events(office, ada, "1") as events:
        [error] = (await anext(events))["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_nothing_is_lost_with_the_stream(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.1)
    ada = await office.trader("ada")
    await office.trade(ada)
    await office.tick()
    runtime = office.runtime
    async with aclosing(follow(runtime.unit_of_work, runtime.events, ada, None)) as feed, asyncio.timeout(60):
        await anext(feed)
        await office.tick(minutes=10)
        await runtime.events._redis.delete(stream_key(stream_of(ada.user_id)))
        cursor, record = await anext(feed)
    assert cursor == str(int(record.time.timestamp() * 1000))
    monkeypatch.setattr(following, "_PAGE", 2)
    for _ in range(4):
        await office.tick(minutes=10)
    async with (
        aclosing(follow(runtime.unit_of_work, runtime.events, ada, cursor)) as feed,
        asyncio.timeout(60),
    ):
        found = [await anext(feed) for _ in range(4)]
    assert len({cursor for cursor, _ in found}) == 4
