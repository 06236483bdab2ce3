"""What a worker does with a backtest, and what it does when it is in the way of another one."""

import asyncio

import numpy as np
import pytest
from sqlalchemy import func, select, update

from gql_trader.backtests import jobs, lifecycle, repository
from gql_trader.backtests.execution import on_market
from gql_trader.backtests.jobs import run_backtest, sweep
from gql_trader.backtests.ledger import decode_segments
from gql_trader.backtests.models import BacktestCurveRow, BacktestRow, LedgerSegmentRow
from gql_trader.backtests.progress import Progress
from gql_trader.backtests.types import QUEUE, RunStatus
from gql_trader.core.ids import global_id
from gql_trader.engine import metrics, simulation
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Rules
from gql_trader.engine.trading_days import TradingDays
from gql_trader.infra.column_codec import decode_columns
from gql_trader.infra.runs import MAXIMUM_CRASHES
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.service import find_market
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.notifications import long_runs
from gql_trader.notifications.models import NotificationRow
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import NewStrategy
from tests.factories.backtests import Desk


async def test_what_is_stored_is_what_the_engine_gives(desk: Desk) -> None:
    spec = ExecutionSpec(stop_loss=0.02, take_profit=0.05, slippage=0.0005)
    row, _ = await desk.submit(execution=spec)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    stored = await desk.row(row.id)
    async with desk.runtime.unit_of_work() as uow:
        market = await find_market(uow, "test:BTC/USD")
        series = await find_series(uow, market.id, desk.request().interval)
        assert series is not None
        bars = (await load_bars(uow, desk.runtime.arrays, series)).bars
        definition = await strategies.load_version(uow, desk.strategy_id, 1)
        segments = await repository.ledger_segments(uow.session, [(row.id, 0)])
        curve = (await repository.curves(uow.session, [row.id], "equity"))[row.id]
    signals = strategies.compiled(definition, desk.runtime.plugins).signals(bars, stored.parameters)
    result = simulation.run(bars, signals, on_market(spec, market), 10_000.0)
    measured = metrics.compute(result, bars, TradingDays.EVERY_DAY)
    assert stored.status == RunStatus.COMPLETED
    assert stored.progress == 1.0
    assert measured.trades > 5
    for name in ("total_return", "sharpe_ratio", "max_drawdown", "trades", "win_rate", "exposure", "alpha"):
        assert getattr(stored, name) == getattr(measured, name), name
    assert float(stored.final_equity) == pytest.approx(result.final_equity, abs=1e-8)
    ledger = decode_segments({number: data for (_, number), data in segments.items()})
    assert np.array_equal(ledger.columns["profit"], result.ledger.profit)
    assert np.array_equal(ledger.columns["exit_time"], result.ledger.exit_time)
    assert np.array_equal(decode_columns(curve)["equity"], result.equity)


async def test_progress_is_told_in_order_and_ends_with_the_result(desk: Desk) -> None:
    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    events = await desk.events(row.id)
    assert [events[0]["status"], events[1]["status"], events[-1]["status"]] == [
        "QUEUED",
        "RUNNING",
        "COMPLETED",
    ]
    told = [float(str(event["progress"])) for event in events]
    assert told == sorted(told)
    assert len(told) >= 10
    assert any(event.get("barTime") and event.get("equity") for event in events)


async def test_running_twice_stores_one_result(desk: Desk) -> None:
    row, _ = await desk.submit()
    await asyncio.gather(*(run_backtest({"runtime": desk.runtime}, str(row.id)) for _ in range(3)))
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert (await desk.row(row.id)).attempt == 1
    assert [event["status"] for event in await desk.events(row.id)].count("COMPLETED") == 1


async def test_a_worker_that_lost_its_lease_stores_nothing(desk: Desk) -> None:
    row, _ = await desk.submit()
    runtime = desk.runtime
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, row.id, 60.0)
    assert claimed is not None
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(
            update(BacktestRow).values(lease_expires_at=func.now() - func.make_interval(0, 0, 0, 1))
        )
    await sweep(runtime)
    after = await desk.row(row.id)
    assert (after.status, after.crashes, after.dispatch) == (RunStatus.QUEUED, 1, 1)
    outcome = lifecycle.Outcome({"metrics_version": 1}, b"", b"", [b""], 1, "hash")
    async with runtime.unit_of_work() as uow:
        assert not await lifecycle.complete(uow, claimed[0], outcome)
        assert not await lifecycle.renew(uow, claimed[0], 60.0, 0.5)
        assert not await lifecycle.fail(uow, claimed[0], "too late")
        assert await uow.session.scalar(select(func.count()).select_from(LedgerSegmentRow)) == 0
    await run_backtest({"runtime": runtime}, str(row.id))
    assert (await desk.row(row.id)).status == RunStatus.COMPLETED


async def test_a_run_that_keeps_killing_its_workers_fails(desk: Desk) -> None:
    row, _ = await desk.submit()
    runtime = desk.runtime
    for _ in range(MAXIMUM_CRASHES):
        async with runtime.unit_of_work() as uow:
            assert await lifecycle.claim(uow, row.id, -1.0) is not None
        await sweep(runtime)
    after = await desk.row(row.id)
    assert after.status == RunStatus.FAILED
    assert after.error == "Gave up after 3 workers died in the middle of this run."


async def test_a_job_that_comes_back_takes_over_an_abandoned_run_and_counts_the_crash(desk: Desk) -> None:
    row, _ = await desk.submit()
    async with desk.runtime.unit_of_work() as uow:
        assert await lifecycle.claim(uow, row.id, 60.0) is not None
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert (await desk.row(row.id)).status == RunStatus.RUNNING, "the lease still holds"
    async with desk.runtime.unit_of_work() as uow:
        await uow.session.execute(update(BacktestRow).values(lease_expires_at=func.now()))
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    after = await desk.row(row.id)
    assert (after.status, after.crashes, after.attempt) == (RunStatus.COMPLETED, 1, 2)


async def test_a_crash_between_commit_and_enqueue_is_swept_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STALE_SECONDS", 0.0)
    row, _ = await desk.submit()
    key = lifecycle.job_key(row.id, 0)
    # What the crash would have left undone: the queue does not know the job.
    await desk.runtime.queue._redis.flushdb()
    assert await desk.runtime.queue.waiting(QUEUE, [key]) == set()
    await sweep(desk.runtime)
    again = lifecycle.job_key(row.id, 1)
    assert await desk.runtime.queue.waiting(QUEUE, [again]) == {again}
    # A job that waits is left alone, however long.
    await sweep(desk.runtime)
    assert (await desk.row(row.id)).dispatch == 1


async def test_a_stopping_worker_hands_its_run_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    load = jobs.load_input  # type: ignore[attr-defined]

    async def slow_load(*arguments: object) -> object:
        started.set()
        await release.wait()
        return await load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "load_input", slow_load)
    row, _ = await desk.submit()
    task = asyncio.create_task(run_backtest({"runtime": desk.runtime}, str(row.id)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = await desk.row(row.id)
    assert (after.status, after.dispatch, after.crashes) == (RunStatus.QUEUED, 1, 0)
    release.set()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert (await desk.row(row.id)).status == RunStatus.COMPLETED


async def test_a_lost_database_connection_puts_the_run_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = jobs.load_input  # type: ignore[attr-defined]

    async def cut_off(uow: UnitOfWork, *arguments: object) -> object:
        own = await uow.session.scalar(select(func.pg_backend_pid()))
        async with desk.engine.connect() as other:
            await other.execute(select(func.pg_terminate_backend(own)))
        return await load(uow, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "load_input", cut_off)
    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    after = await desk.row(row.id)
    assert (after.status, after.crashes) == (RunStatus.QUEUED, 1)
    monkeypatch.setattr(jobs, "load_input", load)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert (await desk.row(row.id)).status == RunStatus.COMPLETED


async def test_a_cancelled_run_stops_at_the_next_report(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = await desk.submit()
    report = Progress.report

    def cancelling(self: Progress, *arguments: object) -> None:
        # Between two reports of the engine's thread, the lease's keeper has found the run cancelled.
        report(self, *arguments)  # type: ignore[arg-type]
        self.stop()

    monkeypatch.setattr(Progress, "report", cancelling)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    async with desk.runtime.unit_of_work() as uow:
        assert await uow.session.scalar(select(func.count()).select_from(BacktestCurveRow)) == 0


async def test_a_defect_fails_the_run_without_telling_its_inside(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(jobs, "compute", broken)
    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    after = await desk.row(row.id)
    assert after.status == RunStatus.FAILED
    assert after.error is not None
    assert "secret" not in after.error


async def test_a_run_that_never_trades_has_undefined_trade_figures(desk: Desk) -> None:
    async with desk.runtime.unit_of_work() as uow:
        idle = await strategies.create_strategy(uow, desk.trader, NewStrategy("Idle", "", Rules("close < 0")))
    row, _ = await desk.submit(strategy_id=idle.id)
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    after = await desk.row(row.id)
    assert (after.trades, after.total_return, after.max_drawdown, after.exposure) == (0, 0.0, 0.0, 0.0)
    undefined = ("win_rate", "profit_factor", "sharpe_ratio", "sortino_ratio", "calmar_ratio", "sqn")
    assert [getattr(after, name) for name in undefined] == [None] * len(undefined)


async def test_the_end_of_a_long_run_is_told_to_its_owner_and_that_of_a_short_one_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told() -> list[tuple[str, str, dict[str, object]]]:
        async with desk.runtime.unit_of_work() as uow:
            rows = await uow.session.scalars(
                select(NotificationRow)
                .where(NotificationRow.user_id == desk.trader.user_id)
                .order_by(NotificationRow.number)
            )
            return [(row.kind, row.body, row.payload) for row in rows]

    row, _ = await desk.submit()
    await run_backtest({"runtime": desk.runtime}, str(row.id))
    assert await told() == []
    monkeypatch.setattr(long_runs, "LONG_RUN_SECONDS", 0.0)
    completed, _ = await desk.submit(force=True, label="a\nlong one")
    await run_backtest({"runtime": desk.runtime}, str(completed.id))
    failed, _ = await desk.submit(force=True)
    async with desk.runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, failed.id, 60.0)
        assert claimed is not None
        assert await lifecycle.fail(uow, claimed[0], "There are no candles.")
        # Nor is an end told that was not this worker's to tell.
        assert not await lifecycle.fail(uow, claimed[0], "There are no candles.")
    assert await told() == [
        (
            "BACKTEST_COMPLETED",
            "Your backtest “a long one” has completed after 0 min.",
            {"backtestId": global_id("Backtest", completed.id)},
        ),
        (
            "BACKTEST_FAILED",
            f"Your backtest {failed.id} has failed after 0 min: There are no candles.",
            {"backtestId": global_id("Backtest", failed.id)},
        ),
    ]
