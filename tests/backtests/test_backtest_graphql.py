"""Backtests through GraphQL over HTTP and WebSocket, in-process, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from starlette.applications import Starlette

from gql_trader.app import create_app
from gql_trader.backtests.jobs import run_backtest
from gql_trader.config import Settings
from gql_trader.gql.relay import encode_id, parse_id
from tests.factories.actors import make_access_token, make_actor
from tests.factories.backtests import Desk
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport, graphql_client

RUN = """
mutation($input: RunBacktestInput!) {
  runBacktest(input: $input) {
    backtest { id status bars contentHash } cached errors { __typename code message path }
  }
}
"""
LIST = """
query($where: BacktestFilter, $orderBy: [BacktestOrder!], $first: Int, $after: String) {
  backtests(where: $where, orderBy: $orderBy, first: $first, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id label tags parameters
      metrics { totalReturn sharpeRatio maxDrawdown trades feesPaid finalEquity }
      strategy { slug name } market { symbol exchange base { symbol } } asset { symbol }
      ledger(first: 20) { totalCount nodes { number side profit exitReason entryTime } }
      daily { time return }
    }
  }
}
"""


@dataclass
class Api:
    """The application with a signed-in trader."""

    desk: Desk
    app: Starlette
    client: GraphQLClient
    token: str

    @property
    def strategy_id(self) -> str:
        """The EMA cross."""
        return encode_id("Strategy", self.desk.strategy_id)

    def input(self, **changes: Any) -> dict[str, Any]:
        """Return an input of runBacktest."""
        return {"strategyId": self.strategy_id, "market": "BTC/USD", "interval": "H1"} | changes

    async def run(self, **changes: Any) -> dict[str, Any]:
        """Request a backtest and return its payload."""
        result = await self.client.execute(RUN, {"input": self.input(**changes)})
        return result.data["runBacktest"]  # type: ignore[no-any-return]

    async def complete(self, **changes: Any) -> str:
        """Request a backtest, run it and return its id."""
        payload = await self.run(**changes)
        assert payload["errors"] == [], payload
        _, key = parse_id(payload["backtest"]["id"])
        await run_backtest({"runtime": self.desk.runtime}, str(key))
        return str(payload["backtest"]["id"])


@pytest.fixture
async def api(desk: Desk, settings: Settings) -> AsyncIterator[Api]:
    """The application over the desk's runtime."""
    app = create_app(settings, desk.runtime)
    token = await make_access_token(desk.runtime, desk.trader)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(graphql_client(app))
        yield Api(desk, app, client.signed_in(token), token)


async def test_the_question_of_the_readme_is_one_request_and_always_as_many_statements(api: Api) -> None:
    for fast in range(3, 11):
        await api.complete(parameters={"fast": fast}, label=f"fast {fast}", tags=["sweep"])
    variables: dict[str, Any] = {
        "where": {"asset": ["BTC"], "tag": ["sweep"], "not": {"maxDrawdown": {"gt": 0.99}}},
        "orderBy": [{"field": "MAX_DRAWDOWN", "direction": "ASC"}],
    }
    await api.client.execute(LIST, variables | {"first": 1})
    with counted_statements(api.desk.engine) as few:
        await api.client.execute(LIST, variables | {"first": 2})
    with counted_statements(api.desk.engine) as many:
        result = await api.client.execute(LIST, variables | {"first": 100})
    assert len(few) == len(many)
    nodes = result.data["backtests"]["nodes"]
    assert result.data["backtests"]["totalCount"] == 8
    drawdowns = [node["metrics"]["maxDrawdown"] for node in nodes]
    assert drawdowns == sorted(drawdowns)
    for node in nodes:
        assert node["asset"] == {"symbol": "BTC"}
        assert node["strategy"]["slug"] == "ema-cross"
        assert len(node["ledger"]["nodes"]) == min(20, node["ledger"]["totalCount"])
        assert node["ledger"]["totalCount"] == node["metrics"]["trades"]


async def test_pages_of_an_ordering_have_no_repeats(api: Api) -> None:
    for fast in range(3, 8):
        await api.complete(parameters={"fast": fast})
    seen: list[str] = []
    after = None
    while True:
        order = [{"field": "SHARPE_RATIO"}, {"field": "CREATED_AT", "direction": "ASC"}]
        result = await api.client.execute(LIST, {"orderBy": order, "first": 2, "after": after})
        page = result.data["backtests"]
        seen += [node["id"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, 2),
        ({"status": ["COMPLETED"]}, 1),
        ({"status": ["QUEUED", "RUNNING"]}, 1),
        ({"status": []}, 0),
        ({"market": ["test:BTC/USD"]}, 2),
        ({"market": ["coinbase:BTC/USD"]}, 0),
        ({"market": ["BTC/USD"], "interval": ["H1"]}, 2),
        ({"interval": ["D1"]}, 0),
        ({"market": ["btc/usd"]}, 2),
        ({"market": [" Test:Btc/usd"]}, 2),
        ({"market": [":BTC/USD"]}, 0),
        ({"asset": ["ETH"]}, 0),
        ({"asset": ["btc", "eth"]}, 2),
        ({"tag": ["a"]}, 1),
        ({"or": [{"tag": ["a"]}, {"tag": ["b"]}]}, 2),
        ({"or": []}, 0),
        ({"and": [{"tag": ["a"]}, {"tag": ["b"]}]}, 0),
        ({"not": {"tag": ["a"]}}, 1),
        ({"trades": {"gte": 0}}, 1),
        ({"not": {"trades": {"gte": 0}}}, 1),
        ({"totalReturn": {"gt": -1, "lt": 1000000}}, 1),
        ({"createdAt": {"gt": "2020-01-01T00:00:00Z"}}, 2),
        ({"createdAt": {"lte": "2020-01-01T00:00:00+02:00"}}, 0),
    ],
)
async def test_filters(api: Api, where: dict[str, Any], expected: int) -> None:
    await api.complete(tags=["a"])
    await api.run(parameters={"fast": 5}, tags=["b"])
    result = await api.client.execute(LIST, {"where": where})
    assert len(result.data["backtests"]["nodes"]) == expected == result.data["backtests"]["totalCount"]


@pytest.mark.parametrize("name", ["asset", "market", "tag", "interval", "status", "strategyId"])
async def test_the_lists_of_a_filter_are_bounded_together(api: Api, name: str) -> None:
    value = {"interval": "H1", "status": "COMPLETED", "strategyId": api.strategy_id}.get(name, "x:y")
    fits = {"or": [{name: [value] * 600}, {"tag": ["a"] * 400}]}
    result = await api.client.execute(LIST, {"where": fits})
    assert result.data["backtests"]["totalCount"] == 0
    for exceeding in ({"and": [fits], "tag": ["a"]}, {"not": {name: [value] * 15_000}}):
        result = await api.client.execute(LIST, {"where": exceeding})
        assert result.codes == ["BAD_USER_INPUT"]
        assert result.errors[0]["extensions"]["argument"] == ["where"]
        assert result.errors[0]["message"].startswith("The lists of a filter have at most 1000 values")


@pytest.mark.parametrize(
    ("changes", "typename", "code", "path"),
    [
        ({"strategyId": "nonsense"}, "ValidationError", "INVALID_INPUT", ["strategyId"]),
        ({"market": "DOGE/USD"}, "NotFoundError", "NOT_FOUND", ["market"]),
        ({"interval": "M1"}, "ValidationError", "NO_DATA", ["interval"]),
        ({"parameters": [1]}, "ValidationError", "INVALID_INPUT", ["parameters"]),
        ({"parameters": {"fast": 1e300}}, "ValidationError", "INVALID_INPUT", ["parameters", "fast"]),
        ({"initialCapital": "0"}, "ValidationError", "INVALID_INPUT", ["initialCapital"]),
        ({"initialCapital": "99999999999999999999"}, "ValidationError", "INVALID_INPUT", ["initialCapital"]),
        ({"execution": {"stopLoss": 2}}, "ValidationError", "INVALID_INPUT", ["execution", "stopLoss"]),
        (
            {"execution": {"sizing": {"cash": "0"}}},
            "ValidationError",
            "INVALID_INPUT",
            ["execution", "sizing", "cash"],
        ),
        ({"start": "9999-12-31T00:00:00Z"}, "ValidationError", "NO_DATA", ["start"]),
        ({"label": "x" * 201}, "ValidationError", "INVALID_INPUT", ["label"]),
        ({"tags": ["a"] * 3 + [""]}, "ValidationError", "INVALID_INPUT", ["tags"]),
    ],
)
async def test_a_refusal_is_typed_and_changes_nothing(
    api: Api, changes: dict[str, Any], typename: str, code: str, path: list[str]
) -> None:
    payload = await api.run(**changes)
    assert payload["backtest"] is None
    assert [(error["__typename"], error["code"], error["path"]) for error in payload["errors"]] == [
        (typename, code, path)
    ]
    result = await api.client.execute("{ backtests { totalCount } }")
    assert result.data["backtests"]["totalCount"] == 0


async def test_explicit_nulls_mean_the_defaults(api: Api) -> None:
    payload = await api.run(
        execution={"makerFee": None, "sizing": None, "fill": None}, parameters=None, tags=None, force=None
    )
    again = await api.run()
    assert payload["errors"] == []
    assert payload["backtest"]["contentHash"] == again["backtest"]["contentHash"]


async def test_another_user_and_nobody_see_nothing(api: Api, desk: Desk) -> None:
    identifier = await api.complete()
    stranger = await make_actor(desk.runtime, "stranger")
    token = await make_access_token(desk.runtime, stranger)
    query = "query($id: ID!) { backtest(id: $id) { id } node(id: $id) { id } backtests { totalCount } }"
    other = await api.client.signed_in(token).execute(query, {"id": identifier})
    assert other.data == {"backtest": None, "node": None, "backtests": {"totalCount": 0}}
    mine = await api.client.execute(query, {"id": identifier})
    assert mine.data["backtest"] == mine.data["node"] == {"id": identifier}
    for mutation in ("cancelBacktest", "deleteBacktest"):
        text = f"mutation($id: ID!) {{ {mutation}(input: {{id: $id}}) {{ errors {{ code }} }} }}"
        refused = await api.client.signed_in(token).execute(text, {"id": identifier})
        assert refused.data[mutation]["errors"] == [{"code": "NOT_FOUND"}]
    anonymous = await GraphQLClient(api.client.http).execute(query, {"id": identifier})
    assert set(anonymous.codes) == {"UNAUTHENTICATED"}


async def test_a_subscription_tells_a_run_from_its_state_to_its_result_and_resumes(api: Api) -> None:
    subscription = """
    subscription($id: ID!, $after: String) {
      backtestProgress(id: $id, after: $after) {
        cursor status progress barTime equity backtest { id status metrics { trades } strategy { slug } }
      }
    }
    """
    payload = await api.run()
    identifier = payload["backtest"]["id"]
    _, key = parse_id(identifier)
    authorization = {"authorization": f"Bearer {api.token}"}
    async with GraphQLSocket(InProcessTransport(api.app), authorization) as socket:
        events = []
        async for result in socket.results(subscription, {"id": identifier}):
            events.append(result["data"]["backtestProgress"])
            if len(events) == 1:
                running = asyncio.create_task(run_backtest({"runtime": api.desk.runtime}, str(key)))
        await running
        assert events[0]["status"] == "QUEUED"
        assert events[-1]["status"] == "COMPLETED"
        assert events[-1]["backtest"]["metrics"]["trades"] > 0
        assert events[-1]["backtest"]["strategy"] == {"slug": "ema-cross"}
        assert all(event["backtest"] is None for event in events[:-1])
        after = events[2]["cursor"]
        replayed = [
            result["data"]["backtestProgress"]["cursor"]
            async for result in socket.results(subscription, {"id": identifier, "after": after})
        ]
        assert replayed == [event["cursor"] for event in events[3:]]


async def test_curves_thin_out_and_keep_the_deepest_drawdown(api: Api) -> None:
    identifier = await api.complete()
    query = """query($id: ID!) { backtest(id: $id) {
        metrics { maxDrawdown }
        whole: equity { time equity drawdown }
        thin: equity(maxPoints: 100) { time equity drawdown }
    } }"""
    found = (await api.client.execute(query, {"id": identifier})).data["backtest"]
    whole, thin = found["whole"], found["thin"]
    assert len(whole["time"]) == len(whole["equity"]) == 2000
    assert len(thin["time"]) == len(thin["drawdown"]) <= 100
    assert set(zip(thin["time"], thin["equity"], strict=True)) <= set(
        zip(whole["time"], whole["equity"], strict=True)
    )
    assert (thin["time"][0], thin["time"][-1]) == (whole["time"][0], whole["time"][-1])
    assert max(whole["drawdown"]) == found["metrics"]["maxDrawdown"]
    assert max(thin["drawdown"]) == pytest.approx(max(whole["drawdown"]), abs=0.01)
    refused = await api.client.execute(
        "query($id: ID!) { backtest(id: $id) { equity(maxPoints: 1) { time } } }", {"id": identifier}
    )
    assert refused.codes == ["BAD_USER_INPUT"]


TRADE = """number side quantity entryTime entryPrice exitTime exitPrice profit profitFraction fees funding
    bars exitReason maxFavorable maxAdverse equityAfter"""


async def test_the_ledger_as_columns_has_the_numbers_of_its_trades(api: Api) -> None:
    identifier = await api.complete()
    query = f"""query($id: ID!) {{ backtest(id: $id) {{
        ledger(first: 100) {{ totalCount nodes {{ {TRADE} }} }}
        ledgerColumns {{ {TRADE} }}
        ends: ledgerColumns(exitReason: END_OF_DATA) {{ number exitReason }}
        shorts: ledgerColumns(side: SHORT) {{ {TRADE} }}
    }} }}"""
    found = (await api.client.execute(query, {"id": identifier})).data["backtest"]
    trades, columns = found["ledger"]["nodes"], found["ledgerColumns"]
    assert len(trades) == found["ledger"]["totalCount"] > 5
    for name, column in columns.items():
        of_trades = [trade[name] for trade in trades]
        if name in ("entryTime", "exitTime"):
            of_trades = [datetime.fromisoformat(each).timestamp() * 1000 for each in of_trades]
        elif name not in ("side", "exitReason"):
            of_trades = [float(each) for each in of_trades]
        assert column == of_trades, name
    assert found["ends"] == {
        "number": [trade["number"] for trade in trades if trade["exitReason"] == "END_OF_DATA"],
        "exitReason": ["END_OF_DATA" for trade in trades if trade["exitReason"] == "END_OF_DATA"],
    }
    assert found["shorts"] == {name: [] for name in TRADE.split()}


async def test_a_strategy_lists_its_own_backtests(api: Api) -> None:
    identifier = await api.complete()
    query = """query($id: ID!) { strategy(id: $id) {
        backtests(where: {status: [COMPLETED]}, orderBy: [{field: CREATED_AT}], first: 5) {
            totalCount nodes { id }
        }
    } }"""
    result = await api.client.execute(query, {"id": api.strategy_id})
    assert result.data["strategy"]["backtests"] == {"totalCount": 1, "nodes": [{"id": identifier}]}
