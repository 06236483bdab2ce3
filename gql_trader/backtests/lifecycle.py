"""The states of a run and who may change them: claims, leases, hand-over and the sweeper.

Every change is one UPDATE that names the state it expects, so that of two workers, or a worker and a
user, exactly one wins. Leases are measured by the database's clock, since machines disagree about time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, case, func, select, update

from gql_trader.backtests.models import BacktestCurveRow, BacktestRow, LedgerSegmentRow
from gql_trader.backtests.types import QUEUE, RUN_BACKTEST, Claim, RunStatus, stream_of
from gql_trader.core.ids import BacktestId
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.notifications.long_runs import EndedRun, tell_ended
from gql_trader.notifications.types import NotificationKind

MAXIMUM_CRASHES = 3
"""A run in whose middle this many workers died is taken for what kills them, and fails."""

SWEEP_ROWS = 1000
"""Most runs looked at in one sweep; the queue is first come first served, so lost ones become the oldest."""

_COLUMNS = BacktestRow.__table__.c


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


def _now() -> ColumnElement[Any]:
    return func.clock_timestamp()


async def claim(uow: UnitOfWork, backtest_id: UUID, lease_seconds: float) -> tuple[Claim, Row[Any]] | None:
    """Take a queued run, or one whose worker has not renewed its lease; None if there is nothing to take."""
    abandoned = (
        (BacktestRow.status == RunStatus.RUNNING.value)
        & (BacktestRow.lease_expires_at < _now())
        # The last one that may crash is left to the sweeper, which fails it.
        & (BacktestRow.crashes < MAXIMUM_CRASHES - 1)
    )
    takeable = (BacktestRow.status == RunStatus.QUEUED.value) | abandoned
    row = (
        await uow.session.execute(
            update(BacktestRow)
            .where(BacktestRow.id == backtest_id, takeable)
            .values(
                status=RunStatus.RUNNING.value,
                attempt=BacktestRow.attempt + 1,
                crashes=BacktestRow.crashes + case((abandoned, 1), else_=0),
                progress=0.0,
                started_at=func.coalesce(BacktestRow.started_at, _now()),
                lease_expires_at=_now() + timedelta(seconds=lease_seconds),
            )
            .returning(*_COLUMNS)
        )
    ).one_or_none()
    if row is None:
        return None
    _publish(uow, backtest_id, RunStatus.RUNNING, 0.0, row.attempt)
    return Claim(BacktestId(row.id), row.attempt), row


def _held(held: Claim) -> ColumnElement[bool]:
    return (
        (BacktestRow.id == held.backtest_id)
        & (BacktestRow.attempt == held.attempt)
        & (BacktestRow.status == RunStatus.RUNNING.value)
    )


async def renew(uow: UnitOfWork, held: Claim, lease_seconds: float, progress: float) -> bool:
    """Extend a lease and note the progress; return False if the run is no longer this worker's."""
    statement = (
        update(BacktestRow)
        .where(_held(held))
        .values(progress=progress, lease_expires_at=_now() + timedelta(seconds=lease_seconds))
        .returning(BacktestRow.id)
    )
    return await uow.session.scalar(statement) is not None


async def hand_back(uow: UnitOfWork, held: Claim, *, crashed: bool = False) -> bool:
    """Put a run back into the queue: its worker was told to stop, or has crashed."""
    statement = (
        update(BacktestRow)
        .where(_held(held))
        .values(
            status=RunStatus.QUEUED.value,
            progress=0.0,
            lease_expires_at=None,
            queued_at=_now(),
            dispatch=BacktestRow.dispatch + 1,
            attempt=BacktestRow.attempt + 1,
            crashes=BacktestRow.crashes + int(crashed),
        )
        .returning(BacktestRow.dispatch)
    )
    dispatch = await uow.session.scalar(statement)
    if dispatch is None:
        return False
    uow.enqueue(job_for(held.backtest_id, dispatch))
    _publish(uow, held.backtest_id, RunStatus.QUEUED, 0.0, held.attempt + 1)
    return True


async def complete(uow: UnitOfWork, held: Claim, outcome: Outcome) -> bool:
    """Store a result, once: return False if the run was cancelled, deleted or taken over."""
    statement = (
        update(BacktestRow)
        .where(_held(held))
        .values(
            status=RunStatus.COMPLETED.value,
            progress=1.0,
            lease_expires_at=None,
            bars=outcome.bars,
            content_hash=outcome.content_hash,
            **_finished(),
            **outcome.metrics,
        )
        .returning(BacktestRow.user_id, BacktestRow.label, BacktestRow.duration_ms)
    )
    ended = (await uow.session.execute(statement)).one_or_none()
    if ended is None:
        return False
    key = held.backtest_id
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
    statement = (
        update(BacktestRow)
        .where(_held(held))
        .values(status=RunStatus.FAILED.value, error=message, lease_expires_at=None, **_finished())
        .returning(BacktestRow.progress, BacktestRow.user_id, BacktestRow.label, BacktestRow.duration_ms)
    )
    ended = (await uow.session.execute(statement)).one_or_none()
    if ended is None:
        return False
    _publish(uow, held.backtest_id, RunStatus.FAILED, ended.progress, held.attempt)
    key = held.backtest_id
    run = EndedRun("Backtest", key, ended.user_id, ended.label, ended.duration_ms, message)
    await tell_ended(uow, run, NotificationKind.BACKTEST_FAILED)
    return True


def _finished() -> dict[str, Any]:
    milliseconds = func.extract("epoch", _now() - BacktestRow.started_at) * 1000
    return {"finished_at": _now(), "duration_ms": milliseconds}


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


async def stale_dispatches(uow: UnitOfWork, older_than_seconds: float) -> list[tuple[UUID, int]]:
    """Return the oldest queued runs (id, dispatch) that were handed to the queue a while ago."""
    statement = (
        select(BacktestRow.id, BacktestRow.dispatch)
        .where(
            BacktestRow.status == RunStatus.QUEUED.value,
            BacktestRow.queued_at < _now() - timedelta(seconds=older_than_seconds),
        )
        .order_by(BacktestRow.queued_at)
        .limit(SWEEP_ROWS)
    )
    return [(key, dispatch) for key, dispatch in (await uow.session.execute(statement)).all()]


async def redispatch(uow: UnitOfWork, lost: Sequence[tuple[UUID, int]]) -> int:
    """Hand queued runs that the queue no longer knows to it again; return how many."""
    count = 0
    for key, dispatch in lost:
        statement = (
            update(BacktestRow)
            .where(
                BacktestRow.id == key,
                BacktestRow.dispatch == dispatch,
                BacktestRow.status == RunStatus.QUEUED.value,
            )
            .values(dispatch=BacktestRow.dispatch + 1, queued_at=_now())
            .returning(BacktestRow.dispatch)
        )
        renewed = await uow.session.scalar(statement)
        if renewed is not None:
            uow.enqueue(job_for(key, renewed))
            count += 1
    return count


async def take_over_expired(uow: UnitOfWork) -> int:
    """Queue again the runs whose workers have died, or fail those that keep killing them; return how many."""
    expired = (
        select(BacktestRow.id, BacktestRow.attempt, BacktestRow.crashes)
        .where(BacktestRow.status == RunStatus.RUNNING.value, BacktestRow.lease_expires_at < _now())
        # By user: of two sweepers that notify several users, neither waits for the other in a circle.
        .order_by(BacktestRow.user_id)
        .with_for_update(skip_locked=True)
    )
    rows = (await uow.session.execute(expired)).all()
    for key, attempt, crashes in rows:
        held = Claim(BacktestId(key), attempt)
        if crashes + 1 >= MAXIMUM_CRASHES:
            await fail(uow, held, f"Gave up after {crashes + 1} workers died in the middle of this run.")
        else:
            await hand_back(uow, held, crashed=True)
    return len(rows)
