"""The states of a backtest and who may change them, by the rules of all runs (infra/runs.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update

from gql_trader.backtests.models import BacktestCurveRow, BacktestRow, LedgerSegmentRow
from gql_trader.backtests.types import QUEUE, RUN_BACKTEST, Claim, RunStatus, stream_of
from gql_trader.core.ids import BacktestId
from gql_trader.infra.runs import RunTable, gave_up, now
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.notifications.long_runs import EndedRun, tell_ended
from gql_trader.notifications.types import NotificationKind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a completed run leaves behind.

    Attributes
    ----------
    metrics
        Values of the metric columns, by column name.
    equity, daily
        Encoded curves.
    ledger
        Encoded segments, in order.
    bars
        Bars simulated.
    """

    metrics: Mapping[str, Any]
    equity: bytes
    daily: bytes
    ledger: Sequence[bytes]
    bars: int
    content_hash: str


def job_key(backtest_id: UUID, dispatch: int) -> str:
    """Return the queue's key for one hand-over of a backtest."""
    return f"{RUN_BACKTEST}:{backtest_id}:{dispatch}"


def job_for(backtest_id: UUID, dispatch: int) -> Job:
    """Return the job that runs a backtest."""
    return Job(RUN_BACKTEST, QUEUE, job_key(backtest_id, dispatch), (str(backtest_id),))


RUNS = RunTable(BacktestRow, job_for, due="queued_at")
"""Backtests as runs."""


async def claim(uow: UnitOfWork, backtest_id: UUID, lease_seconds: float) -> tuple[Claim, Row[Any]] | None:
    """Take a queued run, or one whose worker has not renewed its lease; None if there is nothing to take."""
    started_at = func.coalesce(BacktestRow.started_at, now())
    row = await RUNS.claim(uow, (backtest_id,), lease_seconds, progress=0.0, started_at=started_at)
    if row is None:
        return None
    _publish(uow, backtest_id, RunStatus.RUNNING, 0.0, row.attempt)
    return Claim(BacktestId(row.id), row.attempt), row


async def renew(uow: UnitOfWork, held: Claim, lease_seconds: float, progress: float) -> bool:
    """Extend a lease and note the progress; return False if the run is no longer this worker's."""
    return await RUNS.renew(uow, held, lease_seconds, progress=progress)


async def hand_back(uow: UnitOfWork, held: Claim, *, crashed: bool = False) -> bool:
    """Put a run back into the queue: its worker was told to stop, or has crashed."""
    row = await RUNS.hand_back(uow, held, crashed=crashed, progress=0.0)
    if row is None:
        return False
    _publish(uow, held.backtest_id, RunStatus.QUEUED, 0.0, row.attempt)
    return True


async def complete(uow: UnitOfWork, held: Claim, outcome: Outcome) -> bool:
    """Store a result, once: return False if the run was cancelled, deleted or taken over."""
    key = held.backtest_id
    ended = await RUNS.change(
        uow,
        held,
        status=RunStatus.COMPLETED.value,
        progress=1.0,
        lease_expires_at=None,
        bars=outcome.bars,
        content_hash=outcome.content_hash,
        **_finished(),
        **outcome.metrics,
    )
    if ended is None:
        return False
    uow.session.add(BacktestCurveRow(backtest_id=key, equity=outcome.equity, daily=outcome.daily))
    uow.session.add_all(
        LedgerSegmentRow(backtest_id=key, segment=number, data=data)
        for number, data in enumerate(outcome.ledger)
    )
    await uow.session.flush()
    _publish(uow, key, RunStatus.COMPLETED, 1.0, held.attempt)
    run = EndedRun("Backtest", key, ended.user_id, ended.label, ended.duration_ms)
    await tell_ended(uow, run, NotificationKind.BACKTEST_COMPLETED)
    return True


async def fail(uow: UnitOfWork, held: Claim, message: str) -> bool:
    """End a run with a reason; return False if it is no longer this worker's."""
    key = held.backtest_id
    ended = await RUNS.change(
        uow,
        held,
        status=RunStatus.FAILED.value,
        error=message,
        lease_expires_at=None,
        **_finished(),
    )
    if ended is None:
        return False
    _publish(uow, key, RunStatus.FAILED, ended.progress, held.attempt)
    run = EndedRun("Backtest", key, ended.user_id, ended.label, ended.duration_ms, message)
    await tell_ended(uow, run, NotificationKind.BACKTEST_FAILED)
    return True


def _finished() -> dict[str, Any]:
    milliseconds = func.extract("epoch", now() - BacktestRow.started_at) * 1000
    return {"finished_at": now(), "duration_ms": milliseconds}


def _publish(uow: UnitOfWork, backtest_id: UUID, status: RunStatus, progress: float, attempt: int) -> None:
    # With the attempt a follower knows what a worker still tells that has lost the run.
    event = {"status": status.value, "progress": progress, "attempt": attempt}
    uow.publish(stream_of(backtest_id), event)


def announce_queued(uow: UnitOfWork, backtest_id: UUID) -> None:
    """Hand a new run to the workers and tell its followers, once the transaction has committed."""
    uow.enqueue(job_for(backtest_id, 0))
    _publish(uow, backtest_id, RunStatus.QUEUED, 0.0, 0)


async def cancel(uow: UnitOfWork, backtest_id: UUID) -> bool:
    """Cancel a run that has not ended; its worker notices at its next renewal. False if it has ended."""
    statement = (
        update(BacktestRow)
        .where(
            BacktestRow.id == backtest_id,
            BacktestRow.status.in_([RunStatus.QUEUED.value, RunStatus.RUNNING.value]),
        )
        .values(
            status=RunStatus.CANCELLED.value,
            lease_expires_at=None,
            attempt=BacktestRow.attempt + 1,
            **_finished(),
        )
        .returning(BacktestRow.progress, BacktestRow.attempt)
    )
    cancelled = (await uow.session.execute(statement)).one_or_none()
    if cancelled is None:
        return False
    _publish(uow, backtest_id, RunStatus.CANCELLED, cancelled.progress, cancelled.attempt)
    return True


async def take_over_expired(uow: UnitOfWork) -> int:
    """Queue again the runs whose workers have died, or fail those that keep killing them; return how many."""
    expired = (
        select(BacktestRow.id, BacktestRow.attempt, BacktestRow.crashes)
        .where(RUNS.is_expired())
        # By user: of two sweepers that notify several users, neither waits for the other in a circle.
        .order_by(BacktestRow.user_id)
        .with_for_update(skip_locked=True)
    )
    rows = (await uow.session.execute(expired)).all()
    for key, attempt, crashes in rows:
        held = Claim(BacktestId(key), attempt)
        if reason := gave_up(crashes, "this run"):
            await fail(uow, held, reason)
        else:
            await hand_back(uow, held, crashed=True)
    return len(rows)
