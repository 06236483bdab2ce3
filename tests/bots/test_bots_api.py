"""Bots through GraphQL over HTTP and WebSocket, in-process, on real servers."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.bots import following, jobs
from gql_trader.bots.models import BotRow
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.infra.stream_reader import stream_key
from tests.bots.bots_api import CREATE, DELETE, LIST, START, STOP, STOP_ALL, UPDATE, Api, iso
from tests.factories.actors import make_access_token
from tests.factories.backtests import BARS
from tests.factories.bots import bar_time
from tests.factories.clock import MovableClock
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLSocket, InProcessTransport


async def test_a_bot_is_made_stopped_with_what_the_preferences_say(api: Api) -> None:
    prefer = 'mutation { updatePreferences(input: {defaultCapital: "2500"}) { errors { message } } }'
    assert (await api.do(prefer))["errors"] == []
    payload = await api.do(
        CREATE, input=api.input(execution={"stopLoss": 0.02, "maxDailyLoss": 0.05}, feed=None)
    )
    bot = payload["bot"]
    assert payload["errors"] == []
    assert bot["state"] == "STOPPED"
    assert (bot["initialCapital"], bot["mode"], bot["session"]) == ("2500", "PAPER", None)
    assert (bot["replay"], bot["waitingFor"], bot["checkIntervalSeconds"]) == (None, None, 60)
    assert bot["execution"] == {"stopLoss": 0.02}
    assert bot["guards"] == [
        {
            "kind": "MAX_DAILY_LOSS",
            "limit": 0.05,
            "used": 0.0,
            "tripped": False,
            "trippedBy": None,
            "resetsAt": None,
        }
    ]


async def test_everything_wrong_with_a_bot_is_told_at_once(api: Api) -> None:
    payload = await api.do(
        CREATE,
        input=api.input(
            name=" ",
            initialCapital="0",
            checkIntervalSeconds=0,
            parameters={"fast": -1},
            execution={"stopLoss": 2},
            feed={"replay": {"start": iso(10), "end": iso(5), "speed": -1}},
        ),
    )
    assert payload["bot"] is None
    assert [error["path"] for error in payload["errors"]] == [
        ["name"],
        ["initialCapital"],
        ["checkIntervalSeconds"],
        ["feed", "replay", "end"],
        ["feed", "replay", "speed"],
        ["execution", "stopLoss"],
        ["parameters", "fast"],
    ]


async def test_a_bot_goes_from_stopped_through_running_to_stopped(api: Api, clock: MovableClock) -> None:
    bot_id = await api.create(feed={"replay": {"start": iso(500), "end": iso(BARS), "speed": 3600}})
    started = await api.do(START, id=bot_id)
    assert (started["bot"]["state"], started["bot"]["session"]["status"]) == ("PENDING", "ACTIVE")
    session = parse_id(started["bot"]["session"]["id"])[1]
    await api.bots.run(session)
    query = "query($id: ID!) { bot(id: $id) { state session { status } } }"
    assert (await api.do(query, id=bot_id))["state"] == "RUNNING"
    [error] = (await api.do(START, id=bot_id))["errors"]
    assert (error["code"], error["path"]) == ("INVALID_STATE", ["id"])
    for document in (UPDATE, DELETE):
        variables = {"input": {"id": bot_id, "name": "x"}} if document is UPDATE else {"id": bot_id}
        assert (await api.do(document, **variables))["errors"][0]["code"] == "INVALID_STATE"
    assert (await api.do(STOP, id=bot_id))["bot"]["state"] == "STOPPING"
    assert (await api.do(STOP, id=bot_id))["errors"][0]["code"] == "INVALID_STATE"
    assert (await api.do(START, id=bot_id))["errors"][0]["code"] == "INVALID_STATE"
    await api.bots.close(session)
    assert await api.do(query, id=bot_id) == {"state": "STOPPED", "session": {"status": "STOPPED"}}
    assert (await api.do(STOP, id=bot_id))["errors"][0]["code"] == "INVALID_STATE"
    # Another start is another session, with the capital it has and nothing of the first.
    again = await api.do(START, id=bot_id)
    assert again["bot"]["state"] == "PENDING"
    assert again["bot"]["session"]["id"] != started["bot"]["session"]["id"]


async def test_a_stopped_bot_is_changed_and_deleted_and_its_sessions_stay(api: Api) -> None:
    bot_id = await api.create()
    change = {"id": bot_id, "name": "Other", "initialCapital": "500", "execution": {"stopLoss": 0.1}}
    changed = (await api.do(UPDATE, input=change))["bot"]
    assert (changed["name"], changed["initialCapital"]) == ("Other", "500")
    assert changed["execution"] == {"stopLoss": 0.1}
    assert changed["replay"] == {"speed": 0.0}
    assert (await api.do(UPDATE, input={"id": bot_id, "feed": {"live": True}}))["bot"]["replay"] is None
    replay = {"replay": {"start": iso(500), "end": iso(900)}}
    await api.do(UPDATE, input={"id": bot_id, "feed": replay})
    session = await api.start(bot_id)
    await api.bots.run(session)
    assert (await api.do(DELETE, id=bot_id))["deletedId"] == bot_id
    query = """query($id: ID!) { tradingSession(id: $id) {
        status bot { id } market { symbol } capital bars trades { totalCount nodes { bot { id } } } } }"""
    kept = await api.do(query, id=encode_id("TradingSession", session))
    assert (kept["status"], kept["bot"], kept["capital"], kept["bars"]) == ("STOPPED", None, "500", 400)
    assert kept["trades"]["totalCount"] == len(kept["trades"]["nodes"]) > 0
    assert await api.do("query($id: ID!) { bot(id: $id) { id } }", id=bot_id) is None


async def test_a_replay_goes_to_the_last_candle_unless_it_is_told_otherwise(api: Api) -> None:
    bot_id = await api.create(feed={"replay": {"start": iso(500)}})
    query = "query($id: ID!) { bot(id: $id) { replay { start end } } }"
    bot = (await api.client.execute(query, {"id": bot_id})).data["bot"]
    assert [datetime.fromisoformat(bot["replay"][name]) for name in ("start", "end")] == [
        bar_time(500),
        bar_time(BARS),
    ]
    payload = await api.do(CREATE, input=api.input(feed={"replay": {"start": iso(BARS)}}))
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("NO_DATA", ["feed", "replay", "start"])
    ]


async def test_quotas_hold(api: Api, settings: Settings) -> None:
    tight = settings.model_copy(update={"max_bots_per_user": 2, "max_running_bots_per_user": 1})
    object.__setattr__(api.bots.runtime, "settings", tight)
    first, second = await api.create(), await api.create()
    [error] = (await api.do(CREATE, input=api.input()))["errors"]
    assert error["code"] == "QUOTA_EXCEEDED"
    await api.start(first)
    assert (await api.do(START, id=second))["errors"][0]["code"] == "QUOTA_EXCEEDED"


async def test_a_replay_without_candles_in_its_range_is_not_started(api: Api) -> None:
    later = {"replay": {"start": "2031-01-01T00:00:00Z", "end": "2031-02-01T00:00:00Z"}}
    [error] = (await api.do(START, id=await api.create(feed=later)))["errors"]
    assert error["code"] == "NO_DATA"


async def test_stopping_all_bots_stops_ones_own_and_for_an_administrator_everybodys(api: Api) -> None:
    paced = {"replay": {"start": iso(500), "end": iso(BARS), "speed": 1}}
    mine = [await api.create(feed=paced) for _ in range(2)]
    sessions = [await api.start(each) for each in mine]
    async with api.as_user("other") as (other, _), api.as_user("boss", Role.ADMIN) as (boss, admin):
        assert (await api.do(STOP_ALL, other))["count"] == 0
        assert (await api.do(STOP_ALL, other, everyone=True))["errors"] == [
            {"code": "FORBIDDEN", "path": ["everyone"]}
        ]
        assert {(await api.bots.bot(parse_id(each)[1])).state for each in mine} == {"PENDING"}
        assert (await api.do(STOP_ALL, boss))["count"] == 0
        assert (await api.do(STOP_ALL, boss, everyone=True))["count"] == 2
        async with api.bots.runtime.unit_of_work() as uow:
            [event] = await uow.session.scalars(
                select(AuditEventRow).where(AuditEventRow.action == "BOTS_STOPPED")
            )
        assert (event.actor_id, event.details) == (admin.user_id, {"count": 2})
    for session in sessions:
        await api.bots.close(session)
    assert {(await api.bots.bot(parse_id(each)[1])).state for each in mine} == {"STOPPED"}
    assert (await api.do(STOP_ALL))["count"] == 0


async def test_a_list_of_bots_costs_the_same_statements_however_long(api: Api) -> None:
    for _ in range(3):
        await api.bots.run(await api.start(await api.create()))
    with counted_statements(api.bots.desk.engine) as few:
        await api.client.execute(LIST, {"first": 1})
    with counted_statements(api.bots.desk.engine) as many:
        result = (await api.client.execute(LIST, {"first": 100})).data["bots"]
    assert len(many) == len(few)
    assert (result["totalCount"], len(result["nodes"])) == (3, 3)
    for node in result["nodes"]:
        session = node["session"]
        assert session["trades"]["totalCount"] * 2 == session["orders"]["totalCount"] > 0
        assert session["trades"]["nodes"][0]["number"] == 1
        assert 4 <= len(session["equityCurve"]["time"]) <= 10
        assert session["positions"] == []
        assert node["sessions"]["nodes"] == [{"id": session["id"]}]
    none = (await api.client.execute(LIST, {"state": ["RUNNING", "FAILED"]})).data["bots"]
    assert none == {"totalCount": 0, "nodes": []}


async def test_a_held_position_has_its_unrealised_profit(api: Api, clock: MovableClock) -> None:
    bot_id = await api.create(feed={"replay": {"start": iso(500), "end": iso(BARS), "speed": 3600}})
    session = await api.start(bot_id)
    query = """query($id: ID!) { tradingSession(id: $id) {
        equity cash profit profitFraction capital lastBarTime
        positions { side quantity entryPrice markPrice unrealizedProfit } trades(last: 1) { nodes {
          status exitTime profit exitReason fees quantity } } } }"""
    found: dict[str, Any] = {}
    while not found.get("positions"):
        clock.move(seconds=10)
        await api.bots.run(session)
        found = await api.do(query, id=encode_id("TradingSession", session))
    [position], [trade] = found["positions"], found["trades"]["nodes"]
    assert (trade["status"], trade["exitTime"], trade["profit"], trade["exitReason"]) == ("OPEN", *[None] * 3)
    quantity, mark = float(position["quantity"]), float(position["markPrice"])
    gained = quantity * (mark - float(position["entryPrice"])) - float(trade["fees"])
    assert float(position["unrealizedProfit"]) == pytest.approx(gained, abs=1e-6)
    assert float(found["equity"]) == pytest.approx(float(found["cash"]) + quantity * mark, abs=1e-6)
    assert float(found["profit"]) == pytest.approx(float(found["equity"]) - float(found["capital"]), abs=1e-8)


STATUS = """
subscription($id: ID, $after: String) { botStatus(botId: $id, after: $after) { cursor state bot { id } } }
"""
EQUITY = "subscription($after: String) { equity(after: $after) { cursor time equity sessionId } }"
TRADES = """
subscription($id: ID, $after: String) {
  trades(sessionId: $id, after: $after) { cursor trade { id number status session { id } } }
}
"""


async def test_status_begins_with_what_is_and_goes_on_from_a_cursor(api: Api) -> None:
    bot_id, other = await api.create(), await api.create()
    async with api.socket() as socket:
        events = socket.results(STATUS, {"id": bot_id})
        first = (await anext(events))["data"]["botStatus"]
        assert (first["state"], first["bot"]["id"]) == ("STOPPED", bot_id)
        await api.start(other)
        await api.bots.run(await api.start(bot_id))
        told = [(await anext(events))["data"]["botStatus"] for _ in range(3)]
        assert [each["state"] for each in told] == ["PENDING", "RUNNING", "STOPPED"]
        assert {each["bot"]["id"] for each in told} == {bot_id}
    async with api.socket() as socket:
        again = socket.results(STATUS, {"id": bot_id, "after": told[0]["cursor"]})
        assert [(await anext(again))["data"]["botStatus"] for _ in range(2)] == told[1:]


async def test_trades_and_equity_are_followed_live(
    api: Api, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STEP_BARS", 500)
    session = await api.start(await api.create())
    session_id = encode_id("TradingSession", session)
    async with api.socket() as socket, api.socket() as second:
        equity = second.results(EQUITY)
        begun = (await anext(equity))["data"]["equity"]
        assert (begun["equity"], begun["sessionId"]) == ("10000", session_id)
        await socket.start(TRADES, {"id": session_id})
        await api.bots.run(session)
        message = await socket.receive()
        first = message["payload"]["data"]["trades"]
        assert first["trade"]["number"] == 1
        assert first["trade"]["session"] == {"id": session_id}
        marks = [(await anext(equity))["data"]["equity"] for _ in range(3)]
        assert [each["time"] for each in marks] == [
            bar_time(index).strftime("%Y-%m-%dT%H:%M:%S.000Z") for index in (999, 1499, BARS - 1)
        ]
    # Whoever comes back with a cursor is told what came behind it, each once.
    async with api.socket() as socket:
        again = socket.results(EQUITY, {"after": marks[0]["cursor"]})
        assert [(await anext(again))["data"]["equity"] for _ in range(2)] == marks[1:]
    async with api.socket() as socket:
        refused = await anext(socket.results(EQUITY, {"after": "yesterday"}))
        assert refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    count = len(await api.bots.trades(session))
    async with api.socket() as socket:
        replayed = socket.results(TRADES, {"after": "0-0"})
        seen: dict[int, str] = {}
        while len(seen) < count or "OPEN" in seen.values():
            trade = (await anext(replayed))["data"]["trades"]["trade"]
            seen[trade["number"]] = trade["status"]
        assert sorted(seen) == list(range(1, count + 1))


async def test_a_cursor_that_the_streams_have_forgotten_loses_no_trade(api: Api, clock: MovableClock) -> None:
    first = await api.start(await api.create())
    async with api.socket() as socket:
        await socket.start(TRADES, {"id": encode_id("TradingSession", first)})
        await api.bots.run(first)
        seen = (await socket.receive())["payload"]["data"]["trades"]
    clock.move(minutes=5)
    second = await api.start(await api.create())
    await api.bots.run(second)
    expected = {encode_id("Trade", each.id) for each in await api.bots.trades(second)}
    streams = api.bots.runtime.events
    for name in ("bot-trades", "bot-equity", "bot-status"):
        await streams._redis.xtrim(
            stream_key(f"{name}:{api.bots.trader.user_id}"), maxlen=1, approximate=False
        )
    async with api.socket() as socket:
        events = socket.results(TRADES, {"after": seen["cursor"]})
        told: list[str] = []
        while expected - set(told):
            told.append((await anext(events))["data"]["trades"]["trade"]["id"])
        assert len(told) == len(set(told))
    # An equity that nobody can complete begins with what is: a session that trades.
    third = await api.start(await api.create())
    async with api.socket() as socket:
        events = socket.results(EQUITY, {"after": seen["cursor"]})
        assert (await anext(events))["data"]["equity"]["sessionId"] == encode_id("TradingSession", third)


async def test_what_was_never_published_is_told_nevertheless(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.1)
    bot_id = await api.create()
    async with api.socket() as socket:
        events = socket.results(STATUS, {"id": bot_id})
        await anext(events)
        async with api.bots.runtime.unit_of_work() as uow:
            await uow.session.execute(update(BotRow).values(state="FAILED", error="gone"))
        assert (await anext(events))["data"]["botStatus"]["state"] == "FAILED"
    # A cursor of a stream that Redis has lost: the present state comes first again.
    await api.bots.runtime.events._redis.delete(stream_key(f"bot-status:{api.bots.trader.user_id}"))
    async with api.socket() as socket:
        events = socket.results(STATUS, {"after": "99999999999999-0"})
        assert (await anext(events))["data"]["botStatus"]["state"] == "FAILED"


async def test_another_users_bots_and_sessions_do_not_exist(api: Api) -> None:
    bot_id = await api.create()
    session = await api.start(bot_id)
    await api.bots.run(session)
    session_id = encode_id("TradingSession", session)
    [trade] = (await api.bots.trades(session))[:1]
    [order] = (await api.bots.orders(session))[:1]
    async with api.as_user("stranger") as (stranger, actor):
        for document in (START, STOP, DELETE):
            assert (await api.do(document, stranger, id=bot_id))["errors"][0]["code"] == "NOT_FOUND"
        ids = [bot_id, session_id, encode_id("Trade", trade.id), encode_id("Order", order.id)]
        found = await api.do("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", stranger, ids=ids)
        assert found == [None] * 4
        mine = await api.do("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
        assert [each["id"] for each in mine] == ids
        assert (await api.do("{ tradingSessions { totalCount nodes { id } } }", stranger))["nodes"] == []
        token = await make_access_token(api.bots.runtime, actor)
        transport = InProcessTransport(api.app)
        async with GraphQLSocket(transport, {"authorization": f"Bearer {token}"}) as socket:
            for document, name in ((STATUS, bot_id), (TRADES, session_id)):
                await socket.start(document, {"id": name})
                message = await socket.receive()
                assert message["type"] == "next"
                assert message["payload"]["data"] is None
                assert (await socket.receive())["type"] == "complete"
