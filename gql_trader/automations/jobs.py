"""Jobs of the automation domain: the clock that queues runs, and what they do."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from gql_trader.automations import repository, running, service
from gql_trader.core.errors import DomainError, DomainErrors
from gql_trader.infra.job_queue import JobTransportError
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_AT_ONCE = 100
_FORGOTTEN_AT_ONCE = 5000
_LOST_AFTER = timedelta(seconds=10)


async def run_automation(context: dict[str, Any], run_id: str) -> None:
    """Do what a queued run is for. Running it twice, or in two workers at once, does nothing the second time.

    Parameters
    ----------
    context
        arq's context; ``runtime`` is the process's `Runtime`.
    """
    runtime: Runtime = context["runtime"]
    key = UUID(run_id)
    try:
        async with runtime.unit_of_work() as uow:
            await running.perform(uow, running.Means.of(runtime), key)
    except (DomainError, DomainErrors) as error:
        _log.info("automation_failed", run_id=run_id, reason=str(error))
        async with runtime.unit_of_work() as uow:
            await running.fail(uow, key, error)


async def forget_runs(runtime: Runtime) -> None:
    """Delete runs that ended longer ago than the setting says; a second time changes nothing."""
    age = timedelta(days=runtime.settings.automation_run_days)
    forgotten = 0
    while True:
        async with runtime.unit_of_work() as uow:
            some = await running.forget(uow, age, _FORGOTTEN_AT_ONCE)
        forgotten += some
        if some < _FORGOTTEN_AT_ONCE:
            break
    if forgotten:
        _log.info("automation_runs_forgotten", count=forgotten)


async def tick(runtime: Runtime) -> None:
    """Queue what is due, and again what the queue has lost. Any worker may, at any time."""
    while True:
        async with runtime.unit_of_work() as uow:
            queued = await running.queue_due(uow, _AT_ONCE)
        if queued < _AT_ONCE:
            break
    async with runtime.unit_of_work() as uow:
        waiting = await repository.queued_runs(uow.session, uow.clock.now() - _LOST_AFTER, _AT_ONCE)
    for run_id in waiting:
        job = service.job_for(run_id)
        try:
            # A job that waits or runs is not added again.
            await runtime.queue.enqueue(job.name, *job.arguments, queue=job.queue, key=job.key)
        except JobTransportError as error:
            _log.warning("queue_unreachable", reason=str(error))
            return
