"""One transaction and what must follow it: jobs and events leave only after the commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.clock import Clock
from gql_trader.infra.database import Database
from gql_trader.infra.event_streams import EventStreams, EventTransportError
from gql_trader.infra.job_queue import JobQueue, JobTransportError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A job to be handed to the workers.

    ``key`` makes enqueueing idempotent: while a job with the same key waits or runs, another one is
    not added.
    """

    name: str
    queue: str
    key: str
    arguments: tuple[UUID | str | int, ...] = ()


@dataclass(slots=True)
class _AfterCommit:
    jobs: list[Job] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


class UnitOfWork:
    """A session whose transaction commits when the block ends without an exception.

    Services receive it first and never commit. What they ask to enqueue or publish is sent after the
    commit; if the transport is away the row in PostgreSQL is the truth and a sweeper sends it later.
    """

    def __init__(self, database: Database, clock: Clock, queue: JobQueue, events: EventStreams) -> None:
        self._database = database
        self._queue = queue
        self._events = events
        self._after = _AfterCommit()
        self.clock = clock
        self.session: AsyncSession

    async def __aenter__(self) -> Self:
        self.session = self._database.sessions()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.session.commit()
            else:
                await self.session.rollback()
        finally:
            await self.session.close()
        if kind is None:
            await self._send()

    async def release(self) -> None:
        """Give the connection back while something slow is awaited; what follows is another transaction.

        Only reads may have come before, and what they found may have changed afterwards.

        Raises
        ------
        RuntimeError
            If something was about to be written or sent, which would be lost.
        """
        session = self.session
        if session.new or session.dirty or session.deleted or self._after.jobs or self._after.events:
            raise RuntimeError("a unit of work that has begun to change something cannot be released")
        await session.rollback()

    async def read_one_moment(self) -> None:
        """Let all that is read from here on be as of one moment; to be called before anything is."""
        await self.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})

    def enqueue(self, job: Job) -> None:
        """Hand a job to the workers once this transaction has committed."""
        self._after.jobs.append(job)

    def publish(self, stream: str, event: Mapping[str, Any]) -> None:
        """Append an event to a stream once this transaction has committed."""
        self._after.events.append((stream, event))

    async def _send(self) -> None:
        after, self._after = self._after, _AfterCommit()
        # Events first: a worker starts within a millisecond, and what it tells comes after these.
        if after.events:
            try:
                await self._events.publish_all(after.events)
            except EventTransportError as error:
                streams = sorted({stream for stream, _ in after.events})
                _log.warning("events_not_published", streams=streams[:10], reason=str(error))
        for job in after.jobs:
            try:
                await self._queue.enqueue(job.name, *job.arguments, queue=job.queue, key=job.key)
            except JobTransportError as error:
                _log.warning("job_not_enqueued", job=job.name, key=job.key, reason=str(error))


UnitOfWorkFactory = Callable[[], UnitOfWork]
