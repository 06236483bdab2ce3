"""verifyBacktest: a completed backtest is run again and compared bit for bit."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import delete, select, text, update

from gql_trader.app import create_app
from gql_trader.backtests import jobs, repository, verification
from gql_trader.backtests.compute import compute
from gql_trader.backtests.content import Versions
from gql_trader.backtests.jobs import run_backtest, sweep, verify_backtest
from gql_trader.backtests.ledger import decode_segments
from gql_trader.backtests.models import (
    BacktestCurveRow,
    BacktestRow,
    BacktestVerificationRow,
    LedgerSegmentRow,
)
from gql_trader.backtests.running import load_input
from gql_trader.backtests.types import QUEUE
from gql_trader.config import Settings
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import NO_PLUGINS
from gql_trader.engine.version import METRICS_VERSION
from gql_trader.gql.relay import encode_id
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.market_data.service import ensure_market, save_candles
from tests.factories.actors import make_access_token, make_actor
from tests.factories.backtests import Desk
from tests.factories.candles import forex_bars, random_bars
from tests.factories.statements import counted_statements
from tests.graphql_client import GraphQLClient, graphql_client

VERIFY = """mutation($id: ID!) { verifyBacktest(input: {id: $id}) {
    backtest { id verification { status } }
    verification { status identical differences { name } error engineVersion finishedAt }
    errors { __typename code path }
} }"""
ASK = """query($id: ID!) { backtest(id: $id) { verification {
    status identical error requestedAt finishedAt engineVersion
    differences { part name count row stored recomputed }
} } }"""


class Bench:
    """A trader's client, and a completed backtest with stops and many trades."""

    def __init__(self, desk: Desk, client: GraphQLClient, key: UUID) -> None:
        self.desk = desk
        self.client = client
        self.key = key
        self.id = encode_id("Backtest", key)

    async def request(self) -> dict[str, Any]:
        return (await self.client.execute(VERIFY, {"id": self.id})).data["verifyBacktest"]  # type: ignore[no-any-return]

    async def work(self) -> None:
        """Do what a worker does with the job."""
        async with self.desk.runtime.unit_of_work() as uow:
            number = await uow.session.scalar(select(BacktestVerificationRow.number))
        await verify_backtest({"runtime": self.desk.runtime}, str(self.key), number or 0)

    async def outcome(self) -> dict[str, Any]:
        found = await self.client.execute(ASK, {"id": self.id})
        return found.data["backtest"]["verification"]  # type: ignore[no-any-return]

    async def change(self, *statements: Any) -> None:
        async with self.desk.runtime.unit_of_work() as uow:
            for statement in statements:
                await uow.session.execute(statement)


@pytest.fixture
async def bench(desk: Desk, settings: Settings) -> AsyncIterator[Bench]:
    spec = ExecutionSpec(stop_loss=0.03, trailing_stop=0.02, slippage=0.0005)
    row, _ = await desk.submit(execution=spec)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    token = await make_access_token(desk.runtime, desk.trader)
    async with graphql_client(create_app(settings, desk.runtime)) as client:
        yield Bench(desk, client.signed_in(token), row.id)


async def test_an_untouched_result_is_identical_and_may_be_verified_again(bench: Bench) -> None:
    assert await bench.outcome() is None
    for number in (1, 2):
        payload = await bench.request()
        assert payload["errors"] == []
        assert payload["backtest"] == {"id": bench.id, "verification": {"status": "QUEUED"}}
        assert payload["verification"]["identical"] is None is payload["verification"]["differences"]
        await bench.work()
        found = await bench.outcome()
        assert (found["status"], found["identical"], found["differences"]) == ("COMPLETED", True, [])
        assert found["error"] is None
        assert found["finishedAt"] > found["requestedAt"]
        async with bench.desk.runtime.unit_of_work() as uow:
            assert await uow.session.scalar(select(BacktestVerificationRow.number)) == number


async def test_a_change_of_one_bit_is_found_wherever_it_is(bench: Bench) -> None:
    async with bench.desk.runtime.unit_of_work() as uow:
        equity = decode_columns((await repository.curves(uow.session, [bench.key], "equity"))[bench.key])
        segments = await repository.all_ledger_segments(uow.session, bench.key)
    ledger = decode_segments(dict(enumerate(segments))).columns
    assert len(ledger["profit"]) > 5
    value, trade = equity["equity"][7], ledger["exit_price"][3]
    equity["equity"][7] = np.nextafter(value, np.inf)
    ledger["exit_price"][3] = np.nextafter(trade, 0.0)
    # A negative zero equals zero, but it is not the same result.
    zero = int(np.flatnonzero(ledger["max_favorable"] == 0.0)[0])
    ledger["max_favorable"][zero] = -0.0
    await bench.change(
        update(BacktestCurveRow).values(equity=encode_columns(equity)),
        update(LedgerSegmentRow).values(data=encode_columns(ledger)),
        update(BacktestRow).values(sharpe_ratio=None),
    )
    await bench.request()
    await bench.work()
    found = await bench.outcome()
    assert (found["status"], found["identical"]) == ("COMPLETED", False)
    stored = await bench.desk.row(bench.key)
    assert stored.sharpe_ratio is None
    by_name = {each["name"]: each for each in found["differences"]}
    assert set(by_name) == {"equity", "exit_price", "max_favorable", "sharpe_ratio"}
    assert (
        by_name["equity"] | {"part": "EQUITY", "count": 1, "row": 7, "recomputed": value} == by_name["equity"]
    )
    assert by_name["exit_price"]["row"] == 3
    assert by_name["exit_price"]["recomputed"] == trade
    assert by_name["max_favorable"]["row"] == zero
    assert by_name["sharpe_ratio"]["part"] == "METRICS"
    assert by_name["sharpe_ratio"]["stored"] is None


async def test_missing_trades_are_found(bench: Bench) -> None:
    async with bench.desk.runtime.unit_of_work() as uow:
        segments = await repository.all_ledger_segments(uow.session, bench.key)
    ledger = decode_segments(dict(enumerate(segments))).columns
    n = len(ledger["profit"])
    shorter = encode_columns({name: column[:-2] for name, column in ledger.items()})
    await bench.change(update(LedgerSegmentRow).values(data=shorter))
    await bench.request()
    await bench.work()
    assert (await bench.outcome())["differences"] == [
        {"part": "LEDGER", "name": "rows", "count": 2, "row": n - 2, "stored": n - 2, "recomputed": n}
    ]


async def test_changed_candles_are_named_as_the_reason_and_nothing_is_compared(bench: Bench) -> None:
    async with bench.desk.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "BTC/USD")
        await save_candles(uow, market.id, bench.desk.request().interval, random_bars(10, seed=99))
    await bench.request()
    await bench.work()
    found = await bench.outcome()
    assert found["status"] == "FAILED"
    assert found["error"].startswith("The candles are not those that this backtest ran on")
    assert found["identical"] is None is found["differences"]


async def test_a_result_of_an_earlier_engine_is_compared_all_the_same(bench: Bench) -> None:
    async with bench.desk.runtime.unit_of_work() as uow:
        row = await repository.backtest(uow.session, bench.desk.trader.user_id, bench.key)
    assert row is not None
    earlier = await _hash_under(bench, "0")
    await bench.change(update(BacktestRow).values(engine_version="0", content_hash=earlier))
    await bench.request()
    await bench.work()
    found = await bench.outcome()
    assert (found["status"], found["identical"]) == ("COMPLETED", True)
    assert found["engineVersion"] == row.engine_version != "0"


async def test_a_result_of_earlier_metrics_is_measured_by_theirs_and_never_handed_out_as_a_new_one(
    bench: Bench,
) -> None:
    desk = bench.desk
    async with desk.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "EUR/USD")
        await save_candles(uow, market.id, desk.request().interval, forex_bars(1_000, seed=4))
    row, _ = await desk.submit(market="test:EUR/USD")
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    new = await desk.row(row.id)
    assert new.metrics_version == METRICS_VERSION == 2
    async with desk.runtime.unit_of_work() as uow:
        run = await load_input(uow, desk.runtime.arrays, new, NO_PLUGINS, Versions(new.engine_version, 1))
    measured = compute(run, lambda *_: None)
    # As it was stored at that time.
    key = row.id
    await bench.change(
        update(BacktestRow)
        .where(BacktestRow.id == key)
        .values(content_hash=measured.content_hash, **measured.metrics),
        update(BacktestCurveRow).where(BacktestCurveRow.backtest_id == key).values(daily=measured.daily),
    )
    old = await desk.row(key)
    assert old.metrics_version == 1
    assert old.sharpe_ratio != new.sharpe_ratio
    assert old.total_return == new.total_return
    own = Bench(desk, bench.client, key)
    await own.request()
    await own.work()
    found = await own.outcome()
    assert (found["status"], found["identical"], found["differences"]) == ("COMPLETED", True, [])
    again, cached = await desk.submit(market="test:EUR/USD")
    assert not cached
    await run_backtest({"runtime": desk.runtime}, str(again.id))
    once_more = await desk.row(again.id)
    assert (once_more.metrics_version, once_more.sharpe_ratio) == (2, new.sharpe_ratio)
    # 252 days from Monday to Friday instead of 365 with flat weekends among them.
    curve = (await _daily(bench, again.id))["return"]
    assert once_more.sharpe_ratio == pytest.approx(curve.mean() / curve.std(ddof=1) * np.sqrt(252), rel=1e-12)


async def _daily(bench: Bench, key: UUID) -> dict[str, Any]:
    async with bench.desk.runtime.unit_of_work() as uow:
        return dict(decode_columns((await repository.curves(uow.session, [key], "daily"))[key]))


async def _hash_under(bench: Bench, engine: str) -> str:
    async with bench.desk.runtime.unit_of_work() as uow:
        row = await repository.backtest(uow.session, bench.desk.trader.user_id, bench.key)
        assert row is not None
        versions = Versions(engine, row.metrics_version)
        return (await load_input(uow, bench.desk.runtime.arrays, row, NO_PLUGINS, versions)).content_hash


async def test_only_ones_own_completed_backtests_can_be_verified(bench: Bench) -> None:
    stranger = await make_actor(bench.desk.runtime, "stranger")
    other = bench.client.signed_in(await make_access_token(bench.desk.runtime, stranger))
    refused = (await other.execute(VERIFY, {"id": bench.id})).data["verifyBacktest"]
    assert refused == {
        "backtest": None,
        "verification": None,
        "errors": [{"__typename": "NotFoundError", "code": "NOT_FOUND", "path": ["id"]}],
    }
    queued, _ = await bench.desk.submit(force=True)
    early = await bench.client.execute(VERIFY, {"id": encode_id("Backtest", queued.id)})
    assert early.data["verifyBacktest"]["errors"][0]["code"] == "INVALID_STATE"
    async with bench.desk.runtime.unit_of_work() as uow:
        assert (await uow.session.execute(select(BacktestVerificationRow))).all() == []


async def test_a_verification_under_way_is_not_started_again(bench: Bench) -> None:
    await bench.request()
    again = await bench.request()
    assert again["verification"]["status"] == "QUEUED"
    async with bench.desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(select(BacktestVerificationRow.number)) == 1
    await bench.work()
    before = await bench.outcome()
    # A job that comes a second time, and one of an earlier request, change nothing.
    await bench.work()
    await verify_backtest({"runtime": bench.desk.runtime}, str(bench.key), 0)
    assert await bench.outcome() == before


async def test_verifications_count_towards_the_hour(bench: Bench) -> None:
    async with bench.desk.runtime.unit_of_work() as uow:
        limits, actor = bench.desk.runtime.rate_limits, bench.desk.trader
        # The backtest itself was the first.
        await verification.request_verification(uow, limits, actor, bench.key, hourly=2)
    await bench.work()
    with pytest.raises(Exception, match="within the last hour"):
        async with bench.desk.runtime.unit_of_work() as uow:
            await verification.request_verification(uow, limits, actor, bench.key, hourly=2)
    assert (await bench.outcome())["status"] == "COMPLETED"


async def test_what_the_queue_has_lost_is_handed_out_again_until_it_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.request()
    runtime = bench.desk.runtime
    [key] = await runtime.queue.waiting(QUEUE, [f"verify_backtest:{bench.key}:1"])
    await sweep(runtime)
    assert await runtime.queue.waiting(QUEUE, [key]) == {key}
    await runtime.queue._redis.flushdb()
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)
    await sweep(runtime)
    assert await runtime.queue.waiting(QUEUE, [key]) == {key}
    for _ in range(verification.MAXIMUM_ATTEMPTS):
        async with runtime.unit_of_work() as uow:
            assert await verification.begin(uow, bench.key, 1) is not None
    await bench.work()
    found = await bench.outcome()
    assert (found["status"], found["error"]) == ("FAILED", "Gave up after 5 workers did not finish it.")


async def test_verifications_go_with_their_backtest(bench: Bench) -> None:
    await bench.request()
    await bench.change(delete(BacktestRow).where(BacktestRow.id == bench.key))
    await verify_backtest({"runtime": bench.desk.runtime}, str(bench.key), 1)
    async with bench.desk.runtime.unit_of_work() as uow:
        count = await uow.session.scalar(text("SELECT count(*) FROM backtest_verifications"))
    assert count == 0


async def test_the_verifications_and_months_of_a_page_are_read_by_as_many_statements(bench: Bench) -> None:
    for fast in range(3, 9):
        row, _ = await bench.desk.submit(parameters={"fast": fast})
        await run_backtest({"runtime": bench.desk.runtime}, str(row.id))
    document = """query($n: Int!) { backtests(first: $n, orderBy: [{field: CREATED_AT}]) { nodes {
        metrics { totalReturn } verification { status } monthlyReturns { year month return }
    } } }"""
    await bench.client.execute(document, {"n": 1})
    with counted_statements(bench.desk.engine) as few:
        await bench.client.execute(document, {"n": 1})
    with counted_statements(bench.desk.engine) as many:
        found = await bench.client.execute(document, {"n": 10})
    assert len(few) == len(many)
    nodes = found.data["backtests"]["nodes"]
    assert len(nodes) == 7
    for node in nodes:
        months = node["monthlyReturns"]
        assert [(each["year"], each["month"]) for each in months] == [(2024, 1), (2024, 2), (2024, 3)]
        grown = np.prod([1.0 + each["return"] for each in months])
        assert grown == pytest.approx(1.0 + node["metrics"]["totalReturn"], rel=1e-12)
