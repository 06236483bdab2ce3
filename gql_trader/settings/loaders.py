"""Batch loaders of the settings domain."""

from collections.abc import Sequence
from uuid import UUID

from strawberry.dataloader import DataLoader

from gql_trader.gql.context import Context
from gql_trader.settings import presets, service
from gql_trader.settings.types import Preferences, PresetRecord, SettingsRecord


class SettingsLoaders:
    """Settings, presets and preferences by user; as many statements for many users as for one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.settings: DataLoader[UUID, SettingsRecord] = DataLoader(self._settings)
        self.preferences: DataLoader[UUID, Preferences] = DataLoader(self._preferences)
        self.presets: DataLoader[UUID, list[PresetRecord]] = DataLoader(self._presets)
        self.preset: DataLoader[UUID, PresetRecord | None] = DataLoader(self._own_presets)

    async def _settings(self, user_ids: Sequence[UUID]) -> list[SettingsRecord]:
        async with self._context.uow() as uow:
            found = await service.settings_of_users(uow, user_ids)
        return [found[user_id] for user_id in user_ids]

    async def _preferences(self, user_ids: Sequence[UUID]) -> list[Preferences]:
        async with self._context.uow() as uow:
            found = await service.preferences_of_users(uow, user_ids)
        return [found[user_id] for user_id in user_ids]

    async def _presets(self, user_ids: Sequence[UUID]) -> list[list[PresetRecord]]:
        async with self._context.uow() as uow:
            found = await presets.presets_of_users(uow, user_ids)
        return [found[user_id] for user_id in user_ids]

    async def _own_presets(self, ids: Sequence[UUID]) -> list[PresetRecord | None]:
        async with self._context.uow() as uow:
            found = await presets.own_presets(uow, self._context.viewer, ids)
        return [found.get(key) for key in ids]
