"""plot and lookahead of a backtest: asked of a worker, equal to what the engine gives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from gql_trader.app import create_app
from gql_trader.backtests import schema_charts
from gql_trader.backtests.jobs import run_backtest
from gql_trader.backtests.models import BacktestRow
from gql_trader.config import Settings
from gql_trader.engine.execution import Direction, ExecutionSpec
from gql_trader.engine.rules import compile_rules
from gql_trader.gql.relay import encode_id
from gql_trader.infra.worker import WakeWorker
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES
from tests.factories.actors import make_access_token, make_actor
from tests.factories.backtests import BARS, Desk
from tests.factories.candles import random_bars
from tests.graphql_client import GraphQLClient, graphql_client
from workers import charts as charts_queue

PLOT = """query($id: ID!, $points: Int, $start: DateTime, $end: DateTime) { backtest(id: $id) {
    metrics { trades }
    ledger(first: 100) { nodes { number side entryTime entryPrice exitTime exitReason } }
    plot(maxPoints: $points, start: $start, end: $end) {
        barsPerCandle candles { time open high low close volume } lines { label plot values }
        entries { time price side number exitReason } exits { time price side number exitReason }
    }
} }"""
LOOKAHEAD = """query($id: ID!) { backtest(id: $id) { lookahead {
    clean cuts plannedCuts changes { signal time cut withFuture withoutFuture changedBars }
} } }"""


@pytest.fixture
async def worker(desk: Desk, settings: Settings) -> AsyncIterator[None]:
    """A worker on the queue of charts."""
    found = WakeWorker(
        charts_queue.queue(settings), settings.redis_url.get_secret_value(), {"runtime": desk.runtime}
    )
    task = asyncio.create_task(found.main())
    await found.ready.wait()
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await found.stop()


@pytest.fixture
async def client(desk: Desk, settings: Settings) -> AsyncIterator[GraphQLClient]:
    """The trader's client."""
    token = await make_access_token(desk.runtime, desk.trader)
    async with graphql_client(create_app(settings, desk.runtime)) as client:
        yield client.signed_in(token)


async def _complete(desk: Desk, **changes: Any) -> str:
    spec = ExecutionSpec(direction=Direction.BOTH, stop_loss=0.02)
    row, _ = await desk.submit(execution=spec, **changes)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    return encode_id("Backtest", row.id)


@pytest.mark.usefixtures("worker")
async def test_a_plot_of_every_bar_has_the_candles_the_lines_and_the_trades(
    desk: Desk, client: GraphQLClient
) -> None:
    identifier = await _complete(desk)
    backtest = (await client.execute(PLOT, {"id": identifier, "points": BARS})).data["backtest"]
    plot, bars = backtest["plot"], random_bars(BARS, seed=3)
    assert plot["barsPerCandle"] == 1
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert plot["candles"][name] == getattr(bars, name).tolist(), name
    strategy = BUILTIN_STRATEGIES["builtin:ema_cross"]
    expected = compile_rules(strategy.rules, strategy.parameters).plots(bars)
    assert [(line["label"], line["plot"]) for line in plot["lines"]] == [
        ("ema(source, fast)", True),
        ("ema(source, slow)", True),
    ]
    for line, right in zip(plot["lines"], expected, strict=True):
        found = np.array([np.nan if value is None else value for value in line["values"]])
        np.testing.assert_array_equal(found, right.values)
        assert line["values"][0] is None
    trades = backtest["ledger"]["nodes"]
    assert plot["entries"]["number"] == [trade["number"] for trade in trades]
    assert len(trades) == backtest["metrics"]["trades"] > 10
    assert plot["entries"]["side"] == [trade["side"] for trade in trades]
    assert plot["exits"]["exitReason"] == [trade["exitReason"] for trade in trades]
    assert plot["entries"]["exitReason"] is None
    assert plot["entries"]["price"] == pytest.approx([float(trade["entryPrice"]) for trade in trades])
    assert len(set(plot["entries"]["side"])) == 2


@pytest.mark.usefixtures("worker")
async def test_a_thin_plot_joins_bars_and_keeps_extremes_and_the_last_value_of_each_line(
    desk: Desk, client: GraphQLClient
) -> None:
    identifier = await _complete(desk)
    whole = (await client.execute(PLOT, {"id": identifier, "points": BARS})).data["backtest"]["plot"]
    thin = (await client.execute(PLOT, {"id": identifier, "points": 300})).data["backtest"]["plot"]
    size = thin["barsPerCandle"]
    assert size == 7
    assert len(thin["candles"]["time"]) == 286
    ends = [min(n + size, BARS) - 1 for n in range(0, BARS, size)]
    assert thin["candles"]["close"] == [whole["candles"]["close"][end] for end in ends]
    assert thin["candles"]["high"][:-1] == [
        max(whole["candles"]["high"][n : n + size]) for n in range(0, BARS - size, size)
    ]
    for line, every in zip(thin["lines"], whole["lines"], strict=True):
        assert line["values"] == [every["values"][end] for end in ends]
    assert thin["entries"] == whole["entries"]


@pytest.mark.usefixtures("worker")
async def test_a_plot_of_a_range_has_the_same_values_there_and_only_its_trades(
    desk: Desk, client: GraphQLClient
) -> None:
    identifier = await _complete(desk)
    whole = (await client.execute(PLOT, {"id": identifier, "points": BARS})).data["backtest"]["plot"]
    some = {"start": "2024-02-01T00:00:00Z", "end": "2024-02-03T00:00:00Z"}
    part = (await client.execute(PLOT, {"id": identifier} | some)).data["backtest"]["plot"]
    at = whole["candles"]["time"].index(part["candles"]["time"][0])
    assert part["candles"]["close"] == whole["candles"]["close"][at : at + 48]
    assert part["lines"][0]["values"] == whole["lines"][0]["values"][at : at + 48]
    first, last = part["candles"]["time"][0], part["candles"]["time"][-1] + 3_600_000
    assert part["exits"]["time"] == [time for time in whole["exits"]["time"] if first <= time <= last]
    assert 0 < len(part["exits"]["time"]) < len(whole["exits"]["time"])
    none = (await client.execute(PLOT, {"id": identifier, "start": "2031-01-01T00:00:00Z"})).data
    plot = none["backtest"]["plot"]
    assert plot["candles"]["time"] == plot["entries"]["time"] == plot["lines"][0]["values"] == []


@pytest.mark.usefixtures("worker")
async def test_rules_do_not_look_ahead(desk: Desk, client: GraphQLClient) -> None:
    identifier = await _complete(desk)
    report = (await client.execute(LOOKAHEAD, {"id": identifier})).data["backtest"]["lookahead"]
    assert (report["clean"], report["changes"]) == (True, [])
    assert report["cuts"] == report["plannedCuts"] > 20


@pytest.mark.usefixtures("worker")
async def test_what_cannot_be_drawn_is_refused_with_the_reason(desk: Desk, client: GraphQLClient) -> None:
    identifier = await _complete(desk)
    for points in (3, 5_001):
        refused = await client.execute(PLOT, {"id": identifier, "points": points})
        assert refused.codes == ["BAD_USER_INPUT"]
    stranger = await make_access_token(desk.runtime, await make_actor(desk.runtime, "stranger"))
    assert (await client.signed_in(stranger).execute(PLOT, {"id": identifier})).data == {"backtest": None}
    queued, _ = await desk.submit(force=True)
    found = await client.execute(PLOT, {"id": encode_id("Backtest", queued.id)})
    assert found.data["backtest"]["plot"] is None
    async with desk.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "BTC/USD")
        await save_candles(uow, market.id, desk.request().interval, random_bars(10, seed=99))
    changed = await client.execute(PLOT, {"id": identifier})
    assert changed.errors[0]["message"].startswith("The candles are not those that this backtest ran on")


async def test_without_a_worker_it_says_so_and_a_deleted_backtest_has_no_plot(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_charts, "ANSWER_SECONDS", 0.05)
    identifier = await _complete(desk)
    late = await client.execute(PLOT, {"id": identifier})
    assert late.codes == ["TIMEOUT"]
    assert late.body["data"]["backtest"]["plot"] is None
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(delete(BacktestRow))
    assert (await client.execute(PLOT, {"id": identifier})).data == {"backtest": None}


@pytest.mark.usefixtures("worker")
async def test_only_so_many_may_be_asked_for_in_a_minute(
    desk: Desk, client: GraphQLClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_charts, "CHARTS_PER_MINUTE", 2)
    identifier = await _complete(desk)
    for _ in range(2):
        assert (await client.execute(LOOKAHEAD, {"id": identifier})).codes == []
    refused = await client.execute(PLOT, {"id": identifier})
    assert refused.codes == ["RATE_LIMITED"]
    assert refused.errors[0]["extensions"]["retryAfterSeconds"] > 0


async def test_a_list_of_plots_costs_more_than_one_may_ask_for(desk: Desk, client: GraphQLClient) -> None:
    query: Any = "{ backtests(first: 100) { nodes { plot { barsPerCandle } } } }"
    assert (await client.execute(query)).codes == ["COST_LIMIT_EXCEEDED"]
