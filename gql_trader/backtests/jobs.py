"""Jobs of the backtest domain: running one, and sweeping up what a crash left behind."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from gql_trader.backtests import lifecycle, verification
from gql_trader.backtests.comparison import Difference, compare
from gql_trader.backtests.compute import compute
from gql_trader.backtests.lifecycle import Outcome
from gql_trader.backtests.progress import LOAD, Progress, RunStopped
from gql_trader.backtests.running import load_again, load_input
from gql_trader.backtests.types import QUEUE
from gql_trader.core.errors import DomainError
from gql_trader.engine.plugins import PluginError
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.infra.runs import lost_jobs
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

STALE_SECONDS = 3.0
"""A run that has been queued this long should be known to the queue."""


async def run_backtest(ctx: dict[str, Any], backtest_id: str) -> None:
    """Run a queued backtest, if it is still to be run, and store its result once.

    May be called any number of times for the same id, by any number of workers.
    """
    runtime: Runtime = ctx["runtime"]
    seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, UUID(backtest_id), seconds)
    if claimed is None:
        return
    held, row = claimed
    progress = Progress(held, runtime.events)
    log = _log.bind(backtest_id=backtest_id, attempt=held.attempt)
    log.info("backtest_started", pid=os.getpid())
    try:
        async with (
            kept_lease(
                runtime.unit_of_work,
                seconds,
                lambda uow: lifecycle.renew(uow, held, seconds, progress.fraction),
                progress.stop,
            ),
            _published(progress),
        ):
            outcome = await _outcome(runtime, row, progress)
    except asyncio.CancelledError:
        # The worker is stopping: somebody else shall start at once instead of waiting for the lease.
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held)))
        raise
    except RunStopped:
        log.info("backtest_stopped")
    except DATABASE_LOST as error:
        # Counted, so that what fails every time does not go round for ever.
        log.warning("database_lost", reason=str(error))
        await settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held, crashed=True))
    except (DomainError, PluginError) as error:
        message = str(error)
        if isinstance(error, PluginError):
            log.warning("plugin_failed", reason=message, exc_info=True)
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, message))
    except Exception:
        log.exception("backtest_failed")
        reason = "The engine failed. The server's log tells more under this backtest's id."
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, reason))
    else:
        if not await settle(runtime.unit_of_work, lambda uow: lifecycle.complete(uow, held, outcome)):
            log.info("backtest_result_not_needed")
        else:
            log.info("backtest_completed", bars=outcome.bars)


async def _outcome(runtime: Runtime, row: Row[Any], progress: Progress) -> Outcome:
    async with runtime.unit_of_work() as uow:
        run = await load_input(uow, runtime.arrays, row, runtime.plugins)
    progress.report(LOAD, 1.0)
    try:
        return await asyncio.to_thread(compute, run, progress.report)
    except asyncio.CancelledError:
        progress.stop()
        raise


@asynccontextmanager
async def _published(progress: Progress) -> AsyncIterator[None]:
    publisher = asyncio.create_task(progress.publish())
    try:
        yield
    finally:
        progress.close()
        await publisher


async def verify_backtest(ctx: dict[str, Any], backtest_id: str, number: int) -> None:
    """Run a completed backtest again, and store where the results differ.

    May be called any number of times for the same request, by any number of workers.
    """
    runtime: Runtime = ctx["runtime"]
    key = UUID(backtest_id)
    log = _log.bind(backtest_id=backtest_id, verification=number)
    async with runtime.unit_of_work() as uow:
        begun = await verification.begin(uow, key, number)
    if begun is None:
        return
    try:
        differences = await _differences(runtime, begun.backtest)
    except (DomainError, PluginError) as error:
        message = str(error)
        await settle(runtime.unit_of_work, lambda uow: verification.fail(uow, key, number, message))
    except DATABASE_LOST as error:
        # The sweeper hands it out again.
        log.warning("database_lost", reason=str(error))
    except Exception:
        log.exception("verification_failed")
        reason = "The engine failed. The server's log tells more under this backtest's id."
        await settle(runtime.unit_of_work, lambda uow: verification.fail(uow, key, number, reason))
    else:
        await settle(runtime.unit_of_work, lambda uow: verification.complete(uow, key, number, differences))
        log.info("backtest_verified", differences=len(differences))


async def _differences(runtime: Runtime, row: Row[Any]) -> list[Difference]:
    async with runtime.unit_of_work() as uow:
        stored = await verification.stored_result(uow, row)
        run = await load_again(uow, runtime.arrays, row, runtime.plugins)
    if stored is None:
        raise DomainError("The backtest has been deleted.")
    stopped = threading.Event()

    def recompute() -> list[Difference]:
        def report(*_: object) -> None:
            if stopped.is_set():
                raise RunStopped

        return compare(stored, compute(run, report))

    try:
        return await asyncio.to_thread(recompute)
    except asyncio.CancelledError:
        stopped.set()
        raise


async def sweep(runtime: Runtime) -> None:
    """Queue again what dead workers were at, and what the queue has lost. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        taken_over = await lifecycle.take_over_expired(uow)
        verifications = {job.key: job for job in await verification.unfinished(uow, STALE_SECONDS)}
    if taken_over:
        _log.warning("backtests_taken_over", count=taken_over)
    sent = await lifecycle.RUNS.send_lost(runtime.unit_of_work, runtime.queue, STALE_SECONDS)
    if sent:
        _log.warning("backtests_dispatched_again", count=sent)
    if verifications:
        lost = await lost_jobs(runtime.queue, QUEUE, verifications)
        async with runtime.unit_of_work() as uow:
            for key in sorted(lost):
                # Those that run are among them: the queue takes no second one of the same key.
                uow.enqueue(verifications[key])
