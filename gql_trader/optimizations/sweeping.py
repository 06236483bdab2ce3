"""Chunks that dead workers were at, and those that the queue has lost."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select, update

from gql_trader.core.ids import OptimizationId
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.optimizations.lifecycle import (
    ACTIVE,
    MAXIMUM_CRASHES,
    fail,
    hand_back,
    job_for,
    now,
)
from gql_trader.optimizations.models import OptimizationChunkRow, OptimizationRow
from gql_trader.optimizations.types import ChunkStatus, Claim

SWEEP_ROWS = 1000
"""Most chunks looked at in one sweep; the queue is first come first served: lost ones become the oldest."""

_CHUNK = OptimizationChunkRow


def _of_active() -> ColumnElement[bool]:
    return exists().where(OptimizationRow.id == _CHUNK.optimization_id, OptimizationRow.status.in_(ACTIVE))


async def stale_dispatches(uow: UnitOfWork, older_than_seconds: float) -> list[tuple[UUID, int, int]]:
    """Return the oldest queued chunks (search, number, dispatch) that were handed out a while ago."""
    statement = (
        select(_CHUNK.optimization_id, _CHUNK.number, _CHUNK.dispatch)
        .where(
            _CHUNK.status == ChunkStatus.QUEUED.value,
            _CHUNK.queued_at < now() - timedelta(seconds=older_than_seconds),
            _of_active(),
        )
        .order_by(_CHUNK.queued_at)
        .limit(SWEEP_ROWS)
    )
    return [(key, number, dispatch) for key, number, dispatch in (await uow.session.execute(statement)).all()]


async def redispatch(uow: UnitOfWork, lost: Sequence[tuple[UUID, int, int]]) -> int:
    """Hand queued chunks that the queue no longer knows to it again; return how many."""
    count = 0
    # In the order of their keys, as everybody who changes several rows.
    for key, number, dispatch in sorted(lost):
        statement = (
            update(_CHUNK)
            .where(
                _CHUNK.optimization_id == key,
                _CHUNK.number == number,
                _CHUNK.dispatch == dispatch,
                _CHUNK.status == ChunkStatus.QUEUED.value,
            )
            .values(dispatch=_CHUNK.dispatch + 1, queued_at=now())
            .returning(_CHUNK.dispatch)
        )
        renewed = await uow.session.scalar(statement)
        if renewed is not None:
            uow.enqueue(job_for(key, number, renewed))
            count += 1
    return count


async def expired(uow: UnitOfWork) -> list[tuple[Claim, int]]:
    """Return the chunks whose workers have died, with how many had died before."""
    statement = select(_CHUNK.optimization_id, _CHUNK.number, _CHUNK.attempt, _CHUNK.crashes).where(
        _CHUNK.status == ChunkStatus.RUNNING.value, _CHUNK.lease_expires_at < now(), _of_active()
    )
    return [
        (Claim(OptimizationId(key), number, attempt), crashes)
        for key, number, attempt, crashes in (await uow.session.execute(statement)).all()
    ]


async def take_over(uow: UnitOfWork, held: Claim, crashes: int) -> bool:
    """Queue a dead worker's chunk again, or fail a search that keeps killing workers."""
    if crashes + 1 >= MAXIMUM_CRASHES:
        message = f"Gave up after {crashes + 1} workers died in the middle of one part."
        return await fail(uow, held, message, expired=True)
    return await hand_back(uow, held, crashed=True, expired=True)
