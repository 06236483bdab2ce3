"""Dead letters: what could not be delivered, for administrators to see and to try once more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.core.actor import Actor
from gql_trader.core.errors import NotFound
from gql_trader.infra import outbox
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.outbox import Lane, OutboxRow
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import webhooks
from gql_trader.notifications.types import Channel

_NEWEST_FIRST = [SortKey(OutboxRow.__table__.c.id, descending=True)]
_DEAD = select(OutboxRow).where(OutboxRow.failed_at.is_not(None))
_CHANNELS: Mapping[str, Channel] = {
    Lane.MAIL: Channel.EMAIL,
    Lane.PUSH: Channel.PUSH,
    Lane.TELEGRAM: Channel.TELEGRAM,
    Lane.WEBHOOKS: Channel.WEBHOOK,
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the outbox that nobody tries to deliver any more.

    Attributes
    ----------
    kind
        Of the message, such as ``notification.webhook``.
    channel
        Where it was to go; None: it was to become others.
    user_id
        Whom it was for; None: it was for an address.
    address
        Of a mail that was for an address.
    webhook_id
        Where it was to go, if that is a webhook.
    """

    id: UUID
    kind: str
    channel: Channel | None
    user_id: UUID | None
    address: str | None
    webhook_id: UUID | None
    attempts: int
    last_error: str
    created_at: datetime
    failed_at: datetime


def dead_letter(row: OutboxRow) -> DeadLetter:
    """Return a dead letter."""
    assert row.failed_at is not None
    return DeadLetter(
        id=row.id,
        kind=row.kind,
        channel=_CHANNELS.get(row.lane),
        user_id=row.user_id,
        address=row.payload.get("email") if row.user_id is None else None,
        webhook_id=row.target_id if row.lane == Lane.WEBHOOKS else None,
        attempts=row.attempts,
        last_error=row.last_error or "",
        created_at=row.created_at,
        failed_at=row.failed_at,
    )


async def list_dead_letters(uow: UnitOfWork, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of dead letters, newest first; a row's first element is the `OutboxRow`."""
    return await fetch_page(uow.session, _DEAD, _NEWEST_FIRST, page)


async def count_dead_letters(uow: UnitOfWork) -> int:
    """Return how many there are."""
    return await uow.session.scalar(select(func.count()).select_from(_DEAD.subquery())) or 0


async def dead_letters_by_ids(uow: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, DeadLetter]:
    """Return those of the dead letters that exist, by id."""
    rows = await uow.session.scalars(_DEAD.where(OutboxRow.id.in_(ids)))
    return {row.id: dead_letter(row) for row in rows}


async def retry_delivery(uow: UnitOfWork, actor: Actor, letter_id: UUID) -> DeadLetter:
    """Try to deliver a dead letter once more, and return it as it was.

    Raises
    ------
    NotFound
        If there is none with this id, or somebody else has it tried already.
    InvalidState
        If it is for a webhook that is off, or was deleted: it would not be sent.
    """
    found = (await dead_letters_by_ids(uow, [letter_id])).get(letter_id)
    if found is None or not await outbox.revive(uow, letter_id):
        raise NotFound("There is no such dead letter.", ("id",))
    if found.webhook_id is not None:
        await webhooks.require_active(uow, found.webhook_id)
    record_event(
        uow,
        AuditAction.DELIVERY_RETRIED,
        actor_id=actor.user_id,
        target_id=found.user_id,
        deadLetterId=str(letter_id),
        kind=found.kind,
    )
    return found
