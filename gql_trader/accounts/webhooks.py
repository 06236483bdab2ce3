"""Messages of an identity provider about its users, in the form of Clerk's: accounts are kept in step.

A message may come twice, late, or after ones that are younger. Its id is stored in the transaction that
follows it; a user's changes are followed in the order of their times; a deletion is final.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from gql_trader.accounts import administration, api_tokens, external_identity, service
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import PasswordResetRow, UserRow
from gql_trader.accounts.models_external import ExternalIdentityRow, WebhookMessageRow
from gql_trader.accounts.repository_credentials import lock_administration
from gql_trader.accounts.types import UserStatus
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.accounts.types_external import Profile
from gql_trader.config import SignupApproval
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import InvalidInput, InvalidState
from gql_trader.infra import json_codec
from gql_trader.infra.unit_of_work import UnitOfWork

KEPT = timedelta(days=30)
"""How long a message is remembered; a signature is good for five minutes, a repetition comes within days."""

_CHANGES = frozenset({"user.created", "user.updated"})
_DELETION = "user.deleted"
_SUBJECT = re.compile(r"[^\0\ud800-\udfff]{1,255}")
_LATEST_MILLISECONDS = 32_503_680_000_000  # the year 3000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class UserEvent:
    """What a message tells.

    Attributes
    ----------
    changed_at
        The provider's time of the change; None if it does not say.
    username
        The username at the provider; None if it has none.
    banned
        Whether the provider shuts the user out.
    """

    kind: str
    profile: Profile
    changed_at: datetime | None = None
    username: str | None = None
    banned: bool = False


async def receive(
    uow: UnitOfWork,
    issuer: str,
    approval: SignupApproval,
    message_id: str,
    body: bytes,
) -> bool:
    """Follow a message whose signature was right; return False if that was done before.

    Parameters
    ----------
    issuer
        Of the tokens that the provider's users come with.

    Raises
    ------
    InvalidInput
        If the message is malformed.
    """
    event = read_event(body)
    now = uow.clock.now()
    fresh = await uow.session.scalar(
        insert(WebhookMessageRow)
        .values(message_id=message_id, received_at=now)
        .on_conflict_do_nothing()
        .returning(WebhookMessageRow.message_id)
    )
    if fresh is None:
        return False
    await uow.session.execute(delete(WebhookMessageRow).where(WebhookMessageRow.received_at < now - KEPT))
    if event is None:
        return True
    await external_identity.lock(uow, issuer, event.profile.subject)
    found = await external_identity.find(uow, issuer, event.profile.subject)
    if event.kind == _DELETION:
        await _follow_deletion(uow, issuer, event, found[0] if found else None)
    elif found is not None:
        await _follow_change(uow, event, found[0])
    elif event.banned:
        # A token that is still good must not bring the user in.
        uow.session.add(_without_account(issuer, event, now, banned_at=now))
    elif approval is not SignupApproval.CLOSED:
        row, _ = await external_identity.provision(uow, issuer, event.profile, approval)
        row.updated_at = event.changed_at
    return True


def read_event(body: bytes) -> UserEvent | None:
    """Return what a message tells; None if it is of a kind that is of no interest here.

    Raises
    ------
    InvalidInput
        If it is malformed.
    """
    try:
        message = json_codec.loads(body)
    except ValueError as error:
        raise InvalidInput("The message is not JSON.") from error
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str):
        raise InvalidInput("The message has no type.")
    if kind != _DELETION and kind not in _CHANGES:
        return None
    data = message.get("data")
    subject = data.get("id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise InvalidInput("The message names no user.")
    if kind == _DELETION:
        return UserEvent(kind, Profile(subject))
    username = data.get("username") if isinstance(data.get("username"), str) else None
    email = _verified_email(data)
    names = [name for name in (username, data.get("first_name")) if isinstance(name, str)]
    if email is not None:
        names.append(email.partition("@")[0])
    return UserEvent(
        kind,
        Profile(subject, email, tuple(names)),
        _moment(data.get("updated_at")),
        username,
        data.get("banned") is True,
    )


def _verified_email(data: dict[str, Any]) -> str | None:
    entries = data.get("email_addresses")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("id") != data.get("primary_email_address_id"):
            continue
        address, verification = entry.get("email_address"), entry.get("verification")
        verified = isinstance(verification, dict) and verification.get("status") == "verified"
        return address if verified and isinstance(address, str) else None
    return None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST_MILLISECONDS:
        return None
    return from_milliseconds(value)


async def _follow_change(uow: UnitOfWork, event: UserEvent, identity: ExternalIdentityRow) -> None:
    if identity.deleted_at is not None:
        return
    if event.changed_at is not None:
        if identity.updated_at is not None and event.changed_at <= identity.updated_at:
            return
        identity.updated_at = event.changed_at
    if identity.user_id is None:
        if not event.banned:
            # Banned before ever coming here, and welcome now: as if never heard of.
            await uow.session.delete(identity)
        return
    user = await _locked(uow, identity.user_id)
    if user is None:
        return
    changed = [*await _follow_email(uow, user, event), *await _follow_username(uow, user, event)]
    if event.banned != (identity.banned_at is not None):
        identity.banned_at = uow.clock.now() if event.banned else None
        changed.append("banned")
    if changed:
        user.updated_at = uow.clock.now()
        _record(uow, AuditAction.IDENTITY_CHANGED, identity, changed=changed)
        await uow.session.flush()
    if event.banned and user.status != UserStatus.DISABLED:
        await _shut_out(uow, user)


async def _follow_email(uow: UnitOfWork, user: UserRow, event: UserEvent) -> list[str]:
    email = await external_identity.free_email(uow, event.profile.email)
    if email is None or not await _give(uow, user, email=email, email_key=email.lower()):
        return []
    # Whoever reads the mail of the old address must not be able to take over the account.
    await uow.session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user.id))
    return ["email"]


async def _follow_username(uow: UnitOfWork, user: UserRow, event: UserEvent) -> list[str]:
    username = event.username
    if username is None or username == user.username:
        return []
    try:
        service.check_username(username)
    except InvalidInput:
        return []
    respelled = username.lower() == user.username_key
    if not respelled and not await external_identity.is_free_username(uow, username):
        return []
    given = await _give(uow, user, username=username, username_key=username.lower())
    return ["username"] if given else []


async def _give(uow: UnitOfWork, user: UserRow, **values: str) -> bool:
    """Write what has to be unique; return False if another account was faster, so that it is taken."""
    try:
        async with uow.session.begin_nested():
            await uow.session.execute(
                update(UserRow)
                .where(UserRow.id == user.id)
                .values(values)
                .execution_options(synchronize_session=False)
            )
    except IntegrityError:
        return False
    await uow.session.refresh(user)
    return True


async def _follow_deletion(
    uow: UnitOfWork, issuer: str, event: UserEvent, identity: ExternalIdentityRow | None
) -> None:
    now = uow.clock.now()
    if identity is None:
        # A token that is still good, or a message that is late, must not bring the user in.
        uow.session.add(_without_account(issuer, event, now, deleted_at=now))
        await uow.session.flush()
        return
    if identity.deleted_at is not None:
        return
    identity.deleted_at = now
    _record(uow, AuditAction.IDENTITY_DELETED, identity)
    user = await _locked(uow, identity.user_id)
    if user is not None and user.status != UserStatus.DISABLED:
        await _shut_out(uow, user)


def _without_account(
    issuer: str,
    event: UserEvent,
    now: datetime,
    *,
    deleted_at: datetime | None = None,
    banned_at: datetime | None = None,
) -> ExternalIdentityRow:
    return ExternalIdentityRow(
        issuer=issuer,
        subject=event.profile.subject,
        user_id=None,
        created_at=now,
        updated_at=event.changed_at,
        deleted_at=deleted_at,
        banned_at=banned_at,
    )


async def _locked(uow: UnitOfWork, user_id: UUID | None) -> UserRow | None:
    # With the administrators, in the order that administration locks them too: either waits for the other.
    return (await lock_administration(uow.session, user_id)).get(user_id) if user_id is not None else None


async def _shut_out(uow: UnitOfWork, user: UserRow) -> None:
    try:
        await administration.disable_user(uow, None, user.id)
    except InvalidState:
        # The last active administrator remains one, but nothing that was given out opens the account any
        # more: no session, no API token and, by what was noted of the identity, no token of the provider.
        _log.warning("last_administrator_not_disabled", user_id=str(user.id))
        user.token_version += 1
        user.updated_at = uow.clock.now()
        revoked = await api_tokens.revoke_all(uow, user.id)
        record_event(
            uow, AuditAction.CREDENTIALS_ENDED, actor_id=None, target_id=user.id, revokedApiTokens=revoked
        )
    await uow.session.flush()


def _record(uow: UnitOfWork, action: AuditAction, identity: ExternalIdentityRow, **metadata: Any) -> None:
    record_event(
        uow,
        action,
        actor_id=None,
        target_id=identity.user_id,
        issuer=identity.issuer,
        subject=identity.subject,
        **metadata,
    )
