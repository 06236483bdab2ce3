"""Login sessions: how they start, are refreshed and end.

Each login is a family of refresh tokens of which only the youngest may be used, once. An older one that
turns up was copied by somebody; which of the two holders is the thief cannot be known, so both lose the
session.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, delete, select, update

from gql_trader.accounts import repository
from gql_trader.accounts.models import LoginSessionRow, RefreshTokenRow, UserRow
from gql_trader.accounts.types import Device, Grant, LoginSession, SignedIn
from gql_trader.core.actor import Actor, Role
from gql_trader.core.errors import DomainError, ErrorCode, NotFound
from gql_trader.core.ids import SessionId, UserId, uuid7
from gql_trader.infra.tokens import AccessTokens, new_opaque_token, token_digest
from gql_trader.infra.unit_of_work import UnitOfWork

REFRESH_TOKEN_PREFIX = "gqlr_"  # noqa: S105 -- what each begins with
LAST_SEEN_PRECISION = timedelta(minutes=1)
"""The last use of a session is written down this often."""
MAXIMUM_SESSIONS = 100
"""A user's next login ends the session that has not been used for longest."""
MAXIMUM_AGE = timedelta(days=90)
"""However much it is used, a session ends by then: who holds it has to prove again who they are."""
KEPT_AFTER_END = timedelta(days=7)
"""How long a session that has ended is remembered."""

_log = structlog.get_logger(__name__)


async def start(
    uow: UnitOfWork, tokens: AccessTokens, user: UserRow, device: Device, lifetime: timedelta
) -> SignedIn:
    """Open a login session for a user who has just proved who they are."""
    now = uow.clock.now()
    await _make_room(uow, UserId(user.id))
    session = LoginSessionRow(
        id=uuid7(),
        user_id=user.id,
        # Should it be raised while the password was being checked, this session is dead at birth.
        token_version=user.token_version,
        lifetime=lifetime,
        ip_address=device.ip_address,
        user_agent=device.user_agent,
        created_at=now,
        last_seen_at=now,
        expires_at=now + lifetime,
    )
    uow.session.add(session)
    await uow.session.flush()
    return await _issue(uow, tokens, user, session)


async def refresh(
    uow: UnitOfWork, tokens: AccessTokens, refresh_token: str, device: Device
) -> SignedIn | None:
    """Exchange a refresh token for new tokens; None if it is not good, which ends the session if it was used.

    The caller must let this unit of work commit even then: the end of the session is in it.
    """
    now, digest = uow.clock.now(), token_digest(refresh_token)
    session_id = await uow.session.scalar(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.token_hash == digest, RefreshTokenRow.used_at.is_(None))
        .values(used_at=now)
        .returning(RefreshTokenRow.session_id)
    )
    if session_id is None:
        await _end_if_used(uow, digest)
        return None
    found = await repository.session_holder(uow.session, SessionId(session_id), now)
    if found is None:
        return None
    user, session = found
    session.last_seen_at = now
    session.expires_at = prolonged(session, now)
    session.ip_address, session.user_agent = device.ip_address, device.user_agent
    return await _issue(uow, tokens, user, session)


def prolonged(session: LoginSessionRow, now: datetime) -> datetime:
    """Return when a session that is used now ends unless it is used again."""
    return min(now + session.lifetime, session.created_at + MAXIMUM_AGE)


async def holder(uow: UnitOfWork, grant: Grant) -> tuple[UserId, Role] | None:
    """Return whom a grant stands for and with which role, noting that its session is in use.

    None if the session has ended, or its user's rights have changed since.
    """
    now = uow.clock.now()
    found = await repository.grant_holder(uow.session, grant, now)
    if found is None:
        return None
    user_id, role, last_seen_at = found
    if now - last_seen_at >= LAST_SEEN_PRECISION:
        await uow.session.execute(
            update(LoginSessionRow)
            .where(LoginSessionRow.id == grant.session_id, LoginSessionRow.last_seen_at < now)
            .values(last_seen_at=now)
            .execution_options(synchronize_session=False)
        )
    return user_id, role


async def ended(uow: UnitOfWork, grants: Collection[Grant]) -> set[Grant]:
    """Return those of the grants that are not good any more; one statement however many there are."""
    return set(grants) - await repository.alive_grants(uow.session, grants, uow.clock.now())


async def revoke(uow: UnitOfWork, actor: Actor, session_id: SessionId) -> LoginSession:
    """End one of the actor's own login sessions and return it.

    Raises
    ------
    NotFound
        If it is not one of theirs, or has ended.
    """
    found = await repository.alive_sessions_by_ids(uow.session, [session_id], uow.clock.now())
    session = found.get(session_id)
    if session is None or session.user_id != actor.user_id:
        raise NotFound("There is no such login session.", ("id",))
    await _revoke(uow, LoginSessionRow.id == session_id)
    return session


async def log_out(uow: UnitOfWork, session_id: SessionId) -> int:
    """End a login session, by its owner's wish; return how many were ended by it, 0 or 1."""
    return await _revoke(uow, LoginSessionRow.id == session_id)


async def log_out_everywhere(uow: UnitOfWork, user_id: UserId) -> int:
    """End all login sessions of a user and return how many there were."""
    return await _revoke(uow, LoginSessionRow.user_id == user_id)


async def session_of_refresh_token(uow: UnitOfWork, refresh_token: str) -> LoginSession:
    """Return the login session that a refresh token, used or not, belongs to.

    Raises
    ------
    DomainError
        INVALID_TOKEN, if it belongs to none that is alive.
    """
    session_id = await uow.session.scalar(
        select(RefreshTokenRow.session_id).where(RefreshTokenRow.token_hash == token_digest(refresh_token))
    )
    if session_id is not None:
        found = await repository.alive_sessions_by_ids(uow.session, [session_id], uow.clock.now())
        if found:
            return found[session_id]
    raise DomainError("The refresh token is not valid.", ("refreshToken",), ErrorCode.INVALID_TOKEN)


async def forget(uow: UnitOfWork) -> int:
    """Delete the sessions whose end is long past, with their tokens, and return how many."""
    long_ago = uow.clock.now() - KEPT_AFTER_END
    deleted = await uow.session.scalars(
        delete(LoginSessionRow)
        .where((LoginSessionRow.expires_at < long_ago) | (LoginSessionRow.revoked_at < long_ago))
        .returning(LoginSessionRow.id)
    )
    return len(deleted.all())


async def _make_room(uow: UnitOfWork, user_id: UserId) -> None:
    too_many = (
        select(LoginSessionRow.id)
        .where(
            LoginSessionRow.user_id == user_id,
            LoginSessionRow.revoked_at.is_(None),
            LoginSessionRow.expires_at > uow.clock.now(),
        )
        .order_by(LoginSessionRow.last_seen_at.desc(), LoginSessionRow.id.desc())
        .offset(MAXIMUM_SESSIONS - 1)
    )
    await _revoke(uow, LoginSessionRow.id.in_(too_many))


async def _end_if_used(uow: UnitOfWork, digest: bytes) -> None:
    session_id = await uow.session.scalar(
        select(RefreshTokenRow.session_id).where(RefreshTokenRow.token_hash == digest)
    )
    if session_id is not None:
        _log.warning("refresh_token_reused", session_id=str(session_id))
        await _revoke(uow, LoginSessionRow.id == session_id)


async def _revoke(uow: UnitOfWork, which: ColumnElement[bool]) -> int:
    now = uow.clock.now()
    revoked = await uow.session.scalars(
        update(LoginSessionRow)
        .where(which, LoginSessionRow.revoked_at.is_(None), LoginSessionRow.expires_at > now)
        .values(revoked_at=now)
        .returning(LoginSessionRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(revoked.all())


async def _issue(uow: UnitOfWork, tokens: AccessTokens, user: UserRow, session: LoginSessionRow) -> SignedIn:
    refresh_token = new_opaque_token(REFRESH_TOKEN_PREFIX)
    uow.session.add(
        RefreshTokenRow(
            token_hash=token_digest(refresh_token), session_id=session.id, issued_at=uow.clock.now()
        )
    )
    access_token, expires_at = tokens.issue(UserId(user.id), SessionId(session.id), session.token_version)
    return SignedIn(repository.record(user), access_token, refresh_token, expires_at)
