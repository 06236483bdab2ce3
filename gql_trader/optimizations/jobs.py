"""Jobs of the optimization domain: running one chunk, and sweeping up what a crash left behind."""

import asyncio
import os
import threading
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from gql_trader.core.errors import DomainError
from gql_trader.engine.plugins import PluginError
from gql_trader.infra.leases import DATABASE_LOST, kept_lease, settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.optimizations import lifecycle, sweeping
from gql_trader.optimizations.lifecycle import Report, Trials
from gql_trader.optimizations.running import compute_report, compute_trials, load_before, load_setting
from gql_trader.optimizations.types import ChunkKind, Claim
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

STALE_SECONDS = 3.0
"""A chunk that has been queued this long should be known to the queue."""


class ChunkStopped(Exception):
    """The chunk is to stop where it is: cancelled, taken over, or its worker is stopping."""


class _Stop:
    """Raises in the engine's thread once the event loop has said so."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def check(self, _fraction: float) -> None:
        if self._stopped.is_set():
            raise ChunkStopped


async def run_chunk(ctx: dict[str, Any], optimization_id: str, number: int) -> None:
    """Run a queued chunk, if it is still to be run, and store its result once.

    May be called any number of times for the same chunk, by any number of workers.
    """
    runtime: Runtime = ctx["runtime"]
    seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        claimed = await lifecycle.claim(uow, UUID(optimization_id), number, seconds)
    if claimed is None:
        return
    held, chunk, search = claimed
    log = _log.bind(optimization_id=optimization_id, chunk=number, attempt=held.attempt)
    log.info("chunk_started", trials=chunk.trial_count, pid=os.getpid())
    stop = _Stop()
    try:
        renewed = kept_lease(
            runtime.unit_of_work, seconds, lambda uow: lifecycle.renew(uow, held, seconds), stop.stop
        )
        async with renewed:
            found = await _compute(runtime, search, chunk, stop)
    except asyncio.CancelledError:
        # The worker is stopping: somebody else shall start at once instead of waiting for the lease.
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held)))
        raise
    except ChunkStopped:
        log.info("chunk_stopped")
    except DATABASE_LOST as error:
        # Counted, so that what fails every time does not go round for ever.
        log.warning("database_lost", reason=str(error))
        await settle(runtime.unit_of_work, lambda uow: lifecycle.hand_back(uow, held, crashed=True))
    except (DomainError, PluginError) as error:
        message = str(error)
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, message))
    except Exception:
        log.exception("chunk_failed")
        reason = "The engine failed. The server's log tells more under this optimization's id."
        await settle(runtime.unit_of_work, lambda uow: lifecycle.fail(uow, held, reason))
    else:
        stored = await settle(runtime.unit_of_work, lambda uow: _complete(uow, held, found))
        log.info("chunk_completed" if stored else "chunk_result_not_needed")


async def _compute(runtime: Runtime, search: Row[Any], chunk: Row[Any], stop: _Stop) -> Trials | Report:
    async with runtime.unit_of_work() as uow:
        setting = await load_setting(uow, runtime.arrays, search, runtime.plugins)
        before = await load_before(uow, search, chunk)
    try:
        if chunk.kind == ChunkKind.REPORT.value:
            return await asyncio.to_thread(compute_report, search, before, setting, stop.check)
        return await asyncio.to_thread(compute_trials, search, chunk, before, setting, stop.check)
    except asyncio.CancelledError:
        stop.stop()
        raise


async def _complete(uow: UnitOfWork, held: Claim, found: Trials | Report) -> bool:
    if isinstance(found, Report):
        return await lifecycle.complete_report(uow, held, found)
    return await lifecycle.complete_trials(uow, held, found)


async def sweep(runtime: Runtime) -> None:
    """Queue again what dead workers were at, and what the queue has lost. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        abandoned = await sweeping.expired(uow)
    taken_over = 0
    for held, crashes in abandoned:
        # One transaction each: every one locks its search's row.
        async with runtime.unit_of_work() as uow:
            taken_over += await sweeping.take_over(uow, held, crashes)
    if taken_over:
        _log.warning("chunks_taken_over", count=taken_over)
    sent = await lifecycle.CHUNKS.send_lost(runtime.unit_of_work, runtime.queue, STALE_SECONDS)
    if sent:
        _log.warning("chunks_dispatched_again", count=sent)
