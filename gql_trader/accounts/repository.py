"""Reads of the account domain."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.accounts.models import UserRow


async def user_by_id(session: AsyncSession, user_id: UUID) -> UserRow | None:
    """Return a user."""
    return await session.get(UserRow, user_id)


async def user_by_login(session: AsyncSession, login: str) -> UserRow | None:
    """Return the user with this username or e-mail address, ignoring case."""
    key = login.strip().lower()
    column = UserRow.email_key if "@" in key else UserRow.username_key
    return await session.scalar(select(UserRow).where(column == key))


async def users_by_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, UserRow]:
    """Return those of the users that exist, by id."""
    rows = await session.scalars(select(UserRow).where(UserRow.id.in_(ids)))
    return {row.id: row for row in rows}
