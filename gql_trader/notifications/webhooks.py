"""Rules of webhooks: endpoints of users, to which what they are told is sent, signed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select

from gql_trader.accounts.audit import record_event
from gql_trader.accounts.repository_credentials import lock_user
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.core.actor import Actor
from gql_trader.core.errors import (
    DomainError,
    DomainErrors,
    InvalidInput,
    InvalidState,
    NotFound,
    QuotaExceeded,
)
from gql_trader.core.ids import uuid7
from gql_trader.infra import outbox
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.outbox import Lane
from gql_trader.infra.public_http import AddressRefusedError, PublicHttp
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.infra.webhook_signatures import new_secret
from gql_trader.notifications.models import WEBHOOK_SECRET, WebhookRow
from gql_trader.notifications.repository import webhook_record
from gql_trader.notifications.types import (
    MAXIMUM_WEBHOOK_LABEL,
    MAXIMUM_WEBHOOKS,
    DeliveryKind,
    NotificationKind,
    WebhookRecord,
)

TURNED_OFF = "the webhook was turned off"
"""Why messages for one were given up."""


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What is to change of a webhook; None: nothing.

    Attributes
    ----------
    kinds
        What it is told of from now on; None: everything.
    kinds_given
        Whether ``kinds`` is to change.
    """

    url: str | None = None
    label: str | None = None
    kinds: tuple[NotificationKind, ...] | None = None
    kinds_given: bool = False
    active: bool | None = None
    rotate_secret: bool = False


async def create(
    uow: UnitOfWork,
    keys: KeyRing,
    http: PublicHttp,
    actor: Actor,
    url: str,
    label: str,
    kinds: Sequence[NotificationKind] | None,
) -> tuple[WebhookRecord, str]:
    """Make a webhook of the actor's; return it and its secret, which nobody can find out again.

    Raises
    ------
    DomainErrors
        For every field that was refused.
    QuotaExceeded
        If the actor has as many as are allowed.
    """
    url, label = url.strip(), label.strip()
    _check(http, url, label)
    # The lock makes two requests at once count one another's.
    await lock_user(uow.session, actor.user_id)
    count = await uow.session.scalar(
        select(func.count()).select_from(WebhookRow).where(WebhookRow.user_id == actor.user_id)
    )
    if (count or 0) >= MAXIMUM_WEBHOOKS:
        raise QuotaExceeded(f"A user may have {MAXIMUM_WEBHOOKS} webhooks; delete one first.")
    key, secret, now = uuid7(), new_secret(), uow.clock.now()
    row = WebhookRow(
        id=key,
        user_id=actor.user_id,
        label=label,
        url=url,
        secret=keys.encrypt(WEBHOOK_SECRET, key, secret.encode()),
        kinds=_stored(kinds),
        active=True,
        created_at=now,
        updated_at=now,
        last_delivered_at=None,
        last_failed_at=None,
        last_error=None,
    )
    uow.session.add(row)
    _record(uow, AuditAction.WEBHOOK_CREATED, actor, key, host=http.parse(url).host)
    await uow.session.flush()
    return webhook_record(row), secret


async def update(
    uow: UnitOfWork, keys: KeyRing, http: PublicHttp, actor: Actor, webhook_id: UUID, change: WebhookChange
) -> tuple[WebhookRecord, str | None]:
    """Change one of the actor's webhooks; return it, and its new secret if it has one now.

    What waits for one that is turned off is given up: it is among the dead letters from then on.

    Raises
    ------
    NotFound
        If it is not one of theirs.
    DomainErrors
        For every field that was refused.
    """
    row = await _locked(uow, actor, webhook_id)
    url = row.url if change.url is None else change.url.strip()
    label = row.label if change.label is None else change.label.strip()
    _check(http, url, label)
    changed = [name for name, old, new in (("url", row.url, url), ("label", row.label, label)) if old != new]
    row.url, row.label = url, label
    if change.kinds_given and _stored(change.kinds) != row.kinds:
        row.kinds = _stored(change.kinds)
        changed.append("kinds")
    if change.active is not None and change.active != row.active:
        row.active = change.active
        changed.append("active")
        if not row.active:
            await outbox.give_up_waiting(uow, Lane.WEBHOOKS, row.id, TURNED_OFF)
    secret = new_secret() if change.rotate_secret else None
    if secret is not None:
        row.secret = keys.encrypt(WEBHOOK_SECRET, row.id, secret.encode())
        changed.append("secret")
    if changed:
        row.updated_at = uow.clock.now()
        row.last_error = None
        _record(uow, AuditAction.WEBHOOK_CHANGED, actor, row.id, changed=changed, host=http.parse(url).host)
        await uow.session.flush()
    return webhook_record(row), secret


async def remove(uow: UnitOfWork, actor: Actor, webhook_id: UUID) -> None:
    """Delete one of the actor's webhooks; what waits for it is not sent.

    Raises
    ------
    NotFound
        If it is not one of theirs.
    """
    deleted = await uow.session.scalar(
        delete(WebhookRow)
        .where(WebhookRow.id == webhook_id, WebhookRow.user_id == actor.user_id)
        .returning(WebhookRow.id)
    )
    if deleted is None:
        raise _unknown()
    _record(uow, AuditAction.WEBHOOK_DELETED, actor, webhook_id)


async def send_test(uow: UnitOfWork, actor: Actor, webhook_id: UUID) -> WebhookRecord:
    """Send a message to one of the actor's webhooks, once, whether it is on or off.

    Raises
    ------
    NotFound
        If it is not one of theirs.
    """
    row = await _locked(uow, actor, webhook_id)
    outbox.send(uow, DeliveryKind.WEBHOOK, {}, Lane.WEBHOOKS, user_id=actor.user_id, target_id=webhook_id)
    return webhook_record(row)


async def require_active(uow: UnitOfWork, webhook_id: UUID) -> None:
    """Refuse if a webhook is off or was deleted, and keep it from being turned off in this transaction.

    Raises
    ------
    InvalidState
        If nothing can be sent to it.
    """
    active = await uow.session.scalar(
        select(WebhookRow.active).where(WebhookRow.id == webhook_id).with_for_update(read=True)
    )
    if active is None:
        raise InvalidState("The webhook that this was for was deleted.", ("id",))
    if not active:
        raise InvalidState("The webhook that this is for is off; its owner can turn it on.", ("id",))


async def _locked(uow: UnitOfWork, actor: Actor, webhook_id: UUID) -> WebhookRow:
    row = await uow.session.scalar(
        select(WebhookRow)
        .where(WebhookRow.id == webhook_id, WebhookRow.user_id == actor.user_id)
        .with_for_update()
    )
    if row is None:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("There is no such webhook.", ("id",))


def _stored(kinds: Sequence[NotificationKind] | None) -> list[str] | None:
    return None if kinds is None else [kind.value for kind in NotificationKind if kind in kinds]


def _check(http: PublicHttp, url: str, label: str) -> None:
    problems: list[DomainError] = []
    try:
        http.parse(url)
    except AddressRefusedError as error:
        problems.append(InvalidInput(str(error), ("url",)))
    if not 1 <= len(label) <= MAXIMUM_WEBHOOK_LABEL:
        problems.append(InvalidInput(f"A label has 1 to {MAXIMUM_WEBHOOK_LABEL} characters.", ("label",)))
    if problems:
        raise DomainErrors(problems)


def _record(uow: UnitOfWork, action: AuditAction, actor: Actor, webhook_id: UUID, **metadata: Any) -> None:
    # The host alone: the rest of an address may be as good as a password.
    record_event(
        uow,
        action,
        actor_id=actor.user_id,
        target_id=actor.user_id,
        webhookId=str(webhook_id),
        **metadata,
    )
