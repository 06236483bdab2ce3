"""Rules of API tokens: credentials for programs, which reach no further than their scopes."""

import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, or_, update

from gql_trader.accounts import notices
from gql_trader.accounts import repository_credentials as repository
from gql_trader.accounts.audit import record_event
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import ApiTokenRow
from gql_trader.accounts.repository import alive_sessions_by_ids
from gql_trader.accounts.types import Authenticated, UserStatus
from gql_trader.accounts.types_credentials import ApiTokenRecord, ApiTokenSpec, AuditAction
from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.errors import DomainError, DomainErrors, Forbidden, InvalidInput, NotFound, QuotaExceeded
from gql_trader.core.ids import UserId, uuid7
from gql_trader.infra.tokens import new_opaque_token, token_digest
from gql_trader.infra.unit_of_work import UnitOfWork

TOKEN_PREFIX = "gqlt_"  # noqa: S105 -- what each begins with
MAXIMUM_TOKENS = 50
"""Tokens that a user may have at a time."""
MAXIMUM_LABEL = 100
KEPT_AFTER_END = timedelta(days=30)
"""How long a token that was revoked or has expired is kept."""
LAST_USED_PRECISION = timedelta(minutes=1)
"""The last use of a token is written down this often."""

# Enough to tell one's tokens apart, too little to help in guessing the rest: 42 of 256 bits.
_SHOWN = len(TOKEN_PREFIX) + 7
_TOKEN = re.compile(r"gqlt_[A-Za-z0-9_-]{43}", re.ASCII)
_ROLE_OF_SCOPE = {
    TokenScope.READ: Role.VIEWER,
    TokenScope.BACKTEST: Role.TRADER,
    TokenScope.TRADE: Role.TRADER,
    TokenScope.ADMIN: Role.ADMIN,
}
_INVALID = Authenticated(problem="The API token is invalid, was revoked or has expired.")


def api_token_record(row: ApiTokenRow) -> ApiTokenRecord:
    """Return a token without its secret."""
    return ApiTokenRecord(
        id=row.id,
        user_id=row.user_id,
        label=row.label,
        prefix=row.prefix,
        scopes=tuple(scope for scope in TokenScope if scope.value in row.scopes),
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
    )


async def create_token(uow: UnitOfWork, actor: Actor, spec: ApiTokenSpec) -> tuple[ApiTokenRecord, str]:
    """Make a token for the actor; return it and its secret, which nobody can find out again.

    Raises
    ------
    DomainErrors
        For every field that was refused.
    Forbidden
        If the actor's login session has ended meanwhile.
    QuotaExceeded
        If the actor has as many tokens as are allowed.
    """
    label, problems = spec.label.strip(), _problems(uow, actor, spec)
    if problems:
        raise DomainErrors(problems)
    # Nobody but the user makes their tokens; the lock makes two requests at once count one another's.
    user = await repository.lock_user(uow.session, actor.user_id)
    if user is None or not await _may_still(uow, actor, user):
        raise Forbidden("Your login has ended; log in again.")
    if len(await repository.api_tokens_by_users(uow.session, [actor.user_id])) >= MAXIMUM_TOKENS:
        raise QuotaExceeded(f"A user may have {MAXIMUM_TOKENS} API tokens; revoke one first.")
    secret = new_opaque_token(TOKEN_PREFIX)
    row = ApiTokenRow(
        id=uuid7(),
        user_id=actor.user_id,
        label=label,
        prefix=secret[:_SHOWN],
        token_hash=token_digest(secret),
        scopes=[scope.value for scope in TokenScope if scope in spec.scopes],
        created_at=uow.clock.now(),
        last_used_at=None,
        expires_at=spec.expires_at,
        revoked_at=None,
    )
    uow.session.add(row)
    record_event(
        uow,
        AuditAction.API_TOKEN_CREATED,
        actor_id=actor.user_id,
        target_id=actor.user_id,
        apiTokenId=str(row.id),
        prefix=row.prefix,
        scopes=row.scopes,
    )
    notices.api_token_created(uow, user, row)
    await uow.session.flush()
    return api_token_record(row), secret


async def revoke_token(uow: UnitOfWork, actor: Actor, token_id: UUID) -> ApiTokenRecord:
    """End one of the actor's tokens and return it.

    Raises
    ------
    NotFound
        If it is not one of theirs, or was revoked already.
    """
    now = uow.clock.now()
    row = await uow.session.scalar(
        update(ApiTokenRow)
        .where(
            ApiTokenRow.id == token_id,
            ApiTokenRow.user_id == actor.user_id,
            ApiTokenRow.revoked_at.is_(None),
        )
        .values(revoked_at=now)
        .returning(ApiTokenRow)
    )
    if row is None:
        raise NotFound("There is no such API token.", ("id",))
    record_event(
        uow,
        AuditAction.API_TOKEN_REVOKED,
        actor_id=actor.user_id,
        target_id=actor.user_id,
        apiTokenId=str(row.id),
        prefix=row.prefix,
    )
    return api_token_record(row)


async def revoke_all(uow: UnitOfWork, user_id: UUID) -> int:
    """End all of a user's tokens and return how many there were."""
    ended = await uow.session.scalars(
        update(ApiTokenRow)
        .where(ApiTokenRow.user_id == user_id, ApiTokenRow.revoked_at.is_(None))
        .values(revoked_at=uow.clock.now())
        .returning(ApiTokenRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(ended.all())


async def forget(uow: UnitOfWork) -> int:
    """Delete the tokens whose end is long past, and return how many; the audit log remembers them."""
    long_ago = uow.clock.now() - KEPT_AFTER_END
    deleted = await uow.session.scalars(
        delete(ApiTokenRow)
        .where((ApiTokenRow.expires_at < long_ago) | (ApiTokenRow.revoked_at < long_ago))
        .returning(ApiTokenRow.id)
    )
    return len(deleted.all())


def is_api_token(token: str) -> bool:
    """Return whether a credential claims to be an API token, by what it begins with."""
    return token.startswith(TOKEN_PREFIX)


async def authenticate_token(uow: UnitOfWork, token: str) -> Authenticated:
    """Return whom an API token stands for, noting that it is in use."""
    if not _TOKEN.fullmatch(token):
        return _INVALID
    now = uow.clock.now()
    found = await repository.api_token_by_hash(uow.session, token_digest(token), now)
    if found is None or found[1].status != UserStatus.ACTIVE:
        return _INVALID
    row, user = found
    if row.last_used_at is None or now - row.last_used_at >= LAST_USED_PRECISION:
        # Requests that come together write it once.
        await uow.session.execute(
            update(ApiTokenRow)
            .where(
                ApiTokenRow.id == row.id,
                or_(
                    ApiTokenRow.last_used_at.is_(None), ApiTokenRow.last_used_at <= now - LAST_USED_PRECISION
                ),
            )
            .values(last_used_at=now)
            .execution_options(synchronize_session=False)
        )
    scopes = frozenset(TokenScope(scope) for scope in row.scopes)
    return Authenticated(Actor(UserId(user.id), Role(user.role), scopes), None, row.expires_at)


async def _may_still(uow: UnitOfWork, actor: Actor, user: UserRow) -> bool:
    # Whoever ends a stolen session must not leave behind a token that it was just making.
    if user.status != UserStatus.ACTIVE:
        return False
    if actor.session_id is None:
        return True
    return bool(await alive_sessions_by_ids(uow.session, [actor.session_id], uow.clock.now()))


def _problems(uow: UnitOfWork, actor: Actor, spec: ApiTokenSpec) -> list[DomainError]:
    problems: list[DomainError] = []
    if not 1 <= len(spec.label.strip()) <= MAXIMUM_LABEL:
        problems.append(InvalidInput(f"A label has 1 to {MAXIMUM_LABEL} characters.", ("label",)))
    if not spec.scopes:
        problems.append(InvalidInput("Name at least one scope.", ("scopes",)))
    beyond = [
        each for each in TokenScope if each in spec.scopes and not actor.role.includes(_ROLE_OF_SCOPE[each])
    ]
    if beyond:
        listed = ", ".join(beyond)
        problems.append(Forbidden(f"Your role {actor.role.value} does not reach {listed}.", ("scopes",)))
    if spec.expires_at is not None and spec.expires_at <= uow.clock.now():
        problems.append(InvalidInput("The token would have expired already.", ("expiresAt",)))
    return problems
