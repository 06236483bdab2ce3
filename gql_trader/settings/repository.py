"""Reads of the settings domain."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gql_trader.settings.models import (
    DefaultSettingsRow,
    PreferencesRow,
    SettingsPresetRow,
    UserSettingsRow,
)

ONLY_ROW = 1


async def defaults(session: AsyncSession) -> DefaultSettingsRow | None:
    """Return the defaults that an administrator has set."""
    return await session.get(DefaultSettingsRow, ONLY_ROW)


async def lock_defaults(session: AsyncSession) -> DefaultSettingsRow | None:
    """Keep everybody else from changing the defaults until the transaction ends, and return them."""
    # There may be no row to lock yet.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("default_settings", 0))))
    return await session.scalar(select(DefaultSettingsRow).execution_options(populate_existing=True))


async def settings_by_users(session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, UserSettingsRow]:
    """Return what users have changed, by user; those who never changed anything may be missing."""
    rows = await session.scalars(select(UserSettingsRow).where(UserSettingsRow.user_id.in_(user_ids)))
    return {row.user_id: row for row in rows}


async def lock_settings(session: AsyncSession, user_id: UUID) -> UserSettingsRow:
    """Lock a user's row until the transaction ends, making one if there is none, and return it."""
    await session.execute(
        insert(UserSettingsRow).values(user_id=user_id, settings={}).on_conflict_do_nothing()
    )
    row = await session.scalar(
        select(UserSettingsRow)
        .where(UserSettingsRow.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    assert row is not None
    return row


async def preferences(session: AsyncSession, user_ids: Sequence[UUID]) -> dict[UUID, PreferencesRow]:
    """Return users' preferences, by user; those who never changed them are missing."""
    rows = await session.scalars(select(PreferencesRow).where(PreferencesRow.user_id.in_(user_ids)))
    return {row.user_id: row for row in rows}


async def presets_of_users(session: AsyncSession, user_ids: Sequence[UUID]) -> list[SettingsPresetRow]:
    """Return users' presets, in the order of their names."""
    rows = await session.scalars(
        select(SettingsPresetRow)
        .where(SettingsPresetRow.user_id.in_(user_ids))
        .order_by(SettingsPresetRow.name_key)
    )
    return list(rows)


async def presets_by_ids(
    session: AsyncSession, user_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, SettingsPresetRow]:
    """Return those of the presets that exist and are a user's own, by id."""
    rows = await session.scalars(
        select(SettingsPresetRow).where(SettingsPresetRow.user_id == user_id, SettingsPresetRow.id.in_(ids))
    )
    return {row.id: row for row in rows}


async def preset_by_name(session: AsyncSession, user_id: UUID, name_key: str) -> SettingsPresetRow | None:
    """Return a user's preset with this name, in lower case."""
    return await session.scalar(
        select(SettingsPresetRow).where(
            SettingsPresetRow.user_id == user_id, SettingsPresetRow.name_key == name_key
        )
    )


async def count_presets(session: AsyncSession, user_id: UUID) -> int:
    """Return how many presets a user has."""
    found = await session.scalar(
        select(func.count()).select_from(SettingsPresetRow).where(SettingsPresetRow.user_id == user_id)
    )
    return found or 0


async def last_change(session: AsyncSession) -> datetime | None:
    """Return when a user last changed settings; None: nobody ever did."""
    return await session.scalar(select(func.max(UserSettingsRow.updated_at)))


async def users_without_dry_run(session: AsyncSession) -> int:
    """Return how many users have turned live trading on in their settings."""
    found = await session.scalar(
        select(func.count()).where(UserSettingsRow.settings["dry_run"].as_boolean().is_(False))
    )
    return found or 0
