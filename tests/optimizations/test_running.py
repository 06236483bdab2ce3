"""What workers do with the chunks of a search, and what they do when they are in each other's way."""

import asyncio
import math
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from gql_trader.backtests import repository as backtests
from gql_trader.backtests.jobs import run_backtest
from gql_trader.core.ids import global_id
from gql_trader.core.intervals import HOUR, Interval
from gql_trader.engine.search.scoring import METRICS, Goal, Objective
from gql_trader.engine.version import METRICS_VERSION
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.runs import MAXIMUM_CRASHES
from gql_trader.market_data.service import ensure_market, find_market, save_candles
from gql_trader.notifications import long_runs
from gql_trader.notifications.models import NotificationRow
from gql_trader.optimizations import jobs, lifecycle, planning, repository
from gql_trader.optimizations.jobs import run_chunk, sweep
from gql_trader.optimizations.models import OptimizationRow
from gql_trader.optimizations.types import (
    QUEUE,
    ChunkStatus,
    Claim,
    ParameterRange,
    SearchMethod,
    WalkForward,
)
from gql_trader.strategies import service as strategies
from tests.factories.backtests import BARS
from tests.factories.candles import forex_bars, random_bars
from tests.factories.optimizations import FAST, SLOW, Searches, assert_same

STOPS = ParameterRange("execution.stopLoss", values=[False, 0.01, 0.03])


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trials a chunk."""
    monkeypatch.setattr(planning, "MOST_TRIALS", 3)


async def test_a_trial_has_the_figures_of_the_backtest_with_its_parameters(searches: Searches) -> None:
    row = await searches.complete(ranges=(FAST, SLOW, STOPS))
    assert (row.status, row.trials_done, row.trials_total, row.progress) == ("COMPLETED", 54, 54, 1.0)
    figures = await searches.figures(row.id)
    desk = searches.desk
    for number, fast, slow, stop in ((1, 3, 10, None), (2, 3, 10, 0.01), (54, 8, 30, 0.03)):
        spec = searches.request().execution
        backtest, _ = await desk.submit(
            parameters={"fast": fast, "slow": slow}, execution=type(spec)(stop_loss=stop)
        )
        await run_backtest({"runtime": desk.runtime}, str(backtest.id))
        async with desk.runtime.unit_of_work() as uow:
            stored = await backtests.backtest(uow.session, desk.trader.user_id, backtest.id)
        assert stored is not None
        assert stored.trades > 3
        for name in METRICS:
            assert figures[name][number - 1] == pytest.approx(getattr(stored, name), rel=1e-12), name
    assert figures["score"] == pytest.approx(figures["sharpe_ratio"], nan_ok=True)


async def test_the_figures_are_the_same_bit_for_bit_however_the_chunks_are_cut(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {
        "method": SearchMethod.RANDOM,
        "trials": 20,
        "ranges": (FAST, ParameterRange("execution.stopLoss", 0.005, 0.1)),
    }
    whole = await searches.complete(**drawn)
    monkeypatch.setattr(planning, "MOST_TRIALS", 3)
    cut = await searches.complete(**drawn, force=True)
    assert cut.id != whole.id
    assert cut.content_hash == whole.content_hash
    figures = await searches.figures(whole.id)
    assert_same(await searches.figures(cut.id), figures)
    other = await searches.complete(**drawn, seed=2)
    assert (await searches.figures(other.id))["score"] != figures["score"]


@pytest.mark.parametrize("version", [1, METRICS_VERSION])
async def test_a_search_measures_all_trials_and_windows_by_the_version_and_days_it_was_requested_for(
    searches: Searches, version: int
) -> None:
    desk = searches.desk
    async with desk.runtime.unit_of_work() as uow:
        market = await ensure_market(uow, "test", "EUR/USD")
        await save_candles(uow, market.id, Interval.H1, forex_bars(400, seed=4))
    row, _ = await searches.submit(market="test:EUR/USD")
    # Windows of four days and of three: some have a Friday and no Sunday, some the contrary.
    walked, _ = await searches.submit(market="test:EUR/USD", walk_forward=WalkForward(4, 3))
    assert row.metrics_version == walked.metrics_version == METRICS_VERSION
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(update(OptimizationRow).values(metrics_version=version))
    days = 365 if version == 1 else 252
    for each in (row, walked):
        await searches.run(each.id)
        assert (await searches.row(each.id)).status == "COMPLETED"
        async with desk.runtime.unit_of_work() as uow:
            report = (await repository.reports(uow.session, [each.id]))[each.id]
        assert report.summary["annualDays"] == days
        if each is walked:
            returns = decode_columns(report.daily)["return"]
            expected = returns.mean() / returns.std(ddof=1) * math.sqrt(days)
            assert report.summary["metrics"]["sharpe_ratio"] == pytest.approx(expected, rel=1e-12)
    figures = await searches.figures(row.id)
    backtest, _ = await desk.submit(market="test:EUR/USD", parameters={"fast": 3, "slow": 10})
    await run_backtest({"runtime": desk.runtime}, str(backtest.id))
    same = figures["sharpe_ratio"][0] == pytest.approx((await desk.row(backtest.id)).sharpe_ratio, rel=1e-12)
    assert same is (version == METRICS_VERSION)


@pytest.mark.usefixtures("small_chunks")
async def test_two_workers_at_once_do_each_chunk_once(searches: Searches) -> None:
    row, _ = await searches.submit()
    alone = await searches.complete(force=True)

    async def worker() -> None:
        await searches.run(row.id)

    await asyncio.gather(worker(), worker())
    after = await searches.row(row.id)
    assert (after.status, after.trials_done) == ("COMPLETED", 18)
    assert [(await searches.chunk(row.id, number)).attempt for number in range(7)] == [1] * 7
    assert_same(await searches.figures(row.id), await searches.figures(alone.id))


@pytest.mark.usefixtures("small_chunks")
async def test_the_report_waits_for_the_last_trial_and_progress_only_grows(searches: Searches) -> None:
    row, _ = await searches.submit()
    assert await searches.queued(row.id) == [0, 1, 2, 3, 4, 5]
    await searches.run(row.id)
    events = await searches.events(row.id)
    assert [event["status"] for event in events] == ["QUEUED", *["RUNNING"] * 7, "COMPLETED"]
    told = [event["trialsDone"] for event in events]
    assert told == [0, 0, 3, 6, 9, 12, 15, 18, 18]


@pytest.mark.usefixtures("small_chunks")
async def test_only_so_many_chunks_are_handed_out_at_a_time(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "HANDED_OUT", 2)
    row, _ = await searches.submit()
    assert await searches.queued(row.id) == [0, 1]
    await run_chunk({"runtime": searches.desk.runtime}, str(row.id), 1)
    assert await searches.queued(row.id) == [0, 2]
    await searches.run(row.id)
    assert (await searches.row(row.id)).status == "COMPLETED"


@pytest.mark.usefixtures("small_chunks")
async def test_a_worker_that_lost_its_lease_stores_nothing_and_its_chunk_is_redone_once(
    searches: Searches,
) -> None:
    row, _ = await searches.submit()
    runtime = searches.desk.runtime
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, row.id, 0, 60.0)
    assert claimed is not None
    held = claimed[0]
    await sweep(runtime)
    assert (await searches.chunk(row.id, 0)).status == ChunkStatus.RUNNING, "the lease still holds"
    await searches.expire_leases()
    await sweep(runtime)
    chunk = await searches.chunk(row.id, 0)
    assert (chunk.status, chunk.crashes, chunk.dispatch) == (ChunkStatus.QUEUED, 1, 1)
    late = lifecycle.Trials(b"", b"", 99.0, 1)
    async with runtime.unit_of_work() as uow:
        assert not await lifecycle.complete_trials(uow, held, late)
        assert not await lifecycle.renew(uow, held, 60.0)
        assert not await lifecycle.fail(uow, held, "too late")
        assert not await lifecycle.hand_back(uow, held)
    await searches.run(row.id)
    after = await searches.row(row.id)
    assert (after.status, after.trials_done) == ("COMPLETED", 18)
    assert [(await searches.chunk(row.id, number)).crashes for number in range(3)] == [1, 0, 0]
    async with runtime.unit_of_work() as uow:
        assert not await lifecycle.complete_trials(uow, held, late)
    assert (await searches.row(row.id)).trials_done == 18


async def test_a_chunk_that_keeps_killing_its_workers_fails_the_search(searches: Searches) -> None:
    row, _ = await searches.submit()
    for _ in range(MAXIMUM_CRASHES):
        async with searches.desk.runtime.unit_of_work() as uow:
            assert await lifecycle.claim(uow, row.id, 0, -1.0) is not None
        await sweep(searches.desk.runtime)
    after = await searches.row(row.id)
    assert after.status == "FAILED"
    assert after.error == "Gave up after 3 workers died in the middle of one part."
    assert [event["status"] for event in await searches.events(row.id)].count("FAILED") == 1


async def test_a_job_that_comes_back_takes_over_an_abandoned_chunk(searches: Searches) -> None:
    row, _ = await searches.submit()
    async with searches.desk.runtime.unit_of_work() as uow:
        assert await lifecycle.claim(uow, row.id, 0, 60.0) is not None
    await run_chunk({"runtime": searches.desk.runtime}, str(row.id), 0)
    assert (await searches.row(row.id)).trials_done == 0, "the lease still holds"
    await searches.expire_leases()
    await run_chunk({"runtime": searches.desk.runtime}, str(row.id), 0)
    chunk = await searches.chunk(row.id, 0)
    assert (chunk.status, chunk.crashes, chunk.attempt) == (ChunkStatus.DONE, 1, 2)


async def test_what_redis_has_lost_is_swept_up(searches: Searches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)
    row, _ = await searches.submit()
    queue = searches.desk.runtime.queue
    await queue._redis.flushdb()
    await sweep(searches.desk.runtime)
    again = lifecycle.job_key(row.id, 0, 1)
    assert await queue.waiting(QUEUE, [again]) == {again}
    # A job that waits is left alone, however long.
    await sweep(searches.desk.runtime)
    assert (await searches.chunk(row.id, 0)).dispatch == 1


@pytest.mark.usefixtures("small_chunks")
async def test_a_cancelled_search_keeps_its_trials_and_runs_no_more(searches: Searches) -> None:
    row, _ = await searches.submit()
    runtime = searches.desk.runtime
    await run_chunk({"runtime": runtime}, str(row.id), 0)
    async with runtime.unit_of_work() as uow:
        assert await lifecycle.cancel(uow, row.id)
        assert not await lifecycle.cancel(uow, row.id)
    for number in range(1, 7):
        await run_chunk({"runtime": runtime}, str(row.id), number)
    after = await searches.row(row.id)
    assert (after.status, after.trials_done, after.attempt) == ("CANCELLED", 3, 1)
    assert len((await searches.figures(row.id))["score"]) == 3
    await searches.expire_leases()
    await sweep(runtime)
    assert (await searches.row(row.id)).status == "CANCELLED"


async def test_a_search_cancelled_in_the_middle_of_a_chunk_stops_inside_it(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    check = jobs._Stop.check

    def cancelling(self: jobs._Stop, fraction: float) -> None:
        seen.append(fraction)
        # Between two trials, the lease's keeper has found the search cancelled.
        self.stop()
        check(self, fraction)

    monkeypatch.setattr(jobs._Stop, "check", cancelling)
    row, _ = await searches.submit()
    await run_chunk({"runtime": searches.desk.runtime}, str(row.id), 0)
    assert len(seen) == 1
    assert (await searches.row(row.id)).trials_done == 0
    async with searches.desk.runtime.unit_of_work() as uow:
        cancelled = await lifecycle.cancel(uow, row.id)
        held = Claim(row.id, 0, 1)
        assert cancelled
        assert not await lifecycle.renew(uow, held, 60.0)


async def test_a_stopping_worker_hands_its_chunk_back(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    load = jobs.load_setting  # type: ignore[attr-defined]

    async def slow_load(*arguments: object) -> object:
        started.set()
        await release.wait()
        return await load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "load_setting", slow_load)
    row, _ = await searches.submit()
    task = asyncio.create_task(run_chunk({"runtime": searches.desk.runtime}, str(row.id), 0))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    chunk = await searches.chunk(row.id, 0)
    assert (chunk.status, chunk.dispatch, chunk.crashes) == (ChunkStatus.QUEUED, 1, 0)
    release.set()
    await searches.run(row.id)
    assert (await searches.row(row.id)).status == "COMPLETED"


async def test_candles_that_change_meanwhile_end_the_search(searches: Searches) -> None:
    row, _ = await searches.submit()
    async with searches.desk.runtime.unit_of_work() as uow:
        market = await find_market(uow, "test:BTC/USD")
        await save_candles(uow, market.id, Interval.H1, random_bars(BARS, seed=4))
    await searches.run(row.id)
    after = await searches.row(row.id)
    assert (after.status, after.trials_done) == ("FAILED", 0)
    assert "candles have changed" in (after.error or "")


async def test_a_defect_fails_the_search_without_telling_its_inside(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(jobs, "compute_trials", broken)
    row, _ = await searches.submit()
    await searches.run(row.id)
    after = await searches.row(row.id)
    assert after.status == "FAILED"
    assert "secret" not in (after.error or "")


async def test_combinations_that_are_not_valid_are_told_from_those_that_are(searches: Searches) -> None:
    async with searches.desk.runtime.unit_of_work() as uow:
        found = await strategies.find_strategy(uow, searches.desk.trader, slug="macd")
    assert found is not None
    # An oscillation needs a fast period below the slow one.
    row = await searches.complete(
        strategy_id=found.id,
        ranges=(ParameterRange("fast", 5, 20, 5), ParameterRange("slow", 10, 20, 10)),
        goal=Goal(((Objective.TOTAL_RETURN, 1.0),), min_trades=0),
    )
    figures = await searches.figures(row.id)
    assert row.status == "COMPLETED"
    valid = [not math.isnan(value) for value in figures["total_return"]]
    assert len(valid) == 8
    assert any(valid)


async def test_a_search_in_which_nothing_trades_completes_without_a_best_trial(searches: Searches) -> None:
    row = await searches.complete(goal=Goal(((Objective.SHARPE_RATIO, 1.0),), min_trades=10_000))
    assert row.status == "COMPLETED"
    figures = await searches.figures(row.id)
    assert all(map(math.isnan, figures["score"]))
    assert not any(map(math.isnan, figures["total_return"]))


async def test_the_warm_up_is_that_of_the_slowest_combination_for_all(searches: Searches) -> None:
    start = datetime(2024, 1, 20, tzinfo=UTC)
    row = await searches.complete(start=start)
    assert row.start_time == start
    assert row.bars == BARS - 19 * 24
    async with searches.desk.runtime.unit_of_work() as uow:
        definition = await strategies.load_version(uow, searches.desk.strategy_id, 1)
    rules = strategies.compiled(definition, searches.desk.runtime.plugins)
    assert row.warmup_bars == rules.warmup({"fast": 8, "slow": 30, "source": "close"}, HOUR)
    assert row.warmup_bars > rules.warmup({"fast": 8, "slow": 20, "source": "close"}, HOUR)


async def test_the_end_of_a_long_search_is_told_to_its_owner_and_that_of_a_short_one_is_not(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told() -> list[tuple[str, dict[str, object]]]:
        async with searches.desk.runtime.unit_of_work() as uow:
            rows = await uow.session.scalars(select(NotificationRow).order_by(NotificationRow.number))
            return [(row.kind, row.payload) for row in rows]

    await searches.complete()
    assert await told() == []
    monkeypatch.setattr(long_runs, "LONG_RUN_SECONDS", 0.0)
    search = await searches.complete(force=True)
    cancelled, _ = await searches.submit(force=True)
    async with searches.desk.runtime.unit_of_work() as uow:
        assert await lifecycle.cancel(uow, cancelled.id)
    expected = {"optimizationId": global_id("Optimization", search.id)}
    assert await told() == [("OPTIMIZATION_COMPLETED", expected)]
