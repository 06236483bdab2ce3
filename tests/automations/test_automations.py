"""Automations through GraphQL over HTTP, and what workers make of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from gql_trader.accounts import api_tokens
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.app import create_app
from gql_trader.automations import jobs, repository, running
from gql_trader.automations.jobs import run_automation, tick
from gql_trader.bots.types import Feed
from gql_trader.config import Settings
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.gql.scalars import format_datetime
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.strategies.service import find_strategy
from tests.factories.actors import make_actor
from tests.factories.backtests import BARS, Desk, make_desk
from tests.factories.bots import BotDesk, bar_time
from tests.factories.clock import MovableClock
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

FIELDS = """
  automation {
    id name cron timezone action status lookbackDays interval parameters nextRunAt lastRunAt
    strategy { slug } market { symbol } execution { stopLoss }
  }
  errors { code message path }
"""
RUNS = """
query($id: ID!) {
  automation(id: $id) {
    lastRunAt nextRunAt status
    runs(first: 10) {
      totalCount
      nodes {
        id trigger scheduledFor missed status error finishedAt
        backtest { id label tags start end status }
      }
    }
  }
}
"""


@dataclass
class Office:
    """The application with a signed-in trader, and a clock that tests move."""

    desk: Desk
    app: Starlette
    client: GraphQLClient
    clock: MovableClock

    async def mutate(self, name: str, fields: str = FIELDS, /, **given: Any) -> dict[str, Any]:
        """Send a mutation and return its payload."""
        kind = f"{name[0].upper()}{name[1:]}Input!"
        query = f"mutation($input: {kind}) {{ {name}(input: $input) {{ {fields} }} }}"
        payload: dict[str, Any] = (await self.client.execute(query, {"input": given})).data[name]
        return payload

    async def create(self, **changes: Any) -> dict[str, Any]:
        """Create an automation that runs each hour, and return the payload."""
        given = {
            "name": "hourly",
            "strategyId": encode_id("Strategy", self.desk.strategy_id),
            "cron": "0 * * * *",
            "action": "BACKTEST",
            "market": "test:BTC/USD",
            "interval": "H1",
            "lookbackDays": 3650,
        }
        return await self.mutate("createAutomation", FIELDS, **given | changes)

    async def created(self, **changes: Any) -> str:
        """Create an automation and return its id."""
        payload = await self.create(**changes)
        assert payload["errors"] == []
        return payload["automation"]["id"]  # type: ignore[no-any-return]

    async def shown(self, automation: str) -> dict[str, Any]:
        """Return an automation with its history."""
        return (await self.client.execute(RUNS, {"id": automation})).data["automation"]  # type: ignore[no-any-return]

    async def history(self, automation: str) -> list[dict[str, Any]]:
        """Return an automation's runs, the latest first."""
        return (await self.shown(automation))["runs"]["nodes"]  # type: ignore[no-any-return]

    async def work(self) -> None:
        """Do what the workers do: look at the clock, and do what is queued."""
        await tick(self.desk.runtime)
        await self.do_queued()

    async def do_queued(self) -> None:
        """Do what is queued."""
        async with self.desk.runtime.unit_of_work() as uow:
            found = await uow.session.scalars(text("SELECT id FROM automation_runs WHERE status = 'QUEUED'"))
            queued = found.all()
        for run_id in queued:
            await run_automation({"runtime": self.desk.runtime}, str(run_id))


@pytest.fixture
async def office(settings: Settings) -> AsyncIterator[Office]:
    clock = MovableClock()
    async with open_runtime(settings, clock) as runtime:
        desk = await make_desk(runtime)
        app = create_app(settings, runtime)
        async with graphql_client(app) as client:
            yield Office(desk, app, client.signed_in(await lasting_token(runtime, desk.trader)), clock)


async def lasting_token(runtime: Runtime, actor: Actor, *, trades: bool = True) -> str:
    """Return credentials that last however far a test moves the clock."""
    scopes = {TokenScope.READ, TokenScope.BACKTEST} | ({TokenScope.TRADE} if trades else set())
    spec = ApiTokenSpec("test", frozenset(scopes))
    async with runtime.unit_of_work() as uow:
        return (await api_tokens.create_token(uow, actor, spec))[1]


async def test_an_automation_is_what_was_asked_for(office: Office) -> None:
    payload = await office.create(
        cron="30  8 * * 1-5",
        timezone="America/New_York",
        parameters={"fast": 5},
        execution={"stopLoss": 0.02},
    )
    assert payload["errors"] == []
    made = payload["automation"]
    following = made.pop("nextRunAt")
    assert following > format_datetime(office.clock.now())
    assert following[14:16] == "30"
    assert made.pop("id")
    assert made == {
        "name": "hourly",
        "cron": "30 8 * * 1-5",
        "timezone": "America/New_York",
        "action": "BACKTEST",
        "status": "ACTIVE",
        "lookbackDays": 3650,
        "interval": "H1",
        "parameters": {"fast": 5},
        "lastRunAt": None,
        "strategy": {"slug": "ema-cross"},
        "market": {"symbol": "BTC/USD"},
        "execution": {"stopLoss": 0.02},
    }


async def test_everything_that_is_wrong_is_said_at_once(office: Office) -> None:
    payload = await office.create(
        name=" ",
        cron="* * * * *",
        market="test:NO/SUCH",
        interval=None,
        lookbackDays=0,
        parameters={"fast": -1},
        execution={"stopLoss": 2.0},
    )
    assert payload["automation"] is None
    assert sorted(tuple(error["path"]) for error in payload["errors"]) == [
        ("cron",),
        ("execution", "stopLoss"),
        ("interval",),
        ("lookbackDays",),
        ("market",),
        ("name",),
        ("parameters", "fast"),
    ]


async def test_it_runs_when_its_moment_comes_and_backtests_up_to_it(office: Office) -> None:
    automation = await office.created()
    await office.work()
    assert await office.history(automation) == []
    due = (await office.shown(automation))["nextRunAt"]
    office.clock.move(hours=1)
    await office.work()
    shown = await office.shown(automation)
    [run] = shown["runs"]["nodes"]
    assert shown["runs"]["totalCount"] == 1
    assert shown["lastRunAt"] is not None
    assert shown["nextRunAt"] > due
    assert (run["trigger"], run["scheduledFor"], run["missed"]) == ("SCHEDULE", due, 0)
    assert (run["status"], run["error"]) == ("SUCCEEDED", None)
    assert run["finishedAt"] is not None
    # The candles end before; what comes later does not change what was run.
    assert run["backtest"]["end"] == format_datetime(bar_time(BARS))
    assert (run["backtest"]["label"], run["backtest"]["tags"]) == ("hourly", ["automation"])
    assert run["backtest"]["status"] == "QUEUED"


async def test_missed_moments_are_one_run(office: Office) -> None:
    automation = await office.created()
    office.clock.move(days=2)
    await office.work()
    [run] = await office.history(automation)
    assert run["missed"] in (47, 48)
    await office.work()
    assert len(await office.history(automation)) == 1


async def test_runs_are_forgotten_when_they_ended_long_ago(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_FORGOTTEN_AT_ONCE", 2)
    automation = await office.created(cron="0 0 * * *")
    for _ in range(5):
        office.clock.move(days=1)
        await office.work()
    # One more, which no worker has begun yet: it is kept however long it waits.
    office.clock.move(days=1)
    await tick(office.desk.runtime)
    runs = await office.history(automation)
    assert [run["status"] for run in runs] == ["QUEUED"] + 5 * ["SUCCEEDED"]
    # Four hundred days after the first of them, and half a day.
    office.clock.move(days=395.5)
    await asyncio.gather(*(jobs.forget_runs(office.desk.runtime) for _ in range(2)))
    assert await office.history(automation) == runs[:-1]
    office.clock.move(days=10)
    await jobs.forget_runs(office.desk.runtime)
    assert await office.history(automation) == runs[:1]
    assert (await office.shown(automation))["lastRunAt"] is not None


async def test_workers_at_once_run_it_once(office: Office) -> None:
    automations = [await office.created(name=f"number {number}") for number in range(3)]
    office.clock.move(hours=1)
    await asyncio.gather(*(tick(office.desk.runtime) for _ in range(8)))
    runs = [run for automation in automations for run in await office.history(automation)]
    assert len(runs) == 3
    keys = [str(parse_id(run["id"])[1]) for run in runs]
    await asyncio.gather(
        *(run_automation({"runtime": office.desk.runtime}, key) for key in keys for _ in range(4))
    )
    for automation in automations:
        [run] = await office.history(automation)
        assert run["status"] == "SUCCEEDED"
    async with office.desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(text("SELECT count(*) FROM backtests")) == 3


async def test_a_worker_that_dies_before_the_commit_leaves_the_run_to_another(office: Office) -> None:
    automation = await office.created()
    office.clock.move(hours=1)
    await tick(office.desk.runtime)
    [run] = await office.history(automation)
    key = parse_id(run["id"])[1]
    runtime = office.desk.runtime

    uow = await runtime.unit_of_work().__aenter__()
    assert await running.perform(uow, running.Means.of(runtime), key)
    await uow.session.close()  # as the database does when the worker is gone
    assert [run["status"] for run in await office.history(automation)] == ["QUEUED"]
    # The queue has lost it, too; ten seconds later it is handed over again.
    office.clock.move(seconds=11)
    await tick(runtime)
    assert await runtime.queue.waiting("automations", [f"run_automation:{key}"]) == {f"run_automation:{key}"}
    await run_automation({"runtime": runtime}, str(key))
    assert [run["status"] for run in await office.history(automation)] == ["SUCCEEDED"]


async def test_what_cannot_be_done_fails_with_the_reason(office: Office) -> None:
    automation = await office.created(lookbackDays=1)
    office.clock.move(hours=1)
    await office.work()
    [run] = await office.history(automation)
    assert (run["status"], run["backtest"]) == ("FAILED", None)
    assert run["error"] == "test:BTC/USD has no H1 candles between start and end."
    assert (await office.shown(automation))["status"] == "ACTIVE"


async def test_a_paused_automation_rests_and_makes_nothing_up_for(office: Office) -> None:
    automation = await office.created()
    paused = await office.mutate("pauseAutomation", id=automation)
    assert (paused["automation"]["status"], paused["automation"]["nextRunAt"]) == ("PAUSED", None)
    again = await office.mutate("pauseAutomation", id=automation)
    assert [error["code"] for error in again["errors"]] == ["INVALID_STATE"]
    office.clock.move(days=1)
    await office.work()
    resumed = await office.mutate("resumeAutomation", id=automation)
    assert resumed["automation"]["nextRunAt"] > format_datetime(office.clock.now())
    await office.work()
    assert await office.history(automation) == []


async def test_it_can_be_made_paused_and_run_by_hand(office: Office) -> None:
    automation = await office.created(active=False)
    payload = await office.mutate(
        "runAutomation", "automationRun { trigger status } errors { code }", id=automation
    )
    assert payload == {"automationRun": {"trigger": "MANUAL", "status": "QUEUED"}, "errors": []}
    again = await office.mutate("runAutomation", "automationRun { id } errors { code }", id=automation)
    assert again == {"automationRun": None, "errors": [{"code": "ALREADY_EXISTS"}]}
    await office.work()
    [run] = await office.history(automation)
    assert (run["trigger"], run["status"]) == ("MANUAL", "SUCCEEDED")


async def test_a_change_holds_from_the_next_run_on(office: Office) -> None:
    automation = await office.created()
    changed = await office.mutate("updateAutomation", id=automation, name="daily", cron="0 7 * * *")
    assert changed["errors"] == []
    assert (changed["automation"]["name"], changed["automation"]["lookbackDays"]) == ("daily", 3650)
    assert changed["automation"]["nextRunAt"][11:16] == "07:00"
    refused = await office.mutate("updateAutomation", id=automation, cron="never")
    assert [error["path"] for error in refused["errors"]] == [["cron"]]
    assert (await office.mutate("updateAutomation", id=automation))["automation"]["cron"] == "0 7 * * *"


async def test_what_is_deleted_runs_no_more_and_its_backtests_stay(office: Office) -> None:
    automation = await office.created()
    office.clock.move(hours=1)
    await office.work()
    [run] = await office.history(automation)
    deleted = await office.mutate("deleteAutomation", "deletedId errors { code }", id=automation)
    assert deleted == {"deletedId": automation, "errors": []}
    assert await office.shown(automation) is None
    kept = await office.client.execute(
        "query($id: ID!) { node(id: $id) { id } }", {"id": run["backtest"]["id"]}
    )
    assert kept.data["node"] == {"id": run["backtest"]["id"]}


@pytest.mark.parametrize(
    ("column", "value", "history"),
    [("status", "DISABLED", []), ("role", "VIEWER", ["FAILED"])],
)
async def test_whoever_may_not_run_backtests_any_more_runs_none_by_the_clock(
    office: Office, column: str, value: str, history: list[str]
) -> None:
    await office.created()
    async with office.desk.runtime.unit_of_work() as uow:
        await uow.session.execute(
            text(f"UPDATE users SET {column} = :value WHERE id = :id"),
            {"value": value, "id": office.desk.trader.user_id},
        )
    office.clock.move(hours=1)
    await office.work()
    async with office.desk.runtime.unit_of_work() as uow:
        found = await uow.session.scalars(text("SELECT status FROM automation_runs"))
        assert found.all() == history
        assert await uow.session.scalar(text("SELECT count(*) FROM backtests")) == 0


async def test_a_bot_is_started_and_stopped_by_the_clock(office: Office) -> None:
    bots = BotDesk(office.desk)
    bot = await bots.make(feed=Feed())
    named = {"botId": encode_id("Bot", bot), "market": None, "interval": None, "lookbackDays": None}
    start = await office.created(action="BOT_START", **named)
    stop = await office.created(action="BOT_STOP", cron="30 * * * *", **named)
    query = "query($id: ID!) { automation(id: $id) { action market { symbol } bot { id state } } }"
    state = (await office.client.execute(query, {"id": start})).data["automation"]
    assert state == {
        "action": "BOT_START",
        "market": None,
        "bot": {"id": encode_id("Bot", bot), "state": "STOPPED"},
    }
    run = "automationRun { id } errors { code }"
    for automation, expected in ((start, "PENDING"), (stop, "STOPPING")):
        assert (await office.mutate("runAutomation", run, id=automation))["errors"] == []
        await office.do_queued()
        found = (await office.client.execute(query, {"id": start})).data["automation"]["bot"]
        assert found["state"] == expected
        assert [each["status"] for each in await office.history(automation)] == ["SUCCEEDED"]
    await office.mutate("runAutomation", run, id=stop)
    await office.do_queued()
    latest = (await office.history(stop))[0]
    assert (latest["status"], latest["error"]) == ("FAILED", "This bot is STOPPING.")


async def test_a_bot_has_to_be_named_and_ones_own_and_run_the_strategy(office: Office) -> None:
    bots = BotDesk(office.desk)
    bot = await bots.make(feed=Feed())
    missing = await office.create(action="BOT_START")
    assert [error["path"] for error in missing["errors"]] == [["botId"]]
    async with office.desk.runtime.unit_of_work() as uow:
        other = await find_strategy(uow, office.desk.trader, slug="golden-cross")
    assert other is not None
    wrong = await office.create(
        action="BOT_START", botId=encode_id("Bot", bot), strategyId=encode_id("Strategy", other.id)
    )
    assert [error["path"] for error in wrong["errors"]] == [["strategyId"]]
    async with office.desk.runtime.unit_of_work() as uow:
        owner = await make_actor(office.desk.runtime, "owner")
        await uow.session.execute(
            text("UPDATE bots SET user_id = :user WHERE id = :id"), {"user": owner.user_id, "id": bot}
        )
    anothers = await office.create(action="BOT_STOP", botId=encode_id("Bot", bot))
    assert [error["code"] for error in anothers["errors"]] == ["NOT_FOUND"]


async def test_a_token_that_may_not_trade_has_no_bots_run_by_the_clock(office: Office) -> None:
    bots = BotDesk(office.desk)
    bot = await bots.make(feed=Feed())
    automation = await office.created(action="BOT_START", botId=encode_id("Bot", bot))
    token = await lasting_token(office.desk.runtime, office.desk.trader, trades=False)
    office.client = office.client.signed_in(token)
    refused = [
        await office.create(action="BOT_START", botId=encode_id("Bot", bot)),
        await office.mutate("updateAutomation", id=automation, name="mine"),
        await office.mutate("pauseAutomation", id=automation),
        await office.mutate("runAutomation", "errors { code }", id=automation),
        await office.mutate("deleteAutomation", "errors { code }", id=automation),
    ]
    assert [[error["code"] for error in payload["errors"]] for payload in refused] == [["FORBIDDEN"]] * 5


async def test_one_has_as_many_as_may_be(office: Office) -> None:
    for number in range(office.desk.runtime.settings.max_automations_per_user):
        assert (await office.create(name=f"number {number}", active=False))["errors"] == []
    refused = await office.create()
    assert [error["code"] for error in refused["errors"]] == ["QUOTA_EXCEEDED"]


async def test_a_list_takes_the_same_statements_for_one_and_for_many(office: Office) -> None:
    query = """{ automations { totalCount nodes { name market { symbol } strategy { slug }
        runs { totalCount nodes { status backtest { id } } } } } }"""
    counts = []
    for number in (1, 6):
        while (await office.client.execute(query)).data["automations"]["totalCount"] < number:
            await office.created(name=f"number {number}")
        office.clock.move(hours=1)
        await office.work()
        with counted_statements(office.desk.engine) as executed:
            listed = (await office.client.execute(query)).data["automations"]["nodes"]
        assert len(listed) == number
        assert all(each["runs"]["nodes"][0]["backtest"] for each in listed)
        counts.append(len(executed))
    assert counts[0] == counts[1]


async def test_anothers_automations_do_not_exist(office: Office) -> None:
    automation = await office.created()
    office.clock.move(hours=1)
    await office.work()
    [run] = await office.history(automation)
    runtime = office.desk.runtime
    other = await make_actor(runtime, "other", Role.ADMIN)
    client = office.client.signed_in(await lasting_token(runtime, other))
    nodes = await client.execute(
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [automation, run["id"]]}
    )
    assert nodes.data["nodes"] == [None, None]
    assert (await client.execute("{ automations { totalCount } }")).data["automations"]["totalCount"] == 0
    async with runtime.unit_of_work() as uow:
        assert await repository.automation(uow.session, other.user_id, UUID(int=0)) is None
