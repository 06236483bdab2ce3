"""Reads of the automation domain."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UserStatus
from gql_trader.automations.models import AutomationRow, AutomationRunRow
from gql_trader.automations.types import AutomationRunStatus, AutomationStatus
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_pages

AUTOMATION = AutomationRow.__table__.c
RUN = AutomationRunRow.__table__.c

_NEWEST_RUNS_FIRST = [SortKey(RUN.scheduled_for, descending=True), SortKey(RUN.id, descending=True)]


def automations_statement(user_id: UUID, status: AutomationStatus | None) -> Select[Any]:
    """Return the statement of a user's automations, in no order."""
    wanted: list[ColumnElement[bool]] = [AutomationRow.user_id == user_id]
    if status is not None:
        wanted.append(AutomationRow.status == status.value)
    return select(*AUTOMATION).where(*wanted)


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    """Return how many rows a statement has."""
    return await session.scalar(select(func.count()).select_from(statement.subquery())) or 0


async def automation(
    session: AsyncSession, user_id: UUID, automation_id: UUID, *, lock: bool = False
) -> Row[Any] | None:
    """Return one of a user's automations, locked until the transaction ends if asked for."""
    statement = select(*AUTOMATION).where(AutomationRow.id == automation_id, AutomationRow.user_id == user_id)
    return (await session.execute(statement.with_for_update() if lock else statement)).one_or_none()


async def automations_by_ids(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, Row[Any]]:
    """Return those of the automations that are the user's, by id."""
    statement = select(*AUTOMATION).where(AutomationRow.id.in_(ids), AutomationRow.user_id == user_id)
    return {row.id: row for row in await session.execute(statement)}


async def runs_by_ids(session: AsyncSession, user_id: UUID, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
    """Return those of the runs that are the user's, by id."""
    statement = (
        select(*RUN)
        .join(AutomationRow, AutomationRow.id == AutomationRunRow.automation_id)
        .where(AutomationRunRow.id.in_(ids), AutomationRow.user_id == user_id)
    )
    return {row.id: row for row in await session.execute(statement)}


async def pages_of_runs(
    session: AsyncSession, automation_ids: Sequence[UUID], page: PageRequest
) -> dict[UUID, Slice[Row[Any]]]:
    """Return the same page of the histories of several automations, the newest first; one statement."""
    return await fetch_pages(
        session, select(*RUN), RUN.automation_id, automation_ids, _NEWEST_RUNS_FIRST, page
    )


async def count_runs(session: AsyncSession, automation_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many runs automations have had, by automation; one statement for all of them."""
    statement = (
        select(AutomationRunRow.automation_id, func.count())
        .where(AutomationRunRow.automation_id.in_(automation_ids))
        .group_by(AutomationRunRow.automation_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def lock_due(session: AsyncSession, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Lock and return automations of active users whose moment has come, the longest due first.

    Those that another worker is at are left out.
    """
    statement = (
        select(*AUTOMATION)
        .join(UserRow, UserRow.id == AutomationRow.user_id)
        .where(AutomationRow.next_run_at <= now, UserRow.status == UserStatus.ACTIVE.value)
        .order_by(AutomationRow.next_run_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=AutomationRow)
    )
    return (await session.execute(statement)).all()


async def lock_queued_run(session: AsyncSession, run_id: UUID) -> Row[Any] | None:
    """Lock a queued run and return it; None if it is over or another worker is at it."""
    statement = (
        select(*RUN)
        .where(AutomationRunRow.id == run_id, AutomationRunRow.status == AutomationRunStatus.QUEUED.value)
        .with_for_update(skip_locked=True)
    )
    return (await session.execute(statement)).one_or_none()


async def automation_of_run(session: AsyncSession, automation_id: UUID) -> Row[Any]:
    """Return an automation with its owner's ``role`` and ``user_status``."""
    statement = (
        select(*AUTOMATION, UserRow.role, UserRow.status.label("user_status"))
        .join(UserRow, UserRow.id == AutomationRow.user_id)
        .where(AutomationRow.id == automation_id)
    )
    found = await session.execute(statement)
    return cast("Row[Any]", found.one())


async def queued_runs(session: AsyncSession, before: datetime, limit: int) -> Sequence[UUID]:
    """Return the oldest runs that were queued before a moment and have not ended."""
    statement = (
        select(AutomationRunRow.id)
        .where(
            AutomationRunRow.status == AutomationRunStatus.QUEUED.value, AutomationRunRow.created_at < before
        )
        .order_by(AutomationRunRow.created_at)
        .limit(limit)
    )
    return (await session.scalars(statement)).all()
