"""Users whom an identity provider vouches for: who its tokens stand for, and how they get an account.

An account is the provider's user's by issuer and subject alone. An e-mail address that an account here
has already is never a reason to hand that account over, whatever the provider says of the address.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.accounts import notices, service
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import ReservedUsernameRow, UserRow
from gql_trader.accounts.models_external import ExternalIdentityRow
from gql_trader.accounts.types import Authenticated, UserStatus
from gql_trader.accounts.types_credentials import AuditAction
from gql_trader.accounts.types_external import NO_MAILBOX, Profile
from gql_trader.config import SignupApproval
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import UserId, uuid7
from gql_trader.infra.jwks import IdentityTokens, InvalidIdentityToken, IssuerUnavailable
from gql_trader.infra.passwords import NO_PASSWORD
from gql_trader.infra.unit_of_work import UnitOfWork

_PROBLEMS = {
    UserStatus.PENDING: "Your account is waiting for an administrator's approval.",
    UserStatus.DISABLED: "Your account is disabled.",
}
_NAME_CLAIMS = ("preferred_username", "username", "nickname")
_USERNAME_LENGTH = 32
_ATTEMPTS = 12

_log = structlog.get_logger(__name__)


async def authenticate(
    uow: UnitOfWork,
    tokens: IdentityTokens,
    approval: SignupApproval,
    header: str | None,
) -> Authenticated | None:
    """Return whom a token of the identity provider stands for, giving new users an account.

    Parameters
    ----------
    approval
        What becomes of users who come for the first time: they are let in, have to wait for an
        administrator's approval, or get no account.
    header
        ``Bearer <token>``, or whatever else was sent.

    Returns
    -------
    Authenticated or None
        None if the header does not claim to be a token of this provider.
    """
    scheme, _, token = (header or "").strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not tokens.is_issuer_of(token):
        return None
    try:
        # Nothing was asked of the database yet: no connection waits for the provider.
        identity = await tokens.verify(token)
    except InvalidIdentityToken as error:
        _log.warning("identity_token_refused", reason=str(error))
        return Authenticated(problem="The access token is invalid or has expired; log in again.")
    except IssuerUnavailable:
        return Authenticated(
            problem="The identity provider cannot be reached to check the access token; try again later."
        )
    found = await find(uow, tokens.issuer, identity.subject)
    if found is None:
        if approval is SignupApproval.CLOSED:
            return Authenticated(problem="You have no account on this server, and sign-up is closed.")
        profile = profile_of_claims(identity.subject, identity.claims)
        found = await provision(uow, tokens.issuer, profile, approval)
    row, user = found
    if user is None or row.deleted_at is not None or row.banned_at is not None:
        return Authenticated(problem=_PROBLEMS[UserStatus.DISABLED])
    problem = _PROBLEMS.get(UserStatus(user.status))
    if problem is not None:
        return Authenticated(problem=problem)
    return Authenticated(Actor(UserId(user.id), Role(user.role)), None, identity.expires_at)


async def find(
    uow: UnitOfWork, issuer: str, subject: str
) -> tuple[ExternalIdentityRow, UserRow | None] | None:
    """Return what is known of a provider's user, and the account, if it ever had one."""
    found = await uow.session.execute(
        select(ExternalIdentityRow, UserRow)
        .outerjoin(UserRow, UserRow.id == ExternalIdentityRow.user_id)
        .where(ExternalIdentityRow.issuer == issuer, ExternalIdentityRow.subject == subject)
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row else None


async def lock(uow: UnitOfWork, issuer: str, subject: str) -> None:
    """Keep everybody else from making or changing this identity until the transaction ends."""
    await uow.session.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"{issuer}\n{subject}", 0)))
    )


async def provision(
    uow: UnitOfWork, issuer: str, profile: Profile, approval: SignupApproval
) -> tuple[ExternalIdentityRow, UserRow | None]:
    """Give a provider's user an account, unless it got one meanwhile, and return both.

    The account has no password. Its username is made from the profile's names, and
    its e-mail address is the profile's if no other account has that.
    """
    await lock(uow, issuer, profile.subject)
    found = await find(uow, issuer, profile.subject)
    if found is not None:
        return found
    status = UserStatus.ACTIVE if approval is SignupApproval.AUTO else UserStatus.PENDING
    user = await _insert_user(uow, profile, status)
    row = ExternalIdentityRow(
        issuer=issuer,
        subject=profile.subject,
        user_id=user.id,
        created_at=user.created_at,
        updated_at=None,
        deleted_at=None,
        banned_at=None,
    )
    uow.session.add(row)
    record_event(
        uow,
        AuditAction.USER_CREATED,
        actor_id=None,
        target_id=user.id,
        issuer=issuer,
        subject=profile.subject,
        status=status.value,
    )
    notices.signed_up(uow, user.username, status)
    await uow.session.flush()
    return row, user


def profile_of_claims(subject: str, claims: Mapping[str, Any]) -> Profile:
    """Return what the claims of a token (OpenID Connect Core, 5.1) tell of its user."""
    address = claims.get("email")
    # Some issuers send "true"; only what is certain counts.
    verified = address if isinstance(address, str) and claims.get("email_verified") is True else None
    names = [name for key in _NAME_CLAIMS if isinstance(name := claims.get(key), str)]
    if verified is not None:
        names.append(verified.partition("@")[0])
    return Profile(subject, verified, tuple(names))


async def free_email(uow: UnitOfWork, email: str | None) -> str | None:
    """Return an address in its normal form; None if it is none, or an account has it already."""
    if email is None:
        return None
    try:
        normal = service.normalize_email(email)
    except InvalidInput:
        return None
    taken = await uow.session.scalar(select(UserRow.id).where(UserRow.email_key == normal.lower()))
    return normal if taken is None else None


async def is_free_username(uow: UnitOfWork, username: str) -> bool:
    """Return whether nobody has a username, nor has reserved it."""
    key = username.lower()
    taken = await uow.session.scalar(
        select(UserRow.username_key)
        .where(UserRow.username_key == key)
        .union(select(ReservedUsernameRow.username_key).where(ReservedUsernameRow.username_key == key))
    )
    return taken is None


def username_candidates(names: tuple[str, ...]) -> Iterator[str]:
    """Yield usernames made from what a user is called, without end; the first ones look best."""
    stems = [stem for name in names if len(stem := re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")) >= 3]
    for stem in stems:
        yield stem[:_USERNAME_LENGTH]
    stem = stems[0] if stems else "user"
    while True:
        suffix = f"_{secrets.token_hex(3)}"
        yield stem[: _USERNAME_LENGTH - len(suffix)] + suffix


async def _insert_user(uow: UnitOfWork, profile: Profile, status: UserStatus) -> UserRow:
    key, now = uuid7(), uow.clock.now()
    for _, username in zip(range(_ATTEMPTS), username_candidates(profile.names), strict=False):
        if not await is_free_username(uow, username):
            continue
        email = await free_email(uow, profile.email) or f"{key}@{NO_MAILBOX}"
        inserted: UserRow | None = await uow.session.scalar(
            insert(UserRow)
            .values(
                id=key,
                username=username,
                username_key=username.lower(),
                email=email,
                email_key=email.lower(),
                password_hash=NO_PASSWORD,
                role=Role.TRADER.value,
                status=status.value,
                token_version=1,
                created_at=now,
                updated_at=now,
            )
            # Somebody may have been faster with the name or the address: the next attempt sees that.
            .on_conflict_do_nothing()
            .returning(UserRow)
        )
        if inserted is not None:
            return inserted
    raise RuntimeError("no free username was found")
