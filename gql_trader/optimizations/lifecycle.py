"""The states of a search and its chunks, and who may change them, by the rules of all runs (infra/runs.py).

Every change locks the search's row first, so that none waits for another in a circle.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, select, true, update

from gql_trader.backtests.types import RunStatus
from gql_trader.core.ids import OptimizationId
from gql_trader.infra.runs import RunTable, now
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.notifications.long_runs import EndedRun, tell_ended
from gql_trader.notifications.types import NotificationKind
from gql_trader.optimizations.models import (
    OptimizationChunkRow,
    OptimizationReportRow,
    OptimizationRow,
)
from gql_trader.optimizations.types import QUEUE, RUN_CHUNK, ChunkStatus, Claim, stream_of

HANDED_OUT = 64
"""Chunks of one search that are in the queue or running at a time: others get their turn in between."""

STEPS = 200
"""Progress is told when it crosses one of this many steps."""

_COLUMNS = OptimizationRow.__table__.c
_CHUNK = OptimizationChunkRow
ACTIVE = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
"""States of a search that has not ended."""


@dataclass(frozen=True, slots=True)
class Trials:
    """What a chunk of trials leaves behind.

    Attributes
    ----------
    best_score, best_trial
        The highest score and the number of its trial; None where no trial has a score.
    """

    scores: bytes
    trials: bytes
    best_score: float | None
    best_trial: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the last chunk leaves behind."""

    summary: dict[str, Any]
    daily: bytes
    equity: bytes | None = None


def job_key(optimization_id: UUID, number: int, dispatch: int) -> str:
    """Return the queue's key for one hand-over of a chunk."""
    return f"{RUN_CHUNK}:{optimization_id}:{number}:{dispatch}"


def job_for(optimization_id: UUID, number: int, dispatch: int) -> Job:
    """Return the job that runs a chunk."""
    key = job_key(optimization_id, number, dispatch)
    return Job(RUN_CHUNK, QUEUE, key, (str(optimization_id), number))


def of_active() -> ColumnElement[bool]:
    """Return the condition for chunks of searches that have not ended."""
    return exists().where(OptimizationRow.id == _CHUNK.optimization_id, OptimizationRow.status.in_(ACTIVE))


CHUNKS = RunTable(
    OptimizationChunkRow,
    job_for,
    due="queued_at",
    key=("optimization_id", "number"),
    # Without what they have found, which is large.
    columns=("number", "kind", "stage", "first_trial", "trial_count", "attempt", "dispatch"),
    sweepable=of_active,
)
"""Chunks as runs."""


async def _lock(uow: UnitOfWork, optimization_id: UUID) -> Row[Any] | None:
    """Return a search that has not ended, its row locked."""
    statement = select(*_COLUMNS).where(OptimizationRow.id == optimization_id).with_for_update()
    row = (await uow.session.execute(statement)).one_or_none()
    return row if row is not None and row.status in ACTIVE else None


async def claim(
    uow: UnitOfWork, optimization_id: UUID, number: int, lease_seconds: float
) -> tuple[Claim, Row[Any], Row[Any]] | None:
    """Take a queued chunk, or one whose worker has not renewed its lease; None if there is none to take.

    Returns
    -------
    tuple
        The claim, the chunk without its columns, and the search.
    """
    search = await _lock(uow, optimization_id)
    if search is None:
        return None
    chunk = await CHUNKS.claim(uow, (optimization_id, number), lease_seconds)
    if chunk is None:
        return None
    if search.status == RunStatus.QUEUED.value:
        await uow.session.execute(
            update(OptimizationRow)
            .where(OptimizationRow.id == optimization_id)
            .values(status=RunStatus.RUNNING.value, started_at=now())
        )
        _publish(uow, search, RunStatus.RUNNING, search.trials_done)
    return Claim(OptimizationId(search.id), number, chunk.attempt), chunk, search


async def renew(uow: UnitOfWork, held: Claim, lease_seconds: float) -> bool:
    """Extend a lease; return False if the chunk is no longer this worker's, or the search has ended."""
    wanted = exists().where(
        OptimizationRow.id == held.optimization_id, OptimizationRow.status == RunStatus.RUNNING.value
    )
    return await CHUNKS.renew(uow, held, lease_seconds, wanted)


async def hand_back(uow: UnitOfWork, held: Claim, *, crashed: bool = False, expired: bool = False) -> bool:
    """Put a chunk back into the queue: its worker was told to stop, or has crashed.

    Parameters
    ----------
    expired
        Only if the lease has run out: a sweeper may have found it so a moment before it was renewed.
    """
    if await _lock(uow, held.optimization_id) is None:
        return False
    condition = CHUNKS.is_expired() if expired else true()
    return await CHUNKS.hand_back(uow, held, condition, crashed=crashed) is not None


async def complete_trials(uow: UnitOfWork, held: Claim, found: Trials) -> bool:
    """Store a chunk's trials, once, and queue the next: return False if they are not wanted any more."""
    search = await _lock(uow, held.optimization_id)
    if search is None:
        return False
    count = await _finish_chunk(
        uow,
        held,
        scores=found.scores,
        trials=found.trials,
        best_score=found.best_score,
        best_trial=found.best_trial,
    )
    if count is None:
        return False
    done = search.trials_done + count
    await uow.session.execute(
        update(OptimizationRow)
        .where(OptimizationRow.id == search.id)
        .values(trials_done=done, progress=done / search.trials_total)
    )
    if done * STEPS // search.trials_total > search.trials_done * STEPS // search.trials_total:
        _publish(uow, search, RunStatus.RUNNING, done)
    await hand_out(uow, search.id)
    return True


async def complete_report(uow: UnitOfWork, held: Claim, report: Report) -> bool:
    """Store what a search amounts to and end it; return False if that is not wanted any more."""
    search = await _lock(uow, held.optimization_id)
    if search is None or await _finish_chunk(uow, held) is None:
        return False
    uow.session.add(
        OptimizationReportRow(
            optimization_id=search.id, summary=report.summary, daily=report.daily, equity=report.equity
        )
    )
    await uow.session.flush()
    await _end(uow, search, RunStatus.COMPLETED)
    return True


async def _finish_chunk(uow: UnitOfWork, held: Claim, **values: Any) -> int | None:
    done = await CHUNKS.change(uow, held, status=ChunkStatus.DONE.value, lease_expires_at=None, **values)
    return None if done is None else done.trial_count


async def hand_out(uow: UnitOfWork, optimization_id: UUID) -> None:
    """Queue waiting chunks of the earliest stage that is not done, as many as there is room for.

    The caller holds the search's row.
    """
    of_search = _CHUNK.optimization_id == optimization_id
    stage = (
        select(func.min(_CHUNK.stage)).where(of_search, _CHUNK.status != ChunkStatus.DONE.value)
    ).scalar_subquery()
    out = await uow.session.scalar(
        select(func.count()).where(
            of_search, _CHUNK.status.in_([ChunkStatus.QUEUED.value, ChunkStatus.RUNNING.value])
        )
    )
    room = HANDED_OUT - (out or 0)
    if room <= 0:
        return
    chosen = (
        select(_CHUNK.number)
        .where(of_search, _CHUNK.status == ChunkStatus.WAITING.value, _CHUNK.stage == stage)
        .order_by(_CHUNK.number)
        .limit(room)
    )
    statement = (
        update(_CHUNK)
        .where(of_search, _CHUNK.number.in_(chosen))
        .values(status=ChunkStatus.QUEUED.value, queued_at=now())
        .returning(_CHUNK.number, _CHUNK.dispatch)
        .execution_options(synchronize_session=False)
    )
    for number, dispatch in sorted((await uow.session.execute(statement)).all()):
        uow.enqueue(job_for(optimization_id, number, dispatch))


async def fail(uow: UnitOfWork, held: Claim, message: str, *, expired: bool = False) -> bool:
    """End a search with a reason; return False if the chunk is no longer this worker's.

    Parameters
    ----------
    expired
        Only if the lease has run out.
    """
    search = await _lock(uow, held.optimization_id)
    if search is None:
        return False
    mine = CHUNKS.is_held(held) & (CHUNKS.is_expired() if expired else true())
    if await uow.session.scalar(select(_CHUNK.number).where(mine)) is None:
        return False
    await _end(uow, search, RunStatus.FAILED, message)
    return True


async def cancel(uow: UnitOfWork, optimization_id: UUID) -> bool:
    """Cancel a search that has not ended; its workers notice at their next renewals."""
    search = await _lock(uow, optimization_id)
    if search is None:
        return False
    await _end(uow, search, RunStatus.CANCELLED)
    return True


_TOLD = {
    RunStatus.COMPLETED: NotificationKind.OPTIMIZATION_COMPLETED,
    RunStatus.FAILED: NotificationKind.OPTIMIZATION_FAILED,
}


async def _end(uow: UnitOfWork, search: Row[Any], status: RunStatus, error: str | None = None) -> None:
    milliseconds = func.extract("epoch", now() - OptimizationRow.started_at) * 1000
    values = {"progress": 1.0} if status is RunStatus.COMPLETED else {"attempt": search.attempt + 1}
    duration = await uow.session.scalar(
        update(OptimizationRow)
        .where(OptimizationRow.id == search.id)
        .values(status=status.value, error=error, finished_at=now(), duration_ms=milliseconds, **values)
        .returning(OptimizationRow.duration_ms)
    )
    _publish(uow, search, status, search.trials_done)
    if (kind := _TOLD.get(status)) is not None:
        run = EndedRun("Optimization", search.id, search.user_id, search.label, duration, error)
        await tell_ended(uow, run, kind)


def announce_queued(uow: UnitOfWork, search: Row[Any]) -> None:
    """Tell the followers of a new search, once the transaction has committed."""
    _publish(uow, search, RunStatus.QUEUED, 0)


def _publish(uow: UnitOfWork, search: Row[Any], status: RunStatus, done: int) -> None:
    event = {
        "status": status.value,
        "progress": round(done / search.trials_total, 6),
        "trialsDone": done,
        "attempt": search.attempt + (status in (RunStatus.FAILED, RunStatus.CANCELLED)),
    }
    uow.publish(stream_of(search.id), event)
