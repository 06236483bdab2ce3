"""Backtests of rules with on(), through GraphQL: warm-up, refusal, and what checkStrategy says of them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from gql_trader.app import create_app
from gql_trader.backtests import repository
from gql_trader.backtests.jobs import run_backtest
from gql_trader.config import Settings
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import HOUR
from gql_trader.engine import simulation
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.gql.relay import parse_id
from gql_trader.infra.column_codec import decode_columns
from tests.factories.actors import make_access_token
from tests.factories.backtests import BARS, Desk
from tests.factories.candles import random_bars
from tests.graphql_client import GraphQLClient, graphql_client

RULES = {
    "entryLong": 'crossover(close, on("4h", sma(close, 5)))',
    "exitLong": 'crossunder(close, on("4h", sma(close, 5))) or on("1d", close < open)',
}
CREATE = """mutation($input: CreateStrategyInput!) {
    createStrategy(input: $input) { strategy { id } errors { message } }
}"""
RUN = """mutation($input: RunBacktestInput!) {
    runBacktest(input: $input) { backtest { id bars } errors { code path message } }
}"""
CHECK = """query($input: StrategyRulesInput!, $interval: Interval) {
    checkStrategy(input: $input, interval: $interval) { valid warmupBars indicators issues { path message } }
}"""


@pytest.fixture
async def client(desk: Desk, settings: Settings) -> AsyncIterator[GraphQLClient]:
    """The trader's client."""
    token = await make_access_token(desk.runtime, desk.trader)
    async with graphql_client(create_app(settings, desk.runtime)) as client:
        yield client.signed_in(token)


async def _run(client: GraphQLClient, **changes: Any) -> dict[str, Any]:
    created = await client.execute(CREATE, {"input": {"name": "Higher", "rules": RULES}})
    strategy = created.data["createStrategy"]["strategy"]["id"]
    given = {"strategyId": strategy, "market": "BTC/USD", "interval": "H1"} | changes
    return (await client.execute(RUN, {"input": given})).data["runBacktest"]  # type: ignore[no-any-return]


async def test_a_run_from_the_middle_warms_up_on_the_days_before(desk: Desk, client: GraphQLClient) -> None:
    bars = random_bars(BARS, seed=3)
    at = 1_003
    payload = await _run(client, start=from_milliseconds(int(bars.time[at])).isoformat())
    assert payload["errors"] == []
    assert payload["backtest"]["bars"] == BARS - at
    key = UUID(str(parse_id(payload["backtest"]["id"])[1]))
    await run_backtest({"runtime": desk.runtime}, str(key))
    async with desk.runtime.unit_of_work() as uow:
        curve = (await repository.curves(uow.session, [key], "equity"))[key]
    rules = compile_rules(Rules(RULES["entryLong"], RULES["exitLong"]))
    # Averages of whole higher bars do not depend on where the history begins.
    whole = simulation.run(bars, rules.signals(bars), ExecutionSpec(), 10_000.0, at)
    assert len(whole.ledger) > 10
    # The market's precision rounds the run's quantities.
    np.testing.assert_allclose(decode_columns(curve)["equity"], whole.equity, rtol=1e-9)


async def test_bars_that_do_not_make_up_the_interval_are_refused(client: GraphQLClient) -> None:
    payload = await _run(client, interval="D1")
    assert payload["backtest"] is None
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [
        ("INVALID_INPUT", ["interval"])
    ] * 2
    assert "these are 1d bars" in payload["errors"][0]["message"]


async def test_the_warm_up_is_told_for_an_interval_and_left_open_without(client: GraphQLClient) -> None:
    async def check(interval: str | None) -> dict[str, Any]:
        found = await client.execute(CHECK, {"input": RULES, "interval": interval})
        return found.data["checkStrategy"]  # type: ignore[no-any-return]

    names = ["crossover", "crossunder", "on", "sma"]
    assert await check(None) == {"valid": True, "warmupBars": None, "indicators": names, "issues": []}
    expected = compile_rules(Rules(RULES["entryLong"], RULES["exitLong"])).warmup(None, HOUR)
    assert await check("H1") == {"valid": True, "warmupBars": expected, "indicators": names, "issues": []}
    assert expected == 46
    daily = await check("D1")
    assert (daily["valid"], daily["warmupBars"]) == (False, None)
    assert [issue["path"] for issue in daily["issues"]] == [["entryLong"], ["exitLong"]]


async def test_on_is_listed_among_the_functions(client: GraphQLClient) -> None:
    listed = (await client.execute("{ indicators { name signature } }")).data["indicators"]
    assert {"name": "on", "signature": "on(interval, expression)"} in listed
    assert [each["name"] for each in listed] == sorted(each["name"] for each in listed)
