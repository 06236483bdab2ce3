"""Reads of the account domain."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import LoginSessionRow, UserRow
from gql_trader.accounts.types import Grant, LoginSession, UserRecord, UserStatus
from gql_trader.core.actor import Role
from gql_trader.core.ids import SessionId, UserId


def record(row: UserRow) -> UserRecord:
    """Return a user without its secrets."""
    return UserRecord(
        id=UserId(row.id),
        username=row.username,
        email=row.email,
        role=Role(row.role),
        status=UserStatus(row.status),
        totp_enabled=row.totp_enabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def user_by_id(session: AsyncSession, user_id: UUID) -> UserRow | None:
    """Return a user."""
    return await session.get(UserRow, user_id)


async def user_by_login(session: AsyncSession, login: str) -> UserRow | None:
    """Return the user with this username or e-mail address, ignoring case."""
    key = login.strip().lower()
    column = UserRow.email_key if "@" in key else UserRow.username_key
    return await session.scalar(select(UserRow).where(column == key))


async def password_hash_of_each_cost(session: AsyncSession) -> list[str]:
    """Return a password's hash for each of the costs that hashes are stored with."""
    # $argon2id$v=19$m=65536,t=3,p=4$salt$hash
    costs = func.split_part(UserRow.password_hash, "$", 4)
    return list(await session.scalars(select(func.min(UserRow.password_hash)).group_by(costs)))


async def active_administrators(session: AsyncSession) -> list[UserId]:
    """Return the ids of the administrators who may log in."""
    rows = await session.scalars(
        select(UserRow.id).where(UserRow.role == Role.ADMIN.value, UserRow.status == UserStatus.ACTIVE.value)
    )
    return [UserId(key) for key in rows]


async def users_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, UserRow]:
    """Return those of the users that exist, by id."""
    rows = await session.scalars(select(UserRow).where(UserRow.id.in_(ids)))
    return {row.id: row for row in rows}


def _alive(now: datetime) -> ColumnElement[bool]:
    return (
        LoginSessionRow.revoked_at.is_(None)
        & (LoginSessionRow.expires_at > now)
        & (LoginSessionRow.token_version == UserRow.token_version)
        & (UserRow.status == UserStatus.ACTIVE.value)
    )


async def session_holder(
    session: AsyncSession, session_id: SessionId, now: datetime
) -> tuple[UserRow, LoginSessionRow] | None:
    """Return a login session that is alive, and its user."""
    found = await session.execute(
        select(UserRow, LoginSessionRow)
        .join(LoginSessionRow, LoginSessionRow.user_id == UserRow.id)
        .where(LoginSessionRow.id == session_id, _alive(now))
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row else None


async def grant_holder(
    session: AsyncSession, grant: Grant, now: datetime
) -> tuple[UserId, Role, datetime] | None:
    """Return the user whom a grant stands for, the user's role and when its session was last seen."""
    found = await session.execute(
        select(UserRow.id, UserRow.role, LoginSessionRow.last_seen_at)
        .join(LoginSessionRow, LoginSessionRow.user_id == UserRow.id)
        .where(
            LoginSessionRow.id == grant.session_id,
            LoginSessionRow.token_version == grant.token_version,
            _alive(now),
        )
    )
    row = found.one_or_none()
    return (UserId(row[0]), Role(row[1]), row[2]) if row else None


async def alive_grants(session: AsyncSession, grants: Collection[Grant], now: datetime) -> set[Grant]:
    """Return those of the grants whose session is alive; one statement however many there are."""
    rows = await session.execute(
        select(LoginSessionRow.id, LoginSessionRow.token_version)
        .join(UserRow, LoginSessionRow.user_id == UserRow.id)
        .where(LoginSessionRow.id.in_([grant.session_id for grant in grants]), _alive(now))
    )
    return {Grant(SessionId(key), version) for key, version in rows}


async def alive_sessions(
    session: AsyncSession, user_ids: Collection[UUID], now: datetime
) -> dict[UUID, list[LoginSession]]:
    """Return users' login sessions that are alive, by user, the last used first."""
    found: dict[UUID, list[LoginSession]] = {user_id: [] for user_id in user_ids}
    rows = await session.scalars(
        select(LoginSessionRow)
        .join(UserRow, LoginSessionRow.user_id == UserRow.id)
        .where(LoginSessionRow.user_id.in_(user_ids), _alive(now))
        .order_by(LoginSessionRow.last_seen_at.desc(), LoginSessionRow.id.desc())
    )
    for row in rows:
        found[row.user_id].append(login_session(row))
    return found


async def alive_sessions_by_ids(
    session: AsyncSession, ids: Collection[UUID], now: datetime
) -> dict[UUID, LoginSession]:
    """Return those of the login sessions that are alive, by id."""
    rows = await session.scalars(
        select(LoginSessionRow)
        .join(UserRow, LoginSessionRow.user_id == UserRow.id)
        .where(LoginSessionRow.id.in_(ids), _alive(now))
    )
    return {row.id: login_session(row) for row in rows}


def login_session(row: LoginSessionRow) -> LoginSession:
    """Return a login session as the rest of the program sees it."""
    return LoginSession(
        id=SessionId(row.id),
        user_id=UserId(row.user_id),
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
    )
