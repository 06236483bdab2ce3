"""Verifications: a completed backtest is run again, and the results are compared bit for bit.

There is one for each backtest, the last. A worker's death loses nothing: the sweeper hands whatever is not
finished to the queue again, where a job that still waits or runs is not added twice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts.quotas import count_request
from gql_trader.backtests import repository
from gql_trader.backtests.comparison import Difference, ResultPart, StoredResult
from gql_trader.backtests.models import BacktestVerificationRow
from gql_trader.backtests.types import QUEUE, VERIFY_BACKTEST, RunStatus
from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidState, NotFound
from gql_trader.engine.version import ENGINE_VERSION
from gql_trader.infra.rate_limits import RateLimits
from gql_trader.infra.unit_of_work import Job, UnitOfWork

MAXIMUM_ATTEMPTS = 5
"""A verification that this many workers have begun and none has ended fails."""

SWEEP_ROWS = 1000

_UNFINISHED = (RunStatus.QUEUED.value, RunStatus.RUNNING.value)
_COLUMNS = BacktestVerificationRow.__table__.c


@dataclass(frozen=True, slots=True)
class Verifying:
    """A worker's right to verify a backtest: the request's number, and the backtest's row."""

    number: int
    backtest: Row[Any]


async def request_verification(
    uow: UnitOfWork, rate_limits: RateLimits, actor: Actor, backtest_id: UUID, hourly: int
) -> tuple[Row[Any], Row[Any]]:
    """Queue the verification of one of a user's backtests; return the backtest and the verification.

    One that is queued or running already is returned as it is.

    Parameters
    ----------
    hourly
        Backtests that a user may queue within any hour; a verification counts as one.

    Raises
    ------
    NotFound
        If the user has no such backtest.
    InvalidState
        If it has not completed: there is no result to compare.
    QuotaExceeded
        If too many were queued within the last hour.
    """
    # The lock makes two requests at once one after the other; the second finds the first's.
    backtest = await repository.backtest(uow.session, actor.user_id, backtest_id, locked=True)
    if backtest is None:
        raise NotFound("There is no such backtest.", ("id",))
    if backtest.status != RunStatus.COMPLETED.value:
        raise InvalidState(
            f"Only a completed backtest can be verified; this one is {backtest.status}.", ("id",)
        )
    before = (await repository.verifications(uow.session, [backtest_id])).get(backtest_id)
    if before is not None and before.status in _UNFINISHED:
        return backtest, before
    await count_request(rate_limits, actor, "backtests", hourly)
    values = {
        "number": before.number + 1 if before is not None else 1,
        "attempts": 0,
        "status": RunStatus.QUEUED.value,
        "requested_at": uow.clock.now(),
        "finished_at": None,
        "engine_version": ENGINE_VERSION,
        "error": None,
        "differences": None,
    }
    statement = (
        insert(BacktestVerificationRow)
        .values(backtest_id=backtest_id, **values)
        .on_conflict_do_update(index_elements=[_COLUMNS.backtest_id], set_=values)
        .returning(*_COLUMNS)
    )
    row = (await uow.session.execute(statement)).one()
    uow.enqueue(_job(backtest_id, row.number))
    return backtest, row


def _job(backtest_id: UUID, number: int) -> Job:
    return Job(
        VERIFY_BACKTEST, QUEUE, f"{VERIFY_BACKTEST}:{backtest_id}:{number}", (str(backtest_id), number)
    )


async def begin(uow: UnitOfWork, backtest_id: UUID, number: int) -> Verifying | None:
    """Mark a verification as running; None if it is done, superseded or gone with its backtest."""
    statement = (
        update(BacktestVerificationRow)
        .where(*_pending(backtest_id, number))
        .values(
            status=RunStatus.RUNNING.value,
            attempts=BacktestVerificationRow.attempts + 1,
            engine_version=ENGINE_VERSION,
        )
        .returning(BacktestVerificationRow.attempts)
    )
    attempts = await uow.session.scalar(statement)
    if attempts is None:
        return None
    if attempts > MAXIMUM_ATTEMPTS:
        await fail(uow, backtest_id, number, f"Gave up after {MAXIMUM_ATTEMPTS} workers did not finish it.")
        return None
    row = await repository.backtest_of_anybody(uow.session, backtest_id)
    assert row is not None, "the verification goes with its backtest"
    return Verifying(number, row)


async def stored_result(uow: UnitOfWork, backtest: Row[Any]) -> StoredResult | None:
    """Return what is stored of a completed backtest; None if it has been deleted meanwhile."""
    curves = {
        column: (await repository.curves(uow.session, [backtest.id], column)).get(backtest.id)
        for column in ("equity", "daily")
    }
    segments = await repository.all_ledger_segments(uow.session, backtest.id)
    equity, daily = curves["equity"], curves["daily"]
    if equity is None or daily is None:
        return None
    return StoredResult(equity, daily, segments, dict(backtest._mapping))


async def complete(
    uow: UnitOfWork, backtest_id: UUID, number: int, differences: Sequence[Difference]
) -> bool:
    """Store the outcome, once; return False if the verification is not this one any more."""
    return await _finish(
        uow,
        backtest_id,
        number,
        status=RunStatus.COMPLETED.value,
        differences=[asdict(each) for each in differences],
    )


async def fail(uow: UnitOfWork, backtest_id: UUID, number: int, message: str) -> bool:
    """End a verification without an outcome; return False if it is not this one any more."""
    return await _finish(uow, backtest_id, number, status=RunStatus.FAILED.value, error=message)


async def _finish(uow: UnitOfWork, backtest_id: UUID, number: int, **values: Any) -> bool:
    statement = (
        update(BacktestVerificationRow)
        .where(*_pending(backtest_id, number))
        .values(finished_at=uow.clock.now(), **values)
        .returning(BacktestVerificationRow.number)
    )
    return await uow.session.scalar(statement) is not None


def _pending(backtest_id: UUID, number: int) -> tuple[Any, ...]:
    return (
        BacktestVerificationRow.backtest_id == backtest_id,
        BacktestVerificationRow.number == number,
        BacktestVerificationRow.status.in_(_UNFINISHED),
    )


async def unfinished(uow: UnitOfWork, older_than_seconds: float) -> list[Job]:
    """Return the jobs of the oldest verifications that were asked for a while ago and have not ended."""
    statement = (
        select(BacktestVerificationRow.backtest_id, BacktestVerificationRow.number)
        .where(
            BacktestVerificationRow.status.in_(_UNFINISHED),
            BacktestVerificationRow.requested_at
            < func.clock_timestamp() - timedelta(seconds=older_than_seconds),
        )
        .order_by(BacktestVerificationRow.requested_at)
        .limit(SWEEP_ROWS)
    )
    return [_job(key, number) for key, number in (await uow.session.execute(statement)).all()]


def differences_of(row: Row[Any]) -> list[Difference]:
    """Return what a completed verification has found; empty: the results are equal."""
    return [Difference(**{**each, "part": ResultPart(each["part"])}) for each in row.differences]
