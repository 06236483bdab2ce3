"""`systemStatus`: how the server is doing, once or as it changes."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime

import strawberry

from gql_trader import __version__
from gql_trader.core.actor import Role
from gql_trader.gql.context import Context, Info
from gql_trader.gql.cost import costs
from gql_trader.gql.permissions import requires, visible
from gql_trader.reports import system
from gql_trader.reports.system import Health, Worker
from gql_trader.reports.types import SystemCounts

SECONDS = 5.0
"""Between two events of the subscription."""

EVERYBODY = "everybody signed in"


@visible(EVERYBODY)
@strawberry.type(description="How a part of the server is doing.")
class ComponentHealth:
    """The database or Redis."""

    healthy: bool = strawberry.field(description="Whether it answers.")
    latency_ms: float | None = strawberry.field(
        description="How long its answer took, in milliseconds; null if there was none."
    )
    error: str | None = strawberry.field(description="What is wrong; null if nothing is.")

    @classmethod
    def of(cls, health: Health) -> "ComponentHealth":
        """Return the GraphQL object of a part's health."""
        return cls(healthy=health.healthy, latency_ms=health.latency_ms, error=health.error)


@visible(EVERYBODY)
@strawberry.type(description="A worker process that has given a sign of life within the last half minute.")
class WorkerHealth:
    """A worker."""

    host: str | None = strawberry.field(
        description="Name of its machine; for administrators alone, else null."
    )
    process_id: int | None = strawberry.field(
        description="Number of its process there; for administrators alone, else null."
    )
    queues: list[str] = strawberry.field(
        description="Queues that it works on: their jobs, and what is done there by the clock."
    )
    running_jobs: int = strawberry.field(description="Jobs that it is at.")
    completed_jobs: int = strawberry.field(description="Jobs that it has done since it was started.")
    failed_jobs: int = strawberry.field(description="Jobs that have failed since it was started.")
    last_seen_at: datetime = strawberry.field(description="When it last gave a sign of life.")

    @classmethod
    def of(cls, worker: Worker, named: bool) -> "WorkerHealth":
        """Return the GraphQL object of a worker."""
        return cls(
            host=worker.host if named else None,
            process_id=worker.pid if named else None,
            queues=list(worker.queues),
            running_jobs=worker.running,
            completed_jobs=worker.completed,
            failed_jobs=worker.failed,
            last_seen_at=worker.last_seen_at,
        )


@visible(EVERYBODY)
@strawberry.type(description="What waits in a queue.")
class QueueDepth:
    """A queue."""

    name: str = strawberry.field(description="Name of the queue.")
    jobs: int = strawberry.field(description="Jobs that wait for a worker, or that one is at.")


@visible(EVERYBODY)
@strawberry.type(description="The live feeds that somebody wants: a bot, an alert or a subscription.")
class FeedCounts:
    """How many feeds are how."""

    wanted: int = strawberry.field(description="All of them.")
    live: int = strawberry.field(description="Those whose newest candle is there.")
    catching_up: int = strawberry.field(description="Those that still fetch what came before.")
    late: int = strawberry.field(description="Those whose exchange has not sent the newest candle yet.")
    failing: int = strawberry.field(description="Those whose exchange cannot be asked.")


@visible(EVERYBODY)
@strawberry.type(description="How the server is doing: its parts, its workers, and what waits for them.")
class SystemStatus:
    """The status of the server."""

    running: bool = strawberry.field(
        description="Whether the database and Redis answer and there is a worker: all that bots and "
        "backtests need."
    )
    checked_at: datetime = strawberry.field(description="When this was looked at.")
    started_at: datetime = strawberry.field(description="When the process that answers was started.")
    uptime_seconds: float = strawberry.field(description="For how long it has been running.")
    version: str = strawberry.field(description="Version of the program.")
    database: ComponentHealth = strawberry.field(description="PostgreSQL, which holds everything.")
    redis: ComponentHealth = strawberry.field(description="Redis or Valkey, which carries jobs and events.")
    workers: list[WorkerHealth] = strawberry.field(description="The workers; empty while Redis is away.")
    queues: list[QueueDepth] = strawberry.field(
        description="Queues that were ever used, by name; empty while Redis is away."
    )
    queued_jobs: int = strawberry.field(description="Jobs in all queues; 0 while Redis is away.")
    running_bots: int = strawberry.field(
        description="Bots of all users that are at work; 0 while the database is away."
    )
    feeds: FeedCounts = strawberry.field(description="The live feeds; all 0 while the database is away.")


async def _status(context: Context) -> SystemStatus:
    services = context.services
    found = await system.system_status(context.uow, services.queue, services.clock)
    counts = found.counts or SystemCounts()
    return SystemStatus(
        running=found.running,
        checked_at=found.checked_at,
        started_at=services.started_at,
        uptime_seconds=(found.checked_at - services.started_at).total_seconds(),
        version=__version__,
        database=ComponentHealth.of(found.database),
        redis=ComponentHealth.of(found.redis),
        workers=[WorkerHealth.of(each, context.viewer.is_admin) for each in found.workers],
        queues=[QueueDepth(name=name, jobs=jobs) for name, jobs in found.jobs.items()],
        queued_jobs=sum(found.jobs.values()),
        running_bots=counts.running_bots,
        feeds=FeedCounts(
            wanted=counts.live + counts.catching_up + counts.late + counts.failing,
            live=counts.live,
            catching_up=counts.catching_up,
            late=counts.late,
            failing=counts.failing,
        ),
    )


@strawberry.type
class SystemQuery:
    """The query about the server."""

    @strawberry.field(
        description="How the server is doing.", extensions=requires(Role.VIEWER), metadata=costs(5)
    )
    async def system_status(self, info: Info) -> SystemStatus | None:
        return await _status(info.context)


@strawberry.type
class SystemSubscription:
    """The subscription about the server."""

    @strawberry.subscription(
        description="Follow how the server is doing: at once, then every five seconds.",
        extensions=requires(Role.VIEWER),
    )
    async def system_status(self, info: Info) -> AsyncGenerator[SystemStatus, None]:
        while True:
            yield await _status(info.context)
            await asyncio.sleep(SECONDS)
