"""A worker process's work: its queues, what is repeated and what is scheduled, until it is to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn

import structlog

from gql_trader.infra.heartbeats import HEARTBEAT_SECONDS, show_life
from gql_trader.infra.job_queue import arq_redis
from gql_trader.infra.redis_client import TRANSPORT_ERRORS
from gql_trader.infra.schedule import digest
from gql_trader.infra.worker import POLL_SECONDS, Periodic, QueueSpec, WakeWorker

_log = structlog.get_logger(__name__)

_WATCHED_POLL_SECONDS = HEARTBEAT_SECONDS / 2
"""How often a worker looks at its queue that is told when there is something in any: for its heartbeats."""


def _scheduler(specs: Sequence[QueueSpec]) -> Iterator[QueueSpec]:
    """Return the queue of what is scheduled: apart from jobs, so that none of it waits for their slots.

    Workers share it that are to do the same; a tick is queued in one of such queues only.
    """
    scheduled = [each for spec in specs for each in spec.scheduled]
    if scheduled:
        yield QueueSpec(
            name=f"scheduler:{digest(scheduled)}",
            functions=[],
            # A run that takes long has a slot of its own, as has one that only sees that it is going on.
            concurrency=2 * len(scheduled),
            claim_seconds=min(spec.claim_seconds for spec in specs),
            scheduled=scheduled,
        )


async def run_queues(
    specs: Sequence[QueueSpec], redis_url: str, runtime: Any, *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Work on queues until SIGTERM or SIGINT, then hand back what runs.

    Parameters
    ----------
    runtime
        Put into each job's context and handed to the periodic work.
    on_ready
        Called once all queues are listened to.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Without jobs arq would not begin on a queue.
    watched = [
        WakeWorker(
            replace(spec, scheduled=()), redis_url, {"runtime": runtime}, poll_seconds=_WATCHED_POLL_SECONDS
        )
        for spec in specs
        if spec.functions
    ]
    workers = [
        *watched,
        *(WakeWorker(spec, redis_url, {"runtime": runtime}) for spec in _scheduler(specs)),
    ]
    tasks = [asyncio.create_task(worker.main(), name=worker.queue_name) for worker in workers]
    tasks.append(asyncio.create_task(_watch(watched, redis_url), name="queues"))
    tasks += [
        asyncio.create_task(show_life(spec.name, redis_url), name=spec.name)
        for spec in specs
        if not spec.functions
    ]
    tasks += [
        asyncio.create_task(_repeat(periodic, runtime), name=periodic.run.__name__)
        for spec in specs
        for periodic in spec.periodic
    ]

    async def announce() -> None:
        for worker in workers:
            await worker.ready.wait()
        on_ready()

    stopping = asyncio.create_task(stop.wait())
    announcing = asyncio.create_task(announce())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, announcing, *tasks):
            task.cancel()
        # Jobs first: what they do when cancelled may take a moment, and the rest has nothing to lose.
        await asyncio.gather(*(worker.stop() for worker in workers))
        await asyncio.gather(stopping, announcing, *tasks, return_exceptions=True)
    for task in done:
        if task is not stopping and (error := task.exception()) is not None:
            raise error


async def _watch(workers: Sequence[WakeWorker], redis_url: str) -> NoReturn:
    """Let workers look at their queues while there is anything in any: one command asks for all."""
    pool = arq_redis(redis_url)
    names = [worker.queue_name for worker in workers]
    try:
        while True:
            # They see for themselves when Redis is back.
            with suppress(*TRANSPORT_ERRORS):
                if names and await pool.exists(*names):
                    for worker in workers:
                        worker.wake()
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await pool.aclose(close_connection_pool=True)


async def _repeat(periodic: Periodic, runtime: Any) -> NoReturn:
    while True:
        try:
            await periodic.run(runtime)
        except Exception:
            # The database or Redis may be away; what is not done now is done the next time.
            _log.exception("periodic_work_failed", work=periodic.run.__name__)
        await asyncio.sleep(periodic.seconds)
