"""What all tables of runs have in common: claims with a lease, the way back into the queue, the sweeper.

A run is a row that a worker works at. Its table has these columns besides others: ``status``, QUEUED until a
worker takes it and RUNNING while one has it; ``attempt``, the fencing token, which changes with every owner;
``dispatch``, how often it was handed to the queue; ``crashes``, how many workers died at it;
``lease_expires_at``; and one that tells since when it waits to be taken.

Every change is one UPDATE that names the state it expects, so that of two workers, or a worker and a user,
exactly one wins. Leases are measured by the database's clock, since machines disagree about time.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Row, and_, case, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidState, NotFound
from gql_trader.core.ids import UserId
from gql_trader.core.runs import RunStatus
from gql_trader.infra.job_queue import JobQueue, JobTransportError
from gql_trader.infra.unit_of_work import Job, UnitOfWork, UnitOfWorkFactory

_log = structlog.get_logger(__name__)

MAXIMUM_CRASHES = 3
"""A run in whose middle this many workers died is taken for what kills them, and fails."""

SWEEP_ROWS = 1000
"""Most runs looked at in one sweep; the queue is first come first served, so lost ones become the oldest."""

Key = tuple[Any, ...]
"""The values of a run's primary key."""


class Held(Protocol):
    """A worker's right to a run.

    Attributes
    ----------
    key
        Which run.
    attempt
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes nothing.
    """

    @property
    def key(self) -> Key: ...
    @property
    def attempt(self) -> int: ...


def now() -> ColumnElement[Any]:
    """Return the database's clock, which goes on within a transaction."""
    return func.clock_timestamp()


class RunTable:
    """A table of runs.

    Parameters
    ----------
    model
        Its class.
    job
        Returns the job for one hand-over of a run: it is given the values of the key and the dispatch.
    due
        The column that tells since when a queued run waits to be taken.
    waits
        Whether that may be in the future: then a run is not taken before.
    key
        The columns of the primary key.
    columns
        What is returned of a run that was changed; None: everything.
    sweepable
        What else must hold of a queued run for it to be handed to the queue again.
    """

    def __init__(
        self,
        model: type[Any],
        job: Callable[..., Job],
        *,
        due: str,
        waits: bool = False,
        key: Sequence[str] = ("id",),
        columns: Sequence[str] | None = None,
        sweepable: Callable[[], ColumnElement[bool]] = true,
    ) -> None:
        self._table = model.__table__
        self._job = job
        self._due = self._table.c[due]
        self._waits = waits
        self._key = [self._table.c[name] for name in key]
        self._columns = [self._table.c[name] for name in columns or self._table.c.keys()]
        self._sweepable = sweepable

    def _is(self, key: Key) -> ColumnElement[bool]:
        return and_(*(column == value for column, value in zip(self._key, key, strict=True)))

    def is_held(self, held: Held) -> ColumnElement[bool]:
        """Return the condition for a run that a worker still has."""
        c = self._table.c
        return and_(self._is(held.key), c.attempt == held.attempt, c.status == RunStatus.RUNNING.value)

    def is_expired(self) -> ColumnElement[bool]:
        """Return the condition for a run whose worker has not renewed its lease."""
        c = self._table.c
        return and_(c.status == RunStatus.RUNNING.value, c.lease_expires_at < now())

    async def claim(
        self, uow: UnitOfWork, key: Key, lease_seconds: float, *conditions: ColumnElement[bool], **values: Any
    ) -> Row[Any] | None:
        """Take a queued run, or one whose worker has not renewed its lease; None if there is none to take.

        Parameters
        ----------
        conditions
            What else must hold.
        values
            What else is written.
        """
        c = self._table.c
        # The last one that may crash is left to the sweeper, which fails it.
        abandoned = self.is_expired() & (c.crashes < MAXIMUM_CRASHES - 1)
        queued = c.status == RunStatus.QUEUED.value
        if self._waits:
            queued &= self._due <= now()
        statement = (
            update(self._table)
            .where(self._is(key), queued | abandoned, *conditions)
            .values(
                status=RunStatus.RUNNING.value,
                attempt=c.attempt + 1,
                crashes=c.crashes + case((abandoned, 1), else_=0),
                lease_expires_at=now() + timedelta(seconds=lease_seconds),
                **values,
            )
            .returning(*self._columns)
        )
        return (await uow.session.execute(statement)).one_or_none()

    async def change(
        self, uow: UnitOfWork, held: Held, *conditions: ColumnElement[bool], **values: Any
    ) -> Row[Any] | None:
        """Change a run and return it; None if it is no longer this worker's."""
        statement = (
            update(self._table)
            .where(self.is_held(held), *conditions)
            .values(**values)
            .returning(*self._columns)
        )
        return (await uow.session.execute(statement)).one_or_none()

    async def renew(
        self,
        uow: UnitOfWork,
        held: Held,
        lease_seconds: float,
        *conditions: ColumnElement[bool],
        **values: Any,
    ) -> bool:
        """Extend a lease; return False if the run is no longer this worker's."""
        until = now() + timedelta(seconds=lease_seconds)
        return await self.change(uow, held, *conditions, lease_expires_at=until, **values) is not None

    async def hand_back(
        self,
        uow: UnitOfWork,
        held: Held,
        *conditions: ColumnElement[bool],
        crashed: bool,
        **values: Any,
    ) -> Row[Any] | None:
        """Put a run back into the queue and return it; None if it is no longer this worker's."""
        c = self._table.c
        row = await self.change(
            uow,
            held,
            *conditions,
            status=RunStatus.QUEUED.value,
            lease_expires_at=None,
            dispatch=c.dispatch + 1,
            attempt=c.attempt + 1,
            crashes=c.crashes + int(crashed),
            **{self._due.name: now()},
            **values,
        )
        if row is not None:
            uow.enqueue(self._job(*held.key, row.dispatch))
        return row

    async def dispatch_again(self, uow: UnitOfWork, lost: Collection[Key]) -> int:
        """Hand queued runs, each named by its key and its dispatch, to the queue again; return how many."""
        c, count = self._table.c, 0
        # In the order of their keys, as everybody who changes several rows.
        for *key, dispatch in sorted(lost):
            statement = (
                update(self._table)
                .where(self._is(tuple(key)), c.dispatch == dispatch, c.status == RunStatus.QUEUED.value)
                .values(dispatch=c.dispatch + 1, **{self._due.name: now()})
                .returning(c.dispatch)
            )
            renewed = await uow.session.scalar(statement)
            if renewed is not None:
                uow.enqueue(self._job(*key, renewed))
                count += 1
        return count

    async def _stale(self, uow: UnitOfWork, seconds: float) -> dict[str, Key]:
        """Return by their job's key the runs, with their dispatch, that wait for longer; the oldest first."""
        c = self._table.c
        statement = (
            select(*self._key, c.dispatch)
            .where(
                c.status == RunStatus.QUEUED.value,
                self._due < now() - timedelta(seconds=seconds),
                self._sweepable(),
            )
            .order_by(self._due)
            .limit(SWEEP_ROWS)
        )
        found = [tuple(row) for row in await uow.session.execute(statement)]
        return {self._job(*each).key: each for each in found}

    async def send_lost(self, unit_of_work: UnitOfWorkFactory, queue: JobQueue, seconds: float) -> int:
        """Hand out again what has waited for so long and is not known to the queue; return how many."""
        async with unit_of_work() as uow:
            stale = await self._stale(uow, seconds)
        if not stale:
            return 0
        name = self._job(*next(iter(stale.values()))).queue
        lost = await lost_jobs(queue, name, stale)
        async with unit_of_work() as uow:
            return await self.dispatch_again(uow, [stale[key] for key in lost])


async def lost_jobs(queue: JobQueue, name: str, keys: Collection[str]) -> set[str]:
    """Return the keys of jobs that neither wait nor run; none while the queue cannot be asked."""
    try:
        return set(keys) - await queue.waiting(name, list(keys))
    except JobTransportError as error:
        _log.warning("queue_unreachable", reason=str(error))
        return set()


def gave_up(crashes: int, what: str) -> str | None:
    """Return why a run whose worker has died fails; None if it may be tried again.

    Parameters
    ----------
    crashes
        How many had died before.
    what
        What they were at, such as "this run".
    """
    died = crashes + 1
    return f"Gave up after {died} workers died in the middle of {what}." if died >= MAXIMUM_CRASHES else None


@dataclass(frozen=True, slots=True)
class OwnedRuns:
    """What users may do with runs of theirs.

    Attributes
    ----------
    noun
        What such a run is called in messages.
    model
        The class of their table, with a ``user_id``.
    find
        Returns one of a user's, or None.
    end
        Cancels a run that has not ended; returns False if it has.
    """

    noun: str
    model: type[Any]
    find: Callable[[AsyncSession, UserId, UUID], Awaitable[Row[Any] | None]]
    end: Callable[[UnitOfWork, UUID], Awaitable[bool]]

    async def get(self, uow: UnitOfWork, actor: Actor, run_id: UUID) -> Row[Any]:
        """Return one of a user's runs.

        Raises
        ------
        NotFound
            If the user has no such run.
        """
        row = await self.find(uow.session, actor.user_id, run_id)
        if row is None:
            raise NotFound(f"There is no such {self.noun}.", ("id",))
        return row

    async def cancel(self, uow: UnitOfWork, actor: Actor, run_id: UUID) -> Row[Any]:
        """Cancel one of a user's runs and return it.

        Raises
        ------
        NotFound
            If the user has no such run.
        InvalidState
            If it has ended already.
        """
        row = await self.get(uow, actor, run_id)
        if not await self.end(uow, run_id):
            raise InvalidState(f"This {self.noun} has ended: {row.status}.", ("id",))
        return await self.get(uow, actor, run_id)

    async def delete(self, uow: UnitOfWork, actor: Actor, run_id: UUID) -> None:
        """Delete one of a user's runs with all that belongs to it.

        Raises
        ------
        NotFound
            If the user has no such run.
        InvalidState
            If it is queued or running.
        """
        row = await self.get(uow, actor, run_id)
        c = self.model.__table__.c
        ended = [status.value for status in RunStatus if status.is_final]
        statement = delete(self.model).where(c.id == run_id, c.status.in_(ended)).returning(c.id)
        if await uow.session.scalar(statement) is None:
            raise InvalidState(f"This {self.noun} is {row.status}; cancel it first.", ("id",))
