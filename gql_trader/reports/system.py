"""How the server is doing: what it consists of, who works and what waits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from time import perf_counter
from typing import TypeVar

from gql_trader.core.clock import Clock
from gql_trader.infra.job_queue import Heartbeat, JobQueue, JobTransportError
from gql_trader.infra.leases import DATABASE_LOST
from gql_trader.infra.unit_of_work import UnitOfWorkFactory
from gql_trader.reports import repository
from gql_trader.reports.types import SystemCounts

_ANSWER_SECONDS = 3.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a part answers, and how long that took; ``error`` is why it does not."""

    healthy: bool
    latency_ms: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process.

    Attributes
    ----------
    running
        Jobs that it is at.
    completed, failed
        Jobs since its start.
    last_seen_at
        When it last gave a sign of life.
    """

    host: str
    pid: int
    queues: tuple[str, ...]
    running: int
    completed: int
    failed: int
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """How the server is doing.

    Attributes
    ----------
    jobs
        Jobs that wait or run, by queue; of all queues that were ever used.
    counts
        None: the database does not answer.
    """

    checked_at: datetime
    database: Health
    redis: Health
    workers: tuple[Worker, ...]
    jobs: dict[str, int]
    counts: SystemCounts | None

    @property
    def running(self) -> bool:
        """Whether everything is there that it takes to run bots and backtests."""
        return self.database.healthy and self.redis.healthy and bool(self.workers)


async def system_status(unit_of_work: UnitOfWorkFactory, queue: JobQueue, clock: Clock) -> SystemStatus:
    """Ask every part how it is doing; a part that does not answer is told of, not raised."""

    async def count() -> SystemCounts:
        async with unit_of_work() as uow:
            return await repository.system_counts(uow.session)

    async def look() -> tuple[list[Heartbeat], dict[str, int]]:
        return await queue.heartbeats(), await queue.depths()

    (database, counts), (redis, seen) = await asyncio.gather(_timed(count), _timed(look))
    heartbeats, jobs = seen or ([], {})
    return SystemStatus(
        checked_at=clock.now(),
        database=database,
        redis=redis,
        workers=_workers(heartbeats),
        jobs=dict(sorted(jobs.items())),
        counts=counts,
    )


async def _timed(ask: Callable[[], Awaitable[T]]) -> tuple[Health, T | None]:
    begun = perf_counter()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = await ask()
    except (*DATABASE_LOST, JobTransportError, TimeoutError):
        # Addresses and user names may be in its message.
        return Health(False, None, "It does not answer."), None
    return Health(True, (perf_counter() - begun) * 1000, None), answer


def _workers(heartbeats: list[Heartbeat]) -> tuple[Worker, ...]:
    def process(heartbeat: Heartbeat) -> tuple[str, int]:
        return heartbeat.host, heartbeat.pid

    found = []
    for (host, pid), group in groupby(sorted(heartbeats, key=process), process):
        beats = list(group)
        found.append(
            Worker(
                host=host,
                pid=pid,
                queues=tuple(sorted(beat.queue for beat in beats)),
                running=sum(beat.running for beat in beats),
                completed=sum(beat.completed for beat in beats),
                failed=sum(beat.failed for beat in beats),
                last_seen_at=max(beat.at for beat in beats),
            )
        )
    return tuple(found)
