"""Reads of the optimization domain; those of users name the user, so that others' searches do not exist."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.backtests.types import RunStatus
from gql_trader.core.ids import UserId
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.optimizations.models import (
    OptimizationChunkRow,
    OptimizationKeyRow,
    OptimizationReportRow,
    OptimizationRow,
)
from gql_trader.optimizations.types import ChunkKind, ChunkStatus

_COLUMNS = OptimizationRow.__table__.c
_CHUNK = OptimizationChunkRow


def _columns(*names: str) -> list[ColumnElement[Any]]:
    return [OptimizationChunkRow.__table__.c[name] for name in names]


async def optimization(session: AsyncSession, user_id: UserId, optimization_id: UUID) -> Row[Any] | None:
    """Return one of a user's searches."""
    statement = select(*_COLUMNS).where(
        OptimizationRow.id == optimization_id, OptimizationRow.user_id == user_id
    )
    return (await session.execute(statement)).one_or_none()


async def optimizations_by_ids(
    session: AsyncSession, user_id: UserId, ids: Sequence[UUID]
) -> dict[UUID, Row[Any]]:
    """Return those of the searches that are this user's, by id."""
    statement = select(*_COLUMNS).where(OptimizationRow.id.in_(ids), OptimizationRow.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


async def page_of_optimizations(session: AsyncSession, user_id: UserId, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of a user's searches, the newest first, in one statement."""
    keys = [SortKey(_COLUMNS.created_at, descending=True), SortKey(_COLUMNS.id, descending=True)]
    return await fetch_page(session, select(*_COLUMNS).where(OptimizationRow.user_id == user_id), keys, page)


async def count_optimizations(session: AsyncSession, user_id: UserId) -> int:
    """Return how many searches a user has."""
    return await session.scalar(select(func.count()).where(OptimizationRow.user_id == user_id)) or 0


async def completed_like(session: AsyncSession, user_id: UserId, content_hash: str) -> Row[Any] | None:
    """Return the user's latest completed search with this content, if there is one."""
    statement = (
        select(*_COLUMNS)
        .where(
            OptimizationRow.user_id == user_id,
            OptimizationRow.content_hash == content_hash,
            OptimizationRow.status == RunStatus.COMPLETED.value,
        )
        .order_by(OptimizationRow.created_at.desc())
        .limit(1)
    )
    return (await session.execute(statement)).one_or_none()


async def requested_before(session: AsyncSession, user_id: UserId, key: str) -> Row[str, UUID] | None:
    """Return what this user requested under an idempotency key: request_hash and optimization_id."""
    statement = select(OptimizationKeyRow.request_hash, OptimizationKeyRow.optimization_id).where(
        OptimizationKeyRow.user_id == user_id, OptimizationKeyRow.key == key
    )
    return (await session.execute(statement)).one_or_none()


async def count_active(session: AsyncSession, user_id: UserId) -> int:
    """Return how many of a user's searches are queued or running."""
    statement = select(func.count()).where(
        OptimizationRow.user_id == user_id,
        OptimizationRow.status.in_([RunStatus.QUEUED.value, RunStatus.RUNNING.value]),
    )
    return await session.scalar(statement) or 0


async def scores(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """Return the encoded scores of all chunks that are done, in order, by search.

    The rows have ``number``, ``first_trial``, ``trial_count`` and ``scores``.
    """
    statement = select(*_columns("optimization_id", "number", "first_trial", "trial_count", "scores"))
    return await _by_search(session, statement.where(_CHUNK.optimization_id.in_(ids)), ids)


async def chunks_with(
    session: AsyncSession, wanted: Sequence[tuple[UUID, int, int]]
) -> dict[UUID, list[Row[Any]]]:
    """Return the chunks that are done and have trials of a range (search, first, last), by search.

    The rows have ``number``, ``first_trial``, ``trial_count``, ``scores`` and ``trials``, in order.
    """
    ranges = [
        and_(
            _CHUNK.optimization_id == key,
            _CHUNK.first_trial <= last,
            _CHUNK.first_trial + _CHUNK.trial_count > first,
        )
        for key, first, last in wanted
    ]
    names = ("optimization_id", "number", "first_trial", "trial_count", "scores", "trials")
    return await _by_search(
        session, select(*_columns(*names)).where(or_(*ranges)), [key for key, _, _ in wanted]
    )


async def chunks_before(
    session: AsyncSession, optimization_id: UUID, stage: int, first: int, last: int
) -> list[Row[Any]]:
    """Return the chunks of a search's stages before one, all of which are done, as `chunks_with` does.

    Parameters
    ----------
    first, last
        Numbers of trials that chunks must begin with.
    """
    names = ("optimization_id", "number", "first_trial", "trial_count", "scores", "trials")
    statement = select(*_columns(*names)).where(
        _CHUNK.optimization_id == optimization_id,
        _CHUNK.stage < stage,
        _CHUNK.first_trial.between(first, last),
    )
    return (await _by_search(session, statement, [optimization_id]))[optimization_id]


async def _by_search(
    session: AsyncSession, statement: Select[Any], ids: Sequence[UUID]
) -> dict[UUID, list[Row[Any]]]:
    statement = statement.where(
        _CHUNK.kind == ChunkKind.TRIALS.value, _CHUNK.status == ChunkStatus.DONE.value
    ).order_by(_CHUNK.optimization_id, _CHUNK.number)
    found: dict[UUID, list[Row[Any]]] = {key: [] for key in ids}
    for row in await session.execute(statement):
        found[row.optimization_id].append(row)
    return found


async def best_trials(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of the best trial so far, by search; those that have none are left out."""
    statement = (
        select(*_columns("optimization_id", "best_trial"))
        .ext(distinct_on(_CHUNK.optimization_id))
        .where(_CHUNK.optimization_id.in_(ids), _CHUNK.best_trial.is_not(None))
        .order_by(_CHUNK.optimization_id, _CHUNK.best_score.desc(), _CHUNK.best_trial)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def reports(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return the reports of completed searches: ``summary`` and ``daily``, by search."""
    columns = OptimizationReportRow.__table__.c
    statement = select(*columns).where(OptimizationReportRow.optimization_id.in_(ids))
    return {row.optimization_id: row for row in await session.execute(statement)}
