"""Rules of the second factor: enrolment, one-time passwords, and the recovery codes that replace them."""

import base64
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, or_, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts import repository_credentials as repository
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import TOTP_SECRET, RecoveryCodeRow, TotpSecretRow
from gql_trader.accounts.repository import record
from gql_trader.accounts.types import PASSWORD_LENGTHS, UserRecord
from gql_trader.accounts.types_credentials import AuditAction, Enrollment
from gql_trader.core.actor import Actor
from gql_trader.core.errors import DomainError, ErrorCode, InvalidState
from gql_trader.infra import one_time_passwords
from gql_trader.infra.key_ring import KeyRing
from gql_trader.infra.passwords import PasswordHasher
from gql_trader.infra.tokens import token_digest
from gql_trader.infra.unit_of_work import UnitOfWork

ISSUER = "gql_trader"
RECOVERY_CODES = 10
ENROLLMENT_LIFETIME = timedelta(hours=1)
"""How long a user has to confirm an enrolment."""

# 80 random bits: too many to find a code from its SHA-256.
_RECOVERY_BYTES = 10
_RECOVERY_LENGTH = 16
_GROUP = 4
_LONGEST_CODE = 64


async def begin_enrollment(
    uow: UnitOfWork, passwords: PasswordHasher, keys: KeyRing, actor: Actor, password: str
) -> Enrollment:
    """Give the actor a new secret and recovery codes, which count once the secret is confirmed.

    Raises
    ------
    DomainError
        INVALID_CREDENTIALS, if the password is wrong.
    InvalidState
        If a second factor is in use already.
    """
    user = await _verified_user(uow, passwords, actor, password)
    if user.totp_enabled:
        raise InvalidState("A second factor is in use already; disable it first.")
    secret = one_time_passwords.new_secret()
    values = {
        "secret": keys.encrypt(TOTP_SECRET, user.id, secret),
        "created_at": uow.clock.now(),
        "last_used_step": None,
    }
    await uow.session.execute(
        insert(TotpSecretRow)
        .values(user_id=user.id, **values)
        .on_conflict_do_update(index_elements=[TotpSecretRow.user_id], set_=values)
    )
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    await _forget_recovery_codes(uow, user.id)
    uow.session.add_all(
        RecoveryCodeRow(user_id=user.id, code_hash=token_digest(_normal(code)), used_at=None)
        for code in codes
    )
    return Enrollment(one_time_passwords.otpauth_uri(secret, ISSUER, user.username), tuple(codes))


async def confirm_enrollment(uow: UnitOfWork, keys: KeyRing, actor: Actor, code: str) -> UserRecord:
    """Require the second factor from now on, since the actor has proved to have the secret.

    Raises
    ------
    DomainError
        INVALID_CREDENTIALS, if the code is not the secret's.
    InvalidState
        If no enrolment was begun within the last hour, or a second factor is in use already.
    """
    user = await _locked_user(uow, actor)
    if user.totp_enabled:
        raise InvalidState("A second factor is in use already.")
    row = await repository.totp_secret(uow.session, user.id)
    if row is None or uow.clock.now() - row.created_at > ENROLLMENT_LIFETIME:
        raise InvalidState("Begin the enrolment anew: none is under way.")
    if not await _accept_one_time_password(uow, keys, user.id, _normal(code)):
        raise _wrong_code("code")
    user.totp_enabled = True
    return await _changed(uow, user, AuditAction.TOTP_ENABLED)


async def disable(
    uow: UnitOfWork, passwords: PasswordHasher, keys: KeyRing, actor: Actor, password: str, code: str
) -> UserRecord:
    """Require no second factor any more, and forget the secret and the recovery codes.

    Raises
    ------
    DomainError
        INVALID_CREDENTIALS, if the password or the code is wrong.
    InvalidState
        If no second factor is in use.
    """
    user = await _verified_user(uow, passwords, actor, password)
    if not user.totp_enabled:
        raise InvalidState("No second factor is in use.")
    await require(uow, keys, user, code, "code")
    await uow.session.execute(delete(TotpSecretRow).where(TotpSecretRow.user_id == user.id))
    await _forget_recovery_codes(uow, user.id)
    user.totp_enabled = False
    return await _changed(uow, user, AuditAction.TOTP_DISABLED)


async def require(
    uow: UnitOfWork, keys: KeyRing, user: UserRow, code: str | None, field: str = "totpCode"
) -> None:
    """Use up a one-time password or recovery code of a user who has a second factor.

    Does nothing for other users. No code is accepted twice, not even by two requests at once.

    Parameters
    ----------
    field
        Where in the input the code is, for the error.

    Raises
    ------
    DomainError
        TOTP_REQUIRED, if no code was given; INVALID_CREDENTIALS, if it is wrong or was used before.
    """
    if not user.totp_enabled:
        return
    if code is None or not code.strip():
        raise DomainError(
            "Give a code of your authenticator app, or a recovery code.", (field,), ErrorCode.TOTP_REQUIRED
        )
    given = _normal(code) if len(code) <= _LONGEST_CODE else ""
    if len(given) == one_time_passwords.DIGITS:
        accepted = await _accept_one_time_password(uow, keys, user.id, given)
    else:
        accepted = await _accept_recovery_code(uow, user.id, given)
    if not accepted:
        raise _wrong_code(field)


async def _accept_one_time_password(uow: UnitOfWork, keys: KeyRing, user_id: UUID, code: str) -> bool:
    row = await repository.totp_secret(uow.session, user_id)
    if row is None:
        return False
    secret = keys.decrypt(TOTP_SECRET, user_id, row.secret)
    step = one_time_passwords.matching_step(secret, code, uow.clock.now())
    if step is None:
        return False
    accepted = await uow.session.scalar(
        update(TotpSecretRow)
        .where(
            TotpSecretRow.user_id == user_id,
            or_(TotpSecretRow.last_used_step.is_(None), TotpSecretRow.last_used_step < step),
        )
        .values(last_used_step=step)
        .returning(TotpSecretRow.user_id)
        .execution_options(synchronize_session=False)
    )
    return accepted is not None


async def _accept_recovery_code(uow: UnitOfWork, user_id: UUID, code: str) -> bool:
    accepted = await uow.session.scalar(
        update(RecoveryCodeRow)
        .where(
            RecoveryCodeRow.user_id == user_id,
            RecoveryCodeRow.code_hash == token_digest(code),
            RecoveryCodeRow.used_at.is_(None),
        )
        .values(used_at=uow.clock.now())
        .returning(RecoveryCodeRow.user_id)
        .execution_options(synchronize_session=False)
    )
    if accepted is None:
        return False
    left = await repository.count_recovery_codes(uow.session, user_id)
    record_event(uow, AuditAction.RECOVERY_CODE_USED, actor_id=user_id, target_id=user_id, left=left)
    return True


async def _locked_user(uow: UnitOfWork, actor: Actor) -> UserRow:
    user = await repository.lock_user(uow.session, actor.user_id)
    if user is None:
        raise InvalidState("This account exists no more.")
    return user


async def _verified_user(uow: UnitOfWork, passwords: PasswordHasher, actor: Actor, password: str) -> UserRow:
    held = (await uow.session.get_one(UserRow, actor.user_id)).password_hash
    await uow.release()
    matches = len(password) <= PASSWORD_LENGTHS[1] and await passwords.verify(held, password)
    user = await _locked_user(uow, actor)
    if not matches or user.password_hash != held:
        raise DomainError("The password is wrong.", ("password",), ErrorCode.INVALID_CREDENTIALS)
    return user


async def _changed(uow: UnitOfWork, user: UserRow, action: AuditAction) -> UserRecord:
    user.updated_at = uow.clock.now()
    record_event(uow, action, actor_id=user.id, target_id=user.id)
    await uow.session.flush()
    return record(user)


async def _forget_recovery_codes(uow: UnitOfWork, user_id: UUID) -> None:
    await uow.session.execute(delete(RecoveryCodeRow).where(RecoveryCodeRow.user_id == user_id))


def _new_recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(text[place : place + _GROUP] for place in range(0, _RECOVERY_LENGTH, _GROUP))


def _normal(code: str) -> str:
    # People type the groups of a code with or without what separates them.
    return "".join(code.split()).replace("-", "").lower()


def _wrong_code(field: str) -> DomainError:
    return DomainError("The code is wrong, or was used before.", (field,), ErrorCode.INVALID_CREDENTIALS)
