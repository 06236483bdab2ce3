"""The states of a sync and who may change them, by the rules of all runs (infra/runs.py).

The candles of one market and interval are fetched by one worker at a time: whoever comes second finds them
there. A sync whose exchange is away waits for its time.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, exists, func, not_, select
from sqlalchemy.orm import aliased

from gql_trader.core.ids import CandleSyncId
from gql_trader.core.runs import RunStatus
from gql_trader.infra.advisory_locks import lock_name
from gql_trader.infra.runs import RunTable, gave_up, now
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data.models_syncs import CandleSyncRow
from gql_trader.market_data.syncs.repository import SYNC
from gql_trader.market_data.types_syncs import QUEUE, SYNC_CANDLES, SyncClaim, stream_of

MAXIMUM_FAILURES = 12
"""After asking this often in vain, hours after the first time, a sync fails."""


def job_key(sync_id: UUID, dispatch: int) -> str:
    """Return the queue's key for one hand-over of a sync."""
    return f"{SYNC_CANDLES}:{sync_id}:{dispatch}"


def _job(sync_id: UUID, dispatch: int) -> Job:
    return Job(SYNC_CANDLES, QUEUE, job_key(sync_id, dispatch), (str(sync_id),))


def _fetched_by_another() -> ColumnElement[bool]:
    other = aliased(CandleSyncRow)
    return exists().where(
        other.exchange == CandleSyncRow.exchange,
        other.symbol == CandleSyncRow.symbol,
        other.interval == CandleSyncRow.interval,
        other.id != CandleSyncRow.id,
        other.status == RunStatus.RUNNING.value,
        other.lease_expires_at >= now(),
    )


RUNS = RunTable(CandleSyncRow, _job, due="due_at", waits=True, sweepable=lambda: not_(_fetched_by_another()))
"""Syncs as runs."""


def announce(uow: UnitOfWork, row: Row[Any]) -> None:
    """Hand a new sync to the workers and tell its followers, once the transaction has committed."""
    uow.enqueue(_job(row.id, row.dispatch))
    _publish(uow, row)


def _publish(uow: UnitOfWork, row: Row[Any]) -> None:
    event = {
        "status": row.status,
        "progress": row.progress,
        "fetched": row.fetched,
        # With the attempt a follower knows what a worker still tells that has lost the sync.
        "attempt": row.attempt,
    }
    uow.publish(stream_of(row.id), event)


async def claim(uow: UnitOfWork, sync_id: UUID, lease_seconds: float) -> tuple[SyncClaim, Row[Any]] | None:
    """Take a sync that is due, or one whose worker has not renewed its lease.

    Returns
    -------
    tuple or None
        None if there is nothing to take, or another worker fetches candles of the same series.
    """
    wanted = (
        await uow.session.execute(select(SYNC.exchange, SYNC.symbol, SYNC.interval).where(SYNC.id == sync_id))
    ).one_or_none()
    if wanted is None:
        return None
    await lock_name(uow.session, f"candle-sync:{wanted.exchange}:{wanted.symbol}:{wanted.interval}")
    started_at = func.coalesce(CandleSyncRow.started_at, now())
    row = await RUNS.claim(uow, (sync_id,), lease_seconds, not_(_fetched_by_another()), started_at=started_at)
    if row is None:
        return None
    _publish(uow, row)
    return SyncClaim(CandleSyncId(row.id), row.attempt), row


async def renew(uow: UnitOfWork, held: SyncClaim, lease_seconds: float) -> bool:
    """Extend a lease; return False if the sync is no longer this worker's."""
    return await RUNS.renew(uow, held, lease_seconds)


async def found_market(uow: UnitOfWork, held: SyncClaim, market_id: UUID) -> bool:
    """Note which market it is; return False if the sync is no longer this worker's."""
    return await RUNS.change(uow, held, market_id=market_id) is not None


async def advance(uow: UnitOfWork, held: SyncClaim, progress: float, fetched: int, refused: int) -> bool:
    """Note what was saved in this transaction; return False if the sync is no longer this worker's.

    Parameters
    ----------
    progress
        Share of the wanted times that need not be asked for any more.
    fetched, refused
        How many candles were new or changed, and how many were none.
    """
    row = await RUNS.change(
        uow,
        held,
        progress=progress,
        fetched=CandleSyncRow.fetched + fetched,
        refused=CandleSyncRow.refused + refused,
        crashes=0,
        failures=0,
        error=None,
    )
    if row is not None:
        _publish(uow, row)
    return row is not None


async def complete(uow: UnitOfWork, held: SyncClaim) -> bool:
    """End a sync that has all there is; return False if it is no longer this worker's."""
    return await _end(uow, held, RunStatus.COMPLETED, progress=1.0, error=None)


async def fail(uow: UnitOfWork, held: SyncClaim, message: str) -> bool:
    """End a sync with a reason; return False if it is no longer this worker's."""
    return await _end(uow, held, RunStatus.FAILED, error=message)


async def _end(uow: UnitOfWork, held: SyncClaim, status: RunStatus, **values: Any) -> bool:
    row = await RUNS.change(
        uow, held, status=status.value, lease_expires_at=None, finished_at=now(), **values
    )
    if row is None:
        return False
    _publish(uow, row)
    await _hand_on(uow, row)
    return True


async def _hand_on(uow: UnitOfWork, row: Row[Any]) -> None:
    """Let the next sync of the same series begin."""
    statement = (
        select(SYNC.id, SYNC.dispatch)
        .where(
            SYNC.exchange == row.exchange,
            SYNC.symbol == row.symbol,
            SYNC.interval == row.interval,
            SYNC.status == RunStatus.QUEUED.value,
            SYNC.due_at <= now(),
        )
        .order_by(SYNC.id)
        .limit(1)
    )
    following = (await uow.session.execute(statement)).one_or_none()
    if following is not None:
        await RUNS.dispatch_again(uow, [(following.id, following.dispatch)])


async def hand_back(uow: UnitOfWork, held: SyncClaim, *, crashed: bool = False) -> bool:
    """Put a sync back into the queue: its worker was told to stop, or has crashed."""
    row = await RUNS.hand_back(uow, held, crashed=crashed)
    if row is not None:
        _publish(uow, row)
    return row is not None


async def wait(uow: UnitOfWork, held: SyncClaim, seconds: float, message: str) -> bool:
    """Let a sync rest because the exchange cannot be asked; the sweeper hands it out when it is due."""
    row = await RUNS.change(
        uow,
        held,
        status=RunStatus.QUEUED.value,
        lease_expires_at=None,
        due_at=now() + timedelta(seconds=seconds),
        attempt=CandleSyncRow.attempt + 1,
        failures=CandleSyncRow.failures + 1,
        error=message,
    )
    if row is not None:
        _publish(uow, row)
        await _hand_on(uow, row)
    return row is not None


async def take_over_expired(uow: UnitOfWork) -> int:
    """Queue again the syncs whose workers have died, fail those that keep killing them; return how many."""
    expired = (
        select(SYNC.id, SYNC.attempt, SYNC.crashes)
        .where(RUNS.is_expired())
        .order_by(SYNC.id)
        .with_for_update(skip_locked=True)
    )
    rows = (await uow.session.execute(expired)).all()
    for key, attempt, crashes in rows:
        held = SyncClaim(CandleSyncId(key), attempt)
        if reason := gave_up(crashes, "this sync"):
            await fail(uow, held, reason)
        else:
            await hand_back(uow, held, crashed=True)
    return len(rows)
