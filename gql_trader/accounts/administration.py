"""Rules of administration: who may use the server, and as what.

Nobody changes their own rights, and one active administrator always remains. Both are judged under
locks on every active administrator, so that two who act at once cannot shut out each other.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.accounts import api_tokens, notices, repository
from gql_trader.accounts import repository_credentials as credentials
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.service import record
from gql_trader.accounts.types import AccountMail, UserRecord, UserStatus
from gql_trader.accounts.types_credentials import AuditAction, UserFilter
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import Forbidden, InvalidState, NotFound
from gql_trader.infra import outbox
from gql_trader.infra.keyset import PageRequest, Slice, SortKey, fetch_page
from gql_trader.infra.unit_of_work import UnitOfWork

_NEWEST_FIRST = [SortKey(UserRow.__table__.c.id, descending=True)]


async def list_users(uow: UnitOfWork, where: UserFilter, page: PageRequest) -> Slice[Row[Any]]:
    """Return one page of users, newest first; the row's first element is the `UserRow`."""
    return await fetch_page(uow.session, credentials.users_statement(where), _NEWEST_FIRST, page)


async def count_users(uow: UnitOfWork, where: UserFilter) -> int:
    """Return how many users there are."""
    return await credentials.count(uow.session, credentials.users_statement(where))


async def approve_user(uow: UnitOfWork, actor: Actor | None, user_id: UUID) -> UserRecord:
    """Let a pending user in; approving an active one changes nothing.

    Parameters
    ----------
    actor
        The administrator; None: the operator, from the command line. Likewise below.

    Raises
    ------
    Forbidden
        If the actor is no active administrator, or the user. Likewise below.
    NotFound
        If there is no such user. Likewise below.
    InvalidState
        If the user was disabled: that takes an explicit enabling.
    """
    row, _ = await _lock(uow, actor, user_id)
    if row.status == UserStatus.DISABLED:
        raise InvalidState(f"{row.username} is disabled; enable the user instead.", ("id",))
    if row.status == UserStatus.PENDING:
        row.status = UserStatus.ACTIVE.value
        _changed(uow, row)
        _record(uow, AuditAction.USER_APPROVED, actor, row)
        outbox.send(uow, AccountMail.APPROVED, {"email": row.email, "username": row.username})
        notices.approved(uow, row)
    return record(row)


async def disable_user(uow: UnitOfWork, actor: Actor | None, user_id: UUID) -> UserRecord:
    """Shut a user out, at once and with every credential; disabling a disabled one changes nothing.

    API tokens are revoked, so that enabling the user again brings none of them back.

    Raises
    ------
    InvalidState
        If no active administrator would remain.
    """
    row, administrators = await _lock(uow, actor, user_id)
    if row.status != UserStatus.DISABLED:
        _keep_one(administrators, row)
        previous, row.status = row.status, UserStatus.DISABLED.value
        _end_credentials(uow, row)
        revoked = await api_tokens.revoke_all(uow, row.id)
        _record(uow, AuditAction.USER_DISABLED, actor, row, status=previous, revokedApiTokens=revoked)
    return record(row)


async def enable_user(uow: UnitOfWork, actor: Actor | None, user_id: UUID) -> UserRecord:
    """Let a disabled user in again; enabling an active one changes nothing.

    Raises
    ------
    InvalidState
        If the user is pending: that takes an approval.
    """
    row, _ = await _lock(uow, actor, user_id)
    if row.status == UserStatus.PENDING:
        raise InvalidState(f"{row.username} is pending; approve the user instead.", ("id",))
    if row.status == UserStatus.DISABLED:
        row.status = UserStatus.ACTIVE.value
        # Tokens from before the user was disabled stay dead.
        _end_credentials(uow, row)
        _record(uow, AuditAction.USER_ENABLED, actor, row)
    return record(row)


async def change_role(uow: UnitOfWork, actor: Actor | None, user_id: UUID, role: Role) -> UserRecord:
    """Give a user another role; ends the user's access tokens. The same role changes nothing.

    Raises
    ------
    InvalidState
        If no active administrator would remain.
    """
    row, administrators = await _lock(uow, actor, user_id)
    if row.role != role:
        _keep_one(administrators, row)
        previous, row.role = row.role, role.value
        _end_credentials(uow, row)
        _record(uow, AuditAction.USER_ROLE_CHANGED, actor, row, **{"from": previous, "to": role.value})
    return record(row)


async def find_by_login(uow: UnitOfWork, login: str) -> UserRecord:
    """Return the user with this username or e-mail address.

    Raises
    ------
    NotFound
        If there is none.
    """
    row = await repository.user_by_login(uow.session, login)
    if row is None:
        raise NotFound(f"There is no user {login}.", ("login",))
    return record(row)


async def _lock(uow: UnitOfWork, actor: Actor | None, user_id: UUID) -> tuple[UserRow, set[UUID]]:
    """Return the user and the ids of all active administrators, both locked."""
    if actor is not None and actor.user_id == user_id:
        raise Forbidden("Nobody changes their own rights; ask another administrator.", ("id",))
    rows = await credentials.lock_administration(uow.session, user_id)
    administrators = {
        row.id for row in rows.values() if row.role == Role.ADMIN and row.status == UserStatus.ACTIVE
    }
    # Another administrator may have acted on this one since the request was authenticated.
    if actor is not None and actor.user_id not in administrators:
        raise Forbidden("You are no longer an administrator.")
    if user_id not in rows:
        raise NotFound("There is no such user.", ("id",))
    return rows[user_id], administrators


def _keep_one(administrators: set[UUID], leaving: UserRow) -> None:
    if administrators == {leaving.id}:
        raise InvalidState("This is the last active administrator; make another one first.", ("id",))


def _end_credentials(uow: UnitOfWork, row: UserRow) -> None:
    row.token_version += 1
    _changed(uow, row)


def _changed(uow: UnitOfWork, row: UserRow) -> None:
    row.updated_at = uow.clock.now()


def _record(uow: UnitOfWork, action: AuditAction, actor: Actor | None, row: UserRow, **metadata: Any) -> None:
    record_event(uow, action, actor_id=actor.user_id if actor else None, target_id=row.id, **metadata)
