"""Alerts through GraphQL over HTTP, and what becomes of them as candles arrive."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from starlette.applications import Starlette

from gql_trader.accounts.types import UserStatus
from gql_trader.alerts.jobs import watch
from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.core.actor import Actor
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.runtime import Runtime
from tests.factories.actors import make_access_token, make_actor
from tests.factories.markets import HOUR, START, bars_of_closes
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

CREATE = """
mutation($input: CreateAlertInput!) {
  createAlert(input: $input) {
    alert { id market { symbol } interval condition once active lastTriggeredAt }
    errors { code message path }
  }
}
"""


@dataclass
class Tower:
    """A trader who looks at a market whose candles tests add."""

    runtime: Runtime
    app: Starlette
    client: GraphQLClient
    trader: Actor
    closes: list[float]

    async def add(self, *closes: float) -> None:
        """Add hourly candles with these closes."""
        start = START + len(self.closes) * HOUR
        self.closes += closes
        async with self.runtime.unit_of_work() as uow:
            market = await ensure_market(uow, "test", "BTC/USD")
            await save_candles(uow, market.id, Interval.H1, bars_of_closes(closes, start=start))

    async def create(self, condition: str = "close > 100", **changes: Any) -> dict[str, Any]:
        """Create an alert and return the payload."""
        given = {"market": "test:BTC/USD", "interval": "H1", "condition": condition} | changes
        return (await self.client.execute(CREATE, {"input": given})).data["createAlert"]  # type: ignore[no-any-return]

    async def told(self) -> list[str]:
        """Return what the trader was told, the earliest first."""
        query = "{ notifications(last: 50) { nodes { kind body } } }"
        nodes = (await self.client.execute(query)).data["notifications"]["nodes"]
        return [node["body"] for node in reversed(nodes) if node["kind"] == "ALERT_TRIGGERED"]

    async def shown(self) -> list[dict[str, Any]]:
        """Return the trader's alerts."""
        query = "{ alerts { nodes { active once lastTriggeredAt error } } }"
        return (await self.client.execute(query)).data["alerts"]["nodes"]  # type: ignore[no-any-return]


@pytest.fixture
async def tower(settings: Settings, runtime: Runtime) -> AsyncIterator[Tower]:
    trader = await make_actor(runtime, "trader")
    app = create_app(settings, runtime)
    async with graphql_client(app) as client:
        token = await make_access_token(runtime, trader)
        tower = Tower(runtime, app, client.signed_in(token), trader, [])
        await tower.add(90.0, 95.0)
        yield tower


def hour(bar: int) -> str:
    """Return the opening time of a bar as users are told it."""
    return f"2025-01-01 {bar:02}:00 UTC"


def body(bar: int, condition: str = "close > 100") -> str:
    return f"At the close of the H1 bar of {hour(bar)} this came to hold on test:BTC/USD: {condition}"


async def test_an_alert_is_what_was_asked_for(tower: Tower) -> None:
    payload = await tower.create(" crossover(close, sma(close, 3)) ")
    assert payload["errors"] == []
    made = payload["alert"]
    assert made.pop("id")
    assert made == {
        "market": {"symbol": "BTC/USD"},
        "interval": "H1",
        "condition": "crossover(close, sma(close, 3))",
        "once": True,
        "active": True,
        "lastTriggeredAt": None,
    }


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"condition": "close >"}, [("RULE_SYNTAX", ["condition"])]),
        ({"condition": "close"}, [("RULE_TYPE", ["condition"])]),
        ({"condition": "close > fast"}, [("RULE_TYPE", ["condition"])]),
        ({"condition": "  "}, [("INVALID_INPUT", ["condition"])]),
        (
            {"condition": "nothing(1) > 2", "market": "test:NO/SUCH"},
            [("NOT_FOUND", ["market"]), ("RULE_TYPE", ["condition"])],
        ),
    ],
)
async def test_what_is_wrong_is_said(
    tower: Tower, changes: dict[str, Any], errors: Sequence[tuple[str, list[str]]]
) -> None:
    payload = await tower.create(**changes)
    assert payload["alert"] is None
    assert sorted((error["code"], error["path"]) for error in payload["errors"]) == errors


async def test_it_tells_once_when_the_condition_comes_to_hold(tower: Tower) -> None:
    await tower.create()
    assert await watch(tower.runtime) == 0
    await tower.add(99.0)
    assert await watch(tower.runtime) == 0
    await tower.add(101.0)
    assert await watch(tower.runtime) == 1
    assert await tower.told() == [body(3)]
    [alert] = await tower.shown()
    assert (alert["active"], alert["error"]) == (False, None)
    assert alert["lastTriggeredAt"] is not None
    await tower.add(99.0, 101.0)
    assert await watch(tower.runtime) == 0
    assert len(await tower.told()) == 1


async def test_one_for_each_time_tells_whenever_it_comes_to_hold_anew(tower: Tower) -> None:
    await tower.create(once=False)
    for close in (101.0, 102.0, 99.0, 103.0):
        await tower.add(close)
        await watch(tower.runtime)
    assert await tower.told() == [body(2), body(5)]
    [alert] = await tower.shown()
    assert alert["active"] is True


async def test_what_holds_already_is_told_of_at_the_first_close(tower: Tower) -> None:
    await tower.add(101.0)
    await tower.create()
    # The bars that were there already are not looked at.
    assert await watch(tower.runtime) == 0
    await tower.add(102.0)
    assert await watch(tower.runtime) == 1
    assert await tower.told() == [body(3)]


async def test_several_bars_at_once_are_looked_at_in_order_and_told_of_once(tower: Tower) -> None:
    await tower.create(once=False)
    await tower.add(101.0, 99.0, 105.0, 106.0)
    assert await watch(tower.runtime) == 1
    assert await tower.told() == [body(4)]
    await tower.add(107.0)
    assert await watch(tower.runtime) == 0


async def test_indicators_are_warm_whenever_the_alert_was_made(tower: Tower) -> None:
    await tower.add(*[90.0] * 50)
    condition = "close > sma(close, 40) + 9"
    await tower.create(condition)
    # (39 × 90 + 100) / 40 + 9 = 99.25
    await tower.add(99.2)
    assert await watch(tower.runtime) == 0
    await tower.add(100.0)
    assert await watch(tower.runtime) == 1


async def test_workers_at_once_tell_once(tower: Tower) -> None:
    for _ in range(3):
        await tower.create(once=False)
    await tower.add(101.0)
    assert sum(await asyncio.gather(*(watch(tower.runtime) for _ in range(6)))) == 3
    assert await tower.told() == [body(2)] * 3


async def test_a_bar_of_a_higher_interval_is_looked_at_once_it_is_over(tower: Tower) -> None:
    await tower.add(95.0, 95.0)  # four hours from midnight
    await tower.create(interval="H4")
    await tower.add(101.0, 102.0, 103.0)
    assert await watch(tower.runtime) == 0
    await tower.add(104.0)
    assert await watch(tower.runtime) == 1
    [told] = await tower.told()
    assert told.startswith(f"At the close of the H4 bar of {hour(4)}")


async def test_an_alert_may_wait_for_the_first_candles(tower: Tower) -> None:
    async with tower.runtime.unit_of_work() as uow:
        await ensure_market(uow, "test", "ETH/USD")
    await tower.create(market="test:ETH/USD")
    assert await watch(tower.runtime) == 0
    # History that is fetched later is no news.
    now = Interval.H1.floor(to_milliseconds(tower.runtime.clock.now()))
    for start, told in ((START, 0), (now, 1)):
        async with tower.runtime.unit_of_work() as uow:
            market = await ensure_market(uow, "test", "ETH/USD")
            await save_candles(uow, market.id, Interval.H1, bars_of_closes([99.0, 101.0], start=start))
        assert await watch(tower.runtime) == told


async def test_whoever_is_disabled_is_told_nothing(tower: Tower) -> None:
    await tower.create()
    async with tower.runtime.unit_of_work() as uow:
        await uow.session.execute(
            text("UPDATE users SET status = :status WHERE id = :id"),
            {"status": UserStatus.DISABLED.value, "id": tower.trader.user_id},
        )
    await tower.add(101.0)
    assert await watch(tower.runtime) == 0


async def test_one_has_as_many_as_may_be(settings: Settings, tower: Tower) -> None:
    chosen = settings.model_copy(update={"max_alerts_per_user": 2})
    app = create_app(chosen, Runtime(**{**vars(tower.runtime), "settings": chosen}))
    async with graphql_client(app) as client:
        token = await make_access_token(tower.runtime, tower.trader)
        few = Tower(tower.runtime, app, client.signed_in(token), tower.trader, tower.closes)
        assert [(await few.create())["errors"] for _ in range(2)] == [[], []]
        assert [error["code"] for error in (await few.create())["errors"]] == ["QUOTA_EXCEEDED"]


async def test_a_deleted_alert_tells_nothing(tower: Tower) -> None:
    alert = (await tower.create())["alert"]["id"]
    delete = "mutation($id: ID!) { deleteAlert(input: {id: $id}) { deletedId errors { code } } }"
    assert (await tower.client.execute(delete, {"id": alert})).data["deleteAlert"] == {
        "deletedId": alert,
        "errors": [],
    }
    again = (await tower.client.execute(delete, {"id": alert})).data["deleteAlert"]
    assert again["errors"] == [{"code": "NOT_FOUND"}]
    await tower.add(101.0)
    assert await watch(tower.runtime) == 0


async def test_a_list_takes_the_same_statements_for_one_and_for_many(tower: Tower) -> None:
    query = "{ alerts { totalCount nodes { condition market { symbol } } } }"
    counts = []
    for number in (1, 7):
        while len(await tower.shown()) < number:
            await tower.create()
        with counted_statements(tower.runtime.database.engine) as executed:
            listed = (await tower.client.execute(query)).data["alerts"]
        assert (listed["totalCount"], len(listed["nodes"])) == (number, number)
        counts.append(len(executed))
    assert counts[0] == counts[1]


async def test_a_look_takes_the_same_statements_for_one_and_for_many_that_do_not_move(tower: Tower) -> None:
    counts = []
    for number in (1, 5):
        while len(await tower.shown()) < number:
            await tower.create()
        with counted_statements(tower.runtime.database.engine) as executed:
            assert await watch(tower.runtime) == 0
        counts.append(len(executed))
    assert counts[0] == counts[1]
