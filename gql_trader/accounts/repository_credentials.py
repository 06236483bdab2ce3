"""Reads of administration, the audit log, API tokens and second factors."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow
from gql_trader.accounts.models_credentials import ApiTokenRow, AuditEventRow, RecoveryCodeRow, TotpSecretRow
from gql_trader.accounts.models_external import ExternalIdentityRow
from gql_trader.accounts.types import UserStatus
from gql_trader.accounts.types_credentials import AuditFilter, UserFilter
from gql_trader.core.actor import Role

_ESCAPE = "\\"


def users_statement(where: UserFilter) -> Select[Any]:
    """Return the statement for users of some statuses whose name or address contains a text."""
    statement = select(UserRow)
    if where.statuses is not None:
        statement = statement.where(UserRow.status.in_(where.statuses))
    if where.search is not None:
        text = where.search.lower()
        for special in (_ESCAPE, "%", "_"):
            text = text.replace(special, _ESCAPE + special)
        columns = (UserRow.username_key, UserRow.email_key)
        statement = statement.where(or_(*(each.like(f"%{text}%", escape=_ESCAPE) for each in columns)))
    return statement


def audit_statement(where: AuditFilter) -> Select[Any]:
    """Return the statement for audit events by actor, target and action."""
    statement = select(AuditEventRow)
    if where.actor_id is not None:
        statement = statement.where(AuditEventRow.actor_id == where.actor_id)
    if where.target_id is not None:
        statement = statement.where(AuditEventRow.target_id == where.target_id)
    if where.actions is not None:
        statement = statement.where(AuditEventRow.action.in_(where.actions))
    return statement


async def count(session: AsyncSession, statement: Select[Any]) -> int:
    """Return how many rows a statement has."""
    return await session.scalar(select(func.count()).select_from(statement.subquery())) or 0


async def lock_administration(session: AsyncSession, user_id: UUID) -> dict[UUID, UserRow]:
    """Lock a user and all active administrators until the transaction ends; return those rows by id.

    Whoever changes rights holds these locks, so that the administrators counted now still are there
    when the change commits. Rows are locked in the order of their ids, and read as they are after the
    wait for their locks.
    """
    administrators = (UserRow.role == Role.ADMIN) & (UserRow.status == UserStatus.ACTIVE)
    rows = await session.scalars(
        select(UserRow)
        .where(or_(administrators, UserRow.id == user_id))
        .order_by(UserRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def lock_user(session: AsyncSession, user_id: UUID) -> UserRow | None:
    """Lock a user until the transaction ends, and return the row as it is after the wait for the lock."""
    return await session.scalar(
        select(UserRow)
        .where(UserRow.id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


async def audit_events_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, AuditEventRow]:
    """Return those of the events that exist, by id."""
    rows = await session.scalars(select(AuditEventRow).where(AuditEventRow.id.in_(ids)))
    return {row.id: row for row in rows}


async def totp_secret(session: AsyncSession, user_id: UUID) -> TotpSecretRow | None:
    """Return a user's secret for one-time passwords, sealed."""
    return await session.scalar(
        select(TotpSecretRow)
        .where(TotpSecretRow.user_id == user_id)
        .execution_options(populate_existing=True)
    )


async def count_recovery_codes(session: AsyncSession, user_id: UUID) -> int:
    """Return how many recovery codes of a user have not been used."""
    statement = select(RecoveryCodeRow).where(
        RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.used_at.is_(None)
    )
    return await count(session, statement)


async def api_tokens_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, ApiTokenRow]:
    """Return those of the tokens that exist and are not revoked, by id."""
    rows = await session.scalars(
        select(ApiTokenRow).where(ApiTokenRow.id.in_(ids), ApiTokenRow.revoked_at.is_(None))
    )
    return {row.id: row for row in rows}


async def api_tokens_by_users(session: AsyncSession, user_ids: Sequence[UUID]) -> list[ApiTokenRow]:
    """Return the users' tokens that are not revoked, newest first."""
    rows = await session.scalars(
        select(ApiTokenRow)
        .where(ApiTokenRow.user_id.in_(user_ids), ApiTokenRow.revoked_at.is_(None))
        .order_by(ApiTokenRow.id.desc())
    )
    return list(rows)


async def count_usable_api_tokens(session: AsyncSession, user_id: UUID, now: datetime) -> int:
    """Return how many tokens of a user are neither revoked nor expired."""
    return await count(session, select(ApiTokenRow).where(ApiTokenRow.user_id == user_id, _usable(now)))


async def has_external_identity(session: AsyncSession, user_id: UUID) -> bool:
    """Return whether an identity provider vouches for a user, or did so once."""
    found = await session.scalar(select(exists().where(ExternalIdentityRow.user_id == user_id)))
    return bool(found)


async def api_token_by_hash(
    session: AsyncSession, token_hash: bytes, now: datetime
) -> tuple[ApiTokenRow, UserRow] | None:
    """Return the token with this hash and its user, unless it is revoked or has expired."""
    found = await session.execute(
        select(ApiTokenRow, UserRow)
        .join(UserRow, UserRow.id == ApiTokenRow.user_id)
        .where(ApiTokenRow.token_hash == token_hash, _usable(now))
    )
    row = found.one_or_none()
    return (row[0], row[1]) if row else None


def _usable(now: datetime) -> ColumnElement[bool]:
    unexpired = or_(ApiTokenRow.expires_at.is_(None), ApiTokenRow.expires_at > now)
    return ApiTokenRow.revoked_at.is_(None) & unexpired
