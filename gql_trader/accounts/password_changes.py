"""Changing a password: by its owner, who knows the old one, or with a token that was mailed to them.

Either ends every login session of the user and every token of a reset; the second one ends the API tokens
too, since it may be how an account is taken back from somebody. The password of users who come by an identity
provider is the provider's affair: a reset would be a way around it.
"""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts import api_tokens, repository
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import PasswordResetRow, UserRow
from gql_trader.accounts.repository_credentials import (
    count_usable_api_tokens,
    has_external_identity,
    lock_user,
)
from gql_trader.accounts.service import check_password, normalize_email
from gql_trader.accounts.types import PASSWORD_LENGTHS, AccountMail, UserRecord, UserStatus
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.infra import outbox
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.tokens import new_opaque_token, token_digest
from gql_trader.infra.unit_of_work import UnitOfWork

RESET_TOKEN_PREFIX = "gqlp_"  # noqa: S105 -- what each begins with
RESET_LIFETIME = timedelta(minutes=30)


async def change_password(
    uow: UnitOfWork,
    passwords: PasswordHasher,
    actor: Actor,
    current: str,
    new: str,
    *,
    revoke_api_tokens: bool = False,
) -> UserRecord:
    """Give the actor another password and end all their login sessions, this one too.

    Parameters
    ----------
    revoke_api_tokens
        Whether to end all their API tokens as well.

    Raises
    ------
    DomainError
        INVALID_CREDENTIALS if ``current`` is not their password, WEAK_PASSWORD if ``new`` is easy to guess.
    """
    wrong = DomainError("This is not your password.", ("currentPassword",), ErrorCode.INVALID_CREDENTIALS)
    row = await uow.session.get_one(UserRow, actor.user_id)
    held, personal = row.password_hash, (row.username, row.email)
    await uow.release()
    if len(current) > PASSWORD_LENGTHS[1] or not await passwords.verify(held, current):
        raise wrong
    check_password(new, personal, ("newPassword",))
    password_hash = await passwords.hash(new)
    row = await uow.session.get_one(UserRow, actor.user_id)
    action = AuditAction.PASSWORD_CHANGED
    if not await _set_password(uow, row, held, password_hash, action, revoke_api_tokens=revoke_api_tokens):
        # Somebody was faster, so that by now it is another one.
        raise wrong
    return repository.record(row)


def request_reset(uow: UnitOfWork, email: str) -> None:
    """Have a token mailed to an address, if it is a user's.

    Whether it is is found out by the worker that sends the mail: here the same is done for every address,
    in the same time.

    Raises
    ------
    InvalidInput
        If it is not an address.
    """
    outbox.send(uow, AccountMail.PASSWORD_RESET_REQUESTED, {"email": normalize_email(email)})


async def issue_reset_token(uow: UnitOfWork, email: str) -> tuple[UserRecord, str | None] | None:
    """Return the user who has an address, and a token with which to choose another password.

    It replaces the one before. There is no token for users who come by an identity provider, and nothing
    at all if nobody has the address, or nobody who may log in one day.
    """
    row = await repository.user_by_login(uow.session, email)
    if row is None or row.status == UserStatus.DISABLED:
        return None
    if await has_external_identity(uow.session, row.id):
        return repository.record(row), None
    token = new_opaque_token(RESET_TOKEN_PREFIX)
    values = {"token_hash": token_digest(token), "expires_at": uow.clock.now() + RESET_LIFETIME}
    await uow.session.execute(
        insert(PasswordResetRow)
        .values(user_id=row.id, **values)
        .on_conflict_do_update(index_elements=[PasswordResetRow.user_id], set_=values)
    )
    return repository.record(row), token


async def reset_password(uow: UnitOfWork, passwords: PasswordHasher, token: str, new: str) -> None:
    """Give the user to whom a token was mailed another password; end all their login sessions and API tokens.

    Raises
    ------
    DomainError
        INVALID_TOKEN if the token is unknown, was used, was replaced, or is older than 30 minutes;
        WEAK_PASSWORD, which leaves the token as it is.
    """
    invalid = DomainError(
        "The link is not valid any more; ask for another one.", ("token",), ErrorCode.INVALID_TOKEN
    )
    is_it = (PasswordResetRow.token_hash == token_digest(token)) & (
        PasswordResetRow.expires_at > uow.clock.now()
    )
    row = await uow.session.scalar(
        select(UserRow).join(PasswordResetRow, PasswordResetRow.user_id == UserRow.id).where(is_it)
    )
    if row is None or row.status == UserStatus.DISABLED or await has_external_identity(uow.session, row.id):
        raise invalid
    check_password(new, (row.username, row.email), ("newPassword",))
    user_id = row.id
    await uow.release()
    password_hash = await passwords.hash(new)
    # The user first, as whoever changes a password does, or the two could wait for each other.
    row = await lock_user(uow.session, user_id)
    # Of two requests with one token, one deletes it.
    used = await uow.session.scalar(delete(PasswordResetRow).where(is_it).returning(PasswordResetRow.user_id))
    if (
        row is None
        or used is None
        or row.status == UserStatus.DISABLED
        or not await _set_password(
            uow, row, row.password_hash, password_hash, AuditAction.PASSWORD_RESET, revoke_api_tokens=True
        )
    ):
        raise invalid


async def _set_password(
    uow: UnitOfWork,
    row: UserRow,
    held: str,
    password_hash: str,
    action: AuditAction,
    *,
    revoke_api_tokens: bool,
) -> bool:
    changed = await uow.session.scalar(
        update(UserRow)
        .where(UserRow.id == row.id, UserRow.password_hash == held)
        .values(
            password_hash=password_hash,
            token_version=UserRow.token_version + 1,
            updated_at=uow.clock.now(),
        )
        .returning(UserRow.id)
        .execution_options(synchronize_session=False)
    )
    if changed is None:
        return False
    await uow.session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == row.id))
    # Nobody makes a token meanwhile: that takes the lock on the user which is held by now.
    revoked = await api_tokens.revoke_all(uow, row.id) if revoke_api_tokens else 0
    remaining = await count_usable_api_tokens(uow.session, row.id, uow.clock.now())
    record_event(uow, action, actor_id=row.id, target_id=row.id, revokedApiTokens=revoked)
    told = {"email": row.email, "username": row.username, "revoked": revoked, "remaining": remaining}
    outbox.send(uow, AccountMail.PASSWORD_CHANGED, told)
    await uow.session.refresh(row)
    return True
