"""The audit log: privileged actions, written in the transaction that does them, never changed after."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.accounts import repository_credentials as repository
from gql_trader.accounts.models_credentials import AuditEventRow
from gql_trader.accounts.types_credentials import AuditAction, AuditFilter, AuditRecord
from gql_trader.core.ids import uuid7
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.unit_of_work import UnitOfWork

_NEWEST_FIRST = [SortKey(AuditEventRow.__table__.c.id, descending=True)]


def record_event(
    uow: UnitOfWork,
    action: AuditAction,
    *,
    actor_id: UUID | None,
    target_id: UUID | None,
    **metadata: Any,
) -> None:
    """Add an event to the log, in the transaction of what it tells of.

    Parameters
    ----------
    actor_id
        Who did it; None: the operator, from the command line, or an identity provider.
    target_id
        The user to whom it was done.
    metadata
        What else is worth knowing, as JSON; never a secret.
    """
    uow.session.add(
        AuditEventRow(
            id=uuid7(),
            actor_id=actor_id,
            action=action.value,
            target_id=target_id,
            details=metadata,
            created_at=uow.clock.now(),
        )
    )


def audit_record(row: AuditEventRow) -> AuditRecord:
    """Return an event."""
    return AuditRecord(row.id, row.actor_id, row.action, row.target_id, row.details, row.created_at)


async def list_events(uow: UnitOfWork, where: AuditFilter, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of events, newest first; the row's first element is the `AuditEventRow`."""
    return await fetch_page(uow.session, repository.audit_statement(where), _NEWEST_FIRST, page)


async def count_events(uow: UnitOfWork, where: AuditFilter) -> int:
    """Return how many events there are."""
    return await repository.count(uow.session, repository.audit_statement(where))
