"""Parameter searches through GraphQL over HTTP and WebSocket, in-process, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette

from gql_trader.app import create_app
from gql_trader.backtests.jobs import run_backtest
from gql_trader.config import Settings
from gql_trader.engine.rules import Parameter, ParameterType, Rules
from gql_trader.gql.relay import encode_id, parse_id
from gql_trader.optimizations import planning
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy, StrategyChange
from tests.factories.actors import make_access_token, make_actor
from tests.factories.optimizations import Searches
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, GraphQLSocket, InProcessTransport, graphql_client

RUN = """
mutation($input: RunOptimizationInput!) {
  runOptimization(input: $input) {
    optimization { id status trialsTotal contentHash bars ranges { name values min max log } }
    cached errors { __typename code message path }
  }
}
"""
SHOW = """
query($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $orderBy: TrialOrder) {
  optimization(id: $id) {
    status progress trialsDone method objective
    objectives { metric weight }
    strategy { slug } market { symbol }
    best { number parameters objective metrics { sharpeRatio trades } }
    trials(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) {
      totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      nodes { number parameters objective valid metrics { totalReturn maxDrawdown trades winRate } }
    }
  }
}
"""
GRID = [{"name": "fast", "min": 3, "max": 8}, {"name": "slow", "min": 10, "max": 30, "step": 10}]


@dataclass
class Api:
    """The application with a signed-in trader."""

    searches: Searches
    app: Starlette
    client: GraphQLClient
    token: str

    async def run(self, **changes: Any) -> dict[str, Any]:
        """Request a search and return its payload."""
        strategy = encode_id("Strategy", self.searches.desk.strategy_id)
        given = {"strategyId": strategy, "market": "BTC/USD", "interval": "H1", "ranges": GRID} | changes
        result = await self.client.execute(RUN, {"input": given})
        return result.data["runOptimization"]  # type: ignore[no-any-return]

    async def complete(self, **changes: Any) -> str:
        """Request a search, run it and return its id."""
        payload = await self.run(**changes)
        assert payload["errors"] == [], payload
        identifier = str(payload["optimization"]["id"])
        await self.searches.run(parse_id(identifier)[1])
        return identifier

    async def show(self, identifier: str, **variables: Any) -> dict[str, Any]:
        """Return a search."""
        result = await self.client.execute(SHOW, {"id": identifier} | variables)
        return result.data["optimization"]  # type: ignore[no-any-return]


@pytest.fixture
async def api(searches: Searches, settings: Settings) -> AsyncIterator[Api]:
    """The application over the desk's runtime."""
    app = create_app(settings, searches.desk.runtime)
    token = await make_access_token(searches.desk.runtime, searches.desk.trader)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(graphql_client(app))
        yield Api(searches, app, client.signed_in(token), token)


async def test_a_grid_tries_every_combination_and_shows_the_best_first(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MOST_TRIALS", 4)
    found = await api.show(await api.complete(), first=100)
    assert (found["status"], found["progress"], found["trialsDone"]) == ("COMPLETED", 1.0, 18)
    assert (found["strategy"]["slug"], found["market"]["symbol"]) == ("ema-cross", "BTC/USD")
    assert (found["method"], found["objective"]) == ("GRID", "SHARPE_RATIO")
    nodes = found["trials"]["nodes"]
    combinations = {(node["parameters"]["fast"], node["parameters"]["slow"]) for node in nodes}
    assert combinations == {(fast, slow) for fast in range(3, 9) for slow in (10, 20, 30)}
    objectives = [node["objective"] for node in nodes]
    assert objectives == sorted(objectives, reverse=True)
    assert found["best"]["number"] == nodes[0]["number"]
    assert found["best"]["objective"] == found["best"]["metrics"]["sharpeRatio"] == objectives[0]
    assert found["trials"]["totalCount"] == 18


@pytest.mark.parametrize("field", ["OBJECTIVE", "NUMBER"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_pages_in_either_order_and_direction_have_every_trial_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, field: str, direction: str
) -> None:
    monkeypatch.setattr(planning, "MOST_TRIALS", 4)
    identifier = await api.complete(minTrades=60)
    order = {"field": field, "direction": direction}
    whole = (await api.show(identifier, first=100, orderBy=order))["trials"]["nodes"]
    assert any(node["objective"] is None for node in whole)
    if field == "OBJECTIVE":
        values = [node["objective"] for node in whole if node["objective"] is not None]
        assert values == sorted(values, reverse=direction == "DESC")
        assert [node["objective"] for node in whole] == values + [None] * (18 - len(values))
    forwards: list[Any] = []
    backwards: list[Any] = []
    after = before = None
    while True:
        page = (await api.show(identifier, first=5, after=after, orderBy=order))["trials"]
        forwards += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    while True:
        page = (await api.show(identifier, last=7, before=before, orderBy=order))["trials"]
        backwards = page["nodes"] + backwards
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        before = page["pageInfo"]["startCursor"]
    assert forwards == backwards == whole


async def test_a_list_of_searches_costs_as_many_statements_for_one_as_for_many(api: Api) -> None:
    for seed in range(4):
        await api.complete(method="RANDOM", trials=3, seed=seed)
    query = """query($first: Int, $trials: Int) { optimizations(first: $first) { totalCount nodes {
        id seed best { number } strategy { slug } market { symbol }
        trials(first: $trials) { nodes { number } } heatmap(x: "fast", y: "slow") { best }
    } } }"""
    await api.client.execute(query, {"first": 1, "trials": 1})
    with counted_statements(api.searches.desk.engine) as few:
        await api.client.execute(query, {"first": 1, "trials": 1})
    with counted_statements(api.searches.desk.engine) as many:
        result = await api.client.execute(query, {"first": 10, "trials": 100})
    assert len(few) == len(many)
    found = result.data["optimizations"]
    assert found["totalCount"] == 4
    assert [node["seed"] for node in found["nodes"]] == [3, 2, 1, 0]
    assert all(len(node["trials"]["nodes"]) == 3 for node in found["nodes"])


async def test_a_heatmap_has_the_best_and_the_mean_of_what_lies_behind_each_cell(api: Api) -> None:
    stops = {"name": "execution.stopLoss", "values": [False, 0.02]}
    identifier = await api.complete(ranges=[*GRID, stops])
    query = """query($id: ID!, $x: String!, $y: String!) { optimization(id: $id) {
        heatmap(x: $x, y: $y) { xValues yValues best mean trials }
    } }"""
    result = await api.client.execute(query, {"id": identifier, "x": "slow", "y": "fast"})
    found = result.data["optimization"]["heatmap"]
    assert (found["xValues"], found["yValues"]) == ([10, 20, 30], [3, 4, 5, 6, 7, 8])
    assert found["trials"] == [[2, 2, 2]] * 6
    trials = (await api.show(identifier, first=100))["trials"]["nodes"]
    behind = [
        each["objective"]
        for each in trials
        if (each["parameters"]["fast"], each["parameters"]["slow"]) == (5, 20)
    ]
    assert len(behind) == 2
    assert found["best"][2][1] == max(behind)
    assert found["mean"][2][1] == pytest.approx(sum(behind) / 2, rel=1e-15)
    off = await api.client.execute(query, {"id": identifier, "x": "execution.stopLoss", "y": "fast"})
    assert off.data["optimization"]["heatmap"]["xValues"] == [None, 0.02]
    for x, y in (("slow", "slow"), ("slow", "source")):
        refused = await api.client.execute(query, {"id": identifier, "x": x, "y": y})
        assert refused.codes == ["BAD_USER_INPUT"]


async def test_a_weighted_sum_is_maximised(api: Api) -> None:
    terms = [{"metric": "TOTAL_RETURN", "weight": 2.0}, {"metric": "CAGR", "weight": -0.5}]
    identifier = await api.complete(objectives=terms)
    found = await api.show(identifier, first=100)
    assert found["objectives"] == terms
    query = """query($id: ID!) { optimization(id: $id) { trials(first: 100) {
        nodes { objective metrics { totalReturn cagr } } } } }"""
    nodes = (await api.client.execute(query, {"id": identifier})).data["optimization"]["trials"]["nodes"]
    for node in nodes:
        expected = 2.0 * node["metrics"]["totalReturn"] - 0.5 * node["metrics"]["cagr"]
        assert node["objective"] == pytest.approx(expected, rel=1e-15)


async def test_any_figure_of_a_backtest_may_be_the_objective(api: Api) -> None:
    identifier = await api.complete(objectives=[{"metric": "ULCER_INDEX", "weight": -1.0}])
    best = (await api.show(identifier, first=100))["best"]
    promote = """mutation($id: ID!) { promoteTrial(input: {optimizationId: $id}) { backtest { id } } }"""
    payload = (await api.client.execute(promote, {"id": identifier})).data["promoteTrial"]
    await run_backtest({"runtime": api.searches.desk.runtime}, str(parse_id(payload["backtest"]["id"])[1]))
    query = "query($id: ID!) { backtest(id: $id) { metrics { ulcerIndex } } }"
    found = (await api.client.execute(query, {"id": payload["backtest"]["id"]})).data["backtest"]
    assert best["objective"] == pytest.approx(-found["metrics"]["ulcerIndex"], rel=1e-12)


async def test_trials_beyond_a_constraint_have_no_objective(api: Api) -> None:
    nodes = (await api.show(await api.complete(maxDrawdown=0.5, minTrades=50), first=100))["trials"]["nodes"]
    for node in nodes:
        kept = node["metrics"]["trades"] >= 50 and node["metrics"]["maxDrawdown"] <= 0.5
        assert (node["objective"] is not None) == kept
    assert len({node["objective"] is None for node in nodes}) == 2


REFUSALS: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"ranges": []}, "INVALID_INPUT", ["ranges"]),
    ({"ranges": [{"name": "nonsense", "min": 1, "max": 2}]}, "INVALID_INPUT", ["ranges", "0", "name"]),
    ({"ranges": [GRID[0], GRID[0]]}, "INVALID_INPUT", ["ranges", "1", "name"]),
    ({"ranges": [{"name": "fast", "min": 8, "max": 3}]}, "INVALID_INPUT", ["ranges", "0", "max"]),
    ({"ranges": [{"name": "fast", "min": -5, "max": 3}]}, "INVALID_INPUT", ["ranges", "0", "min"]),
    ({"ranges": [{"name": "fast", "min": 2.5, "max": 3}]}, "INVALID_INPUT", ["ranges", "0", "min"]),
    (
        {"ranges": [{"name": "fast", "min": 2, "max": 9, "step": 0}]},
        "INVALID_INPUT",
        ["ranges", "0", "step"],
    ),
    ({"ranges": [{"name": "fast", "values": []}]}, "INVALID_INPUT", ["ranges", "0", "values"]),
    ({"ranges": [{"name": "fast", "values": [3, 3]}]}, "INVALID_INPUT", ["ranges", "0", "values"]),
    ({"ranges": [{"name": "fast", "values": ["x"]}]}, "INVALID_INPUT", ["ranges", "0", "values"]),
    (
        {"ranges": [{"name": "fast", "values": [3], "max": 4}]},
        "INVALID_INPUT",
        ["ranges", "0", "max"],
    ),
    ({"ranges": [{"name": "source", "min": 1}]}, "INVALID_INPUT", ["ranges", "0", "min"]),
    (
        {"ranges": [{"name": "execution.stopLoss", "min": 0.1, "max": 2.0, "step": 0.1}]},
        "INVALID_INPUT",
        ["ranges", "0", "max"],
    ),
    (
        {"ranges": [{"name": "execution.stopLoss", "min": 0.1, "max": 0.2}]},
        "INVALID_INPUT",
        ["ranges", "0", "step"],
    ),
    (
        {"ranges": [{"name": "execution.stopLoss"}]},
        "INVALID_INPUT",
        ["ranges", "0", "min"],
    ),
    (
        {"ranges": [{"name": "execution.sizing", "values": [1]}]},
        "INVALID_INPUT",
        ["ranges", "0", "name"],
    ),
    (
        {"ranges": [{"name": "execution.direction", "values": ["UP"]}]},
        "INVALID_INPUT",
        ["ranges", "0", "values"],
    ),
    (
        {"ranges": [{"name": "execution.cooldownBars", "values": [1.5]}]},
        "INVALID_INPUT",
        ["ranges", "0", "values"],
    ),
    (
        {"ranges": [{"name": "execution.amountPrecision", "values": [1]}]},
        "INVALID_INPUT",
        ["ranges", "0", "name"],
    ),
    (
        {"ranges": [{"name": "execution.trailingActivation", "values": [0.02]}]},
        "INVALID_INPUT",
        ["ranges", "0", "values"],
    ),
    ({"trials": 3}, "INVALID_INPUT", ["trials"]),
    ({"method": "RANDOM", "trials": 0}, "INVALID_INPUT", ["trials"]),
    ({"method": "RANDOM", "trials": 18}, "INVALID_INPUT", ["trials"]),
    ({"seed": -1}, "INVALID_INPUT", ["seed"]),
    ({"minTrades": -1}, "INVALID_INPUT", ["minTrades"]),
    ({"maxDrawdown": 0}, "INVALID_INPUT", ["maxDrawdown"]),
    ({"objectives": []}, "INVALID_INPUT", ["objectives"]),
    ({"objective": "MAX_DRAWDOWN"}, "INVALID_INPUT", ["objectives"]),
    (
        {"objectives": [{"metric": "CAGR", "weight": 0}]},
        "INVALID_INPUT",
        ["objectives", "0", "weight"],
    ),
    ({"parameters": {"nonsense": 1}}, "INVALID_INPUT", ["parameters", "nonsense"]),
    ({"execution": {"stopLoss": 2}}, "INVALID_INPUT", ["execution", "stopLoss"]),
    ({"initialCapital": "0"}, "INVALID_INPUT", ["initialCapital"]),
    ({"market": "DOGE/USD"}, "NOT_FOUND", ["market"]),
    ({"interval": "M1"}, "NO_DATA", ["interval"]),
    ({"label": " "}, "INVALID_INPUT", ["label"]),
]


async def test_a_refusal_names_its_place_and_queues_nothing(api: Api) -> None:
    for changes, code, path in REFUSALS:
        payload = await api.run(**changes)
        assert payload["optimization"] is None, changes
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [(code, path)], changes
    result = await api.client.execute("{ optimizations { totalCount } }")
    assert result.data["optimizations"]["totalCount"] == 0


async def test_ranges_take_their_kinds_of_values_from_the_strategy_and_the_execution(api: Api) -> None:
    payload = await api.run(
        method="RANDOM",
        trials=8,
        ranges=[
            {"name": "execution.takeProfit", "min": 0.01, "max": 0.2, "log": True},
            {"name": "fast", "values": [5, 8.0]},
            {"name": "source"},
            {"name": "execution.sizing.equityFraction", "min": 0.1, "max": 0.3, "step": 0.1},
            {"name": "execution.direction", "values": ["LONG", "BOTH"]},
            {"name": "execution.trailingActivation", "values": [0.02]},
            {"name": "execution.trailingStop", "values": [False, 0.01]},
            {"name": "execution.maxDailyTrades", "min": 1, "max": 3},
        ],
    )
    assert payload["errors"] == []
    ranges = payload["optimization"]["ranges"]
    assert [each["name"] for each in ranges] == [
        "fast",
        "source",
        "execution.takeProfit",
        "execution.sizing.equityFraction",
        "execution.direction",
        "execution.trailingActivation",
        "execution.trailingStop",
        "execution.maxDailyTrades",
    ]
    assert ranges[0]["values"] == [5, 8]
    assert ranges[1]["values"][:4] == ["open", "high", "low", "close"]
    assert ranges[2] == {
        "name": "execution.takeProfit", "values": None, "min": 0.01, "max": 0.2, "log": True
    }  # fmt: skip
    assert ranges[3]["values"] == [0.1, 0.2, 0.3]
    assert ranges[7]["values"] == [1, 2, 3]
    await api.searches.run(parse_id(payload["optimization"]["id"])[1])
    found = await api.show(payload["optimization"]["id"], first=100)
    assert found["status"] == "COMPLETED"
    for node in found["trials"]["nodes"]:
        # An activation is nothing without the trailing stop that it activates.
        assert node["valid"] == (node["parameters"]["execution.trailingStop"] is not None)


async def test_a_subscription_tells_a_search_from_its_state_to_its_end_and_resumes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MOST_TRIALS", 3)
    subscription = """
    subscription($id: ID!, $after: String) {
      optimizationProgress(id: $id, after: $after) {
        cursor status progress trialsDone optimization { id status best { number } }
      }
    }
    """
    identifier = (await api.run())["optimization"]["id"]
    authorization = {"authorization": f"Bearer {api.token}"}
    async with GraphQLSocket(InProcessTransport(api.app), authorization) as socket:
        events = []
        async for result in socket.results(subscription, {"id": identifier}):
            events.append(result["data"]["optimizationProgress"])
            if len(events) == 1:
                running = asyncio.create_task(api.searches.run(parse_id(identifier)[1]))
        await running
        assert events[0]["status"] == "QUEUED"
        assert [event["trialsDone"] for event in events[1:]] == [0, 3, 6, 9, 12, 15, 18, 18]
        assert events[-1]["status"] == events[-1]["optimization"]["status"] == "COMPLETED"
        assert events[-1]["optimization"]["best"]["number"] >= 1
        assert all(event["optimization"] is None for event in events[:-1])
        replayed = [
            result["data"]["optimizationProgress"]["cursor"]
            async for result in socket.results(subscription, {"id": identifier, "after": events[3]["cursor"]})
        ]
        assert replayed == [event["cursor"] for event in events[4:]]


async def test_an_equal_search_that_completed_is_returned_at_once(api: Api) -> None:
    identifier = await api.complete()
    again = await api.run()
    assert (again["optimization"]["id"], again["cached"]) == (identifier, True)
    forced = await api.run(force=True)
    assert not forced["cached"]
    assert forced["optimization"]["contentHash"] == again["optimization"]["contentHash"]
    assert not (await api.run(objective="CAGR"))["cached"]


async def test_an_idempotency_key_searches_once(api: Api) -> None:
    payloads = await asyncio.gather(*(api.run(idempotencyKey="k") for _ in range(4)))
    assert len({payload["optimization"]["id"] for payload in payloads}) == 1
    other = await api.run(idempotencyKey="k", seed=7)
    assert [error["code"] for error in other["errors"]] == ["IDEMPOTENCY_MISMATCH"]


async def test_only_so_many_searches_run_at_a_time(api: Api) -> None:
    for seed in range(5):
        assert (await api.run(method="RANDOM", trials=3, seed=seed))["errors"] == []
    refused = await api.run(method="RANDOM", trials=3, seed=9)
    assert [error["code"] for error in refused["errors"]] == ["QUOTA_EXCEEDED"]


async def test_cancelling_deleting_and_what_is_anothers(api: Api) -> None:
    identifier = (await api.run())["optimization"]["id"]
    token = await make_access_token(
        api.searches.desk.runtime, await make_actor(api.searches.desk.runtime, "stranger")
    )
    stranger = api.client.signed_in(token)
    query = (
        "query($id: ID!) { optimization(id: $id) { id } node(id: $id) { id } optimizations { totalCount } }"
    )
    hidden = await stranger.execute(query, {"id": identifier})
    assert hidden.data == {"optimization": None, "node": None, "optimizations": {"totalCount": 0}}
    cancel = """mutation($id: ID!) { cancelOptimization(input: {id: $id}) {
        optimization { status } errors { code } } }"""
    delete = "mutation($id: ID!) { deleteOptimization(input: {id: $id}) { deletedId errors { code } } }"
    for mutation, name in ((cancel, "cancelOptimization"), (delete, "deleteOptimization")):
        refused = await stranger.execute(mutation, {"id": identifier})
        assert refused.data[name]["errors"] == [{"code": "NOT_FOUND"}]
    early = await api.client.execute(delete, {"id": identifier})
    assert early.data["deleteOptimization"]["errors"] == [{"code": "INVALID_STATE"}]
    cancelled = await api.client.execute(cancel, {"id": identifier})
    assert cancelled.data["cancelOptimization"]["optimization"] == {"status": "CANCELLED"}
    again = await api.client.execute(cancel, {"id": identifier})
    assert again.data["cancelOptimization"]["errors"] == [{"code": "INVALID_STATE"}]
    gone = await api.client.execute(delete, {"id": identifier})
    assert gone.data["deleteOptimization"] == {"deletedId": identifier, "errors": []}
    assert (await api.client.execute(query, {"id": identifier})).data["optimization"] is None


PROMOTE = """
mutation($id: ID!, $number: Int) {
  promoteTrial(input: {optimizationId: $id, number: $number, label: "chosen"}) {
  backtest { id label parameters execution { stopLoss } strategyVersion } cached errors { code path }
} }
"""


async def test_a_promoted_trial_is_a_backtest_with_the_figures_of_the_trial(api: Api) -> None:
    desk = api.searches.desk
    stops = {"name": "execution.stopLoss", "values": [False, 0.03]}
    identifier = await api.complete(ranges=[*GRID, stops], start="2024-01-25T00:00:00Z")
    best = (await api.show(identifier))["best"]
    payload = (await api.client.execute(PROMOTE, {"id": identifier})).data["promoteTrial"]
    assert payload["errors"] == []
    backtest = payload["backtest"]
    assert backtest["label"] == "chosen"
    for name in ("fast", "slow"):
        assert backtest["parameters"][name] == best["parameters"][name]
    assert backtest["execution"]["stopLoss"] == best["parameters"]["execution.stopLoss"]
    await run_backtest({"runtime": desk.runtime}, str(parse_id(backtest["id"])[1]))
    query = "query($id: ID!) { backtest(id: $id) { status metrics { sharpeRatio trades } } }"
    found = (await api.client.execute(query, {"id": backtest["id"]})).data["backtest"]
    assert found["status"] == "COMPLETED"
    assert found["metrics"]["trades"] == best["metrics"]["trades"]
    assert found["metrics"]["sharpeRatio"] == pytest.approx(best["metrics"]["sharpeRatio"], rel=1e-12)
    again = (await api.client.execute(PROMOTE, {"id": identifier, "number": best["number"]})).data
    assert again["promoteTrial"]["backtest"]["id"] == backtest["id"]
    assert again["promoteTrial"]["cached"]
    missing = (await api.client.execute(PROMOTE, {"id": identifier, "number": 99})).data["promoteTrial"]
    assert missing["errors"] == [{"code": "NOT_FOUND", "path": ["number"]}]


async def test_a_trial_is_promoted_with_the_strategy_that_was_searched(api: Api) -> None:
    desk = api.searches.desk
    parameters = (Parameter("n", ParameterType.INT, 5, 2, 50),)
    async with desk.runtime.unit_of_work() as uow:
        new = NewStrategy("Own", rules=Rules(entry_long="close > sma(close, n)"), parameters=parameters)
        own = await strategies.create_strategy(uow, desk.trader, new)
    identifier = await api.complete(
        strategyId=encode_id("Strategy", own.id), ranges=[{"name": "n", "values": [5, 7]}], minTrades=0
    )
    async with desk.runtime.unit_of_work() as uow:
        change = StrategyChange(rules=Rules(entry_long="close < sma(close, n)"))
        await strategies.update_strategy(uow, desk.trader, own.id, change)
    payload = (await api.client.execute(PROMOTE, {"id": identifier, "number": 2})).data["promoteTrial"]
    assert payload["errors"] == []
    assert payload["backtest"]["strategyVersion"] == 1
    assert payload["backtest"]["parameters"] == {"n": 7}


WALK = """
query($id: ID!) { optimization(id: $id) {
  trialsTotal
  walkForward {
    number trainStart trainEnd testStart testEnd trial parameters
    inSample { totalReturn trades } outOfSample { totalReturn trades }
  }
  outOfSample {
    bars finalEquity metrics { totalReturn maxDrawdown trades }
    equity { time equity drawdown } thin: equity(maxPoints: 40) { time } daily { time return }
  }
  trials(window: 2, first: 100) { totalCount nodes { number window } }
  heatmap(x: "fast", y: "slow", window: 1) { trials }
  significance { sharpeRatio days trials probabilisticSharpeRatio deflatedSharpeRatio }
} }
"""


async def test_a_walk_forward_search_reports_its_windows_and_what_came_of_them(api: Api) -> None:
    walk = {"trainDays": 30, "testDays": 15}
    identifier = await api.complete(walkForward=walk, objective="TOTAL_RETURN")
    found = (await api.client.execute(WALK, {"id": identifier})).data["optimization"]
    windows, curve = found["walkForward"], found["outOfSample"]
    assert found["trialsTotal"] == 4 * 18
    assert [window["testStart"][:10] for window in windows] == [
        "2024-01-31",
        "2024-02-15",
        "2024-03-01",
        "2024-03-16",
    ]
    assert windows[1]["trainStart"] == "2024-01-16T00:00:00.000Z"
    assert all(window["trainEnd"] == window["testStart"] for window in windows)
    assert [(window["trial"] - 1) // 18 for window in windows] == [0, 1, 2, 3]
    total = 1.0
    for window in windows:
        total *= 1.0 + window["outOfSample"]["totalReturn"]
    assert curve["metrics"]["totalReturn"] == pytest.approx(total - 1.0, rel=1e-12)
    assert curve["metrics"]["trades"] == sum(window["outOfSample"]["trades"] for window in windows)
    assert curve["bars"] == len(curve["equity"]["time"]) == 2000 - 30 * 24
    assert curve["equity"]["equity"][-1] == pytest.approx(float(curve["finalEquity"]), abs=1e-8)
    assert max(curve["equity"]["drawdown"]) == curve["metrics"]["maxDrawdown"]
    assert len(curve["thin"]["time"]) <= 40
    assert found["trials"]["totalCount"] == 18
    assert {node["window"] for node in found["trials"]["nodes"]} == {2}
    assert sum(map(sum, found["heatmap"]["trials"])) <= 18
    assert found["significance"]["deflatedSharpeRatio"] is None
    assert 0 < found["significance"]["probabilisticSharpeRatio"] < 1
    promoted = (await api.client.execute(PROMOTE, {"id": identifier, "number": windows[2]["trial"]})).data
    key = parse_id(promoted["promoteTrial"]["backtest"]["id"])[1]
    await run_backtest({"runtime": api.searches.desk.runtime}, str(key))
    row = await api.searches.desk.row(key)
    assert row.total_return == pytest.approx(windows[2]["inSample"]["totalReturn"], rel=1e-12)
    refused = await api.client.execute(
        "query($id: ID!) { optimization(id: $id) { trials(window: 5) { totalCount } } }", {"id": identifier}
    )
    assert refused.codes == ["BAD_USER_INPUT"]


async def test_a_result_says_how_much_it_proves(api: Api) -> None:
    identifier = await api.complete()
    query = """query($id: ID!, $seed: Int!) { optimization(id: $id) {
      walkForward { number } outOfSample { bars }
      best { metrics { sharpeRatio maxDrawdown totalReturn } }
      significance {
        sharpeRatio days skewness kurtosis trials
        probabilisticSharpeRatio expectedMaximumSharpeRatio deflatedSharpeRatio
      }
      bootstrap(samples: 500, confidence: 0.9, seed: $seed) {
        samples confidence blockDays totalReturn { low median high } maxDrawdown { low median high }
        sharpeRatio { low median high }
      }
    } }"""
    found = (await api.client.execute(query, {"id": identifier, "seed": 1})).data["optimization"]
    assert (found["walkForward"], found["outOfSample"]) == (None, None)
    proof, best = found["significance"], found["best"]["metrics"]
    assert proof["sharpeRatio"] == pytest.approx(best["sharpeRatio"], rel=1e-12)
    assert (proof["trials"], proof["days"]) == (18, 84)
    assert proof["deflatedSharpeRatio"] < proof["probabilisticSharpeRatio"]
    assert proof["expectedMaximumSharpeRatio"] > 0
    bounds = found["bootstrap"]
    assert (bounds["samples"], bounds["confidence"]) == (500, 0.9)
    assert bounds["totalReturn"]["low"] < best["totalReturn"] < bounds["totalReturn"]["high"]
    assert bounds["sharpeRatio"]["low"] < best["sharpeRatio"] < bounds["sharpeRatio"]["high"]
    again = (await api.client.execute(query, {"id": identifier, "seed": 1})).data["optimization"]
    other = (await api.client.execute(query, {"id": identifier, "seed": 2})).data["optimization"]
    assert again == found
    assert other["bootstrap"] != found["bootstrap"]
    for arguments in ("samples: 10", "confidence: 2", "blockDays: 0", "seed: -1"):
        refused = await api.client.execute(
            f"query($id: ID!) {{ optimization(id: $id) {{ bootstrap({arguments}) {{ samples }} }} }}",
            {"id": identifier},
        )
        assert refused.codes == ["BAD_USER_INPUT"], arguments
    waiting = (await api.run(force=True))["optimization"]["id"]
    early = (await api.client.execute(query, {"id": waiting, "seed": 1})).data["optimization"]
    assert (early["significance"], early["bootstrap"]) == (None, None)


async def test_the_capital_is_that_of_ones_preferences_unless_it_is_stated(api: Api) -> None:
    change = 'mutation { updatePreferences(input: {defaultCapital: "2500"}) { errors { code } } }'
    assert (await api.client.execute(change)).data["updatePreferences"]["errors"] == []
    query = "query($id: ID!) { optimization(id: $id) { initialCapital } }"
    for given, expected in (({}, "2500"), ({"initialCapital": "700"}, "700")):
        identifier = (await api.run(**given))["optimization"]["id"]
        found = (await api.client.execute(query, {"id": identifier})).data["optimization"]
        assert found == {"initialCapital": expected}
