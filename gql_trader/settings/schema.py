"""GraphQL queries and mutations of trading settings, presets and preferences."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import limits
from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id
from gql_trader.settings import presets, service
from gql_trader.settings.attempts import attempted, names_given
from gql_trader.settings.freqtrade import from_config
from gql_trader.settings.loaders import SettingsLoaders
from gql_trader.settings.preferences import update_preferences
from gql_trader.settings.schema_inputs import (
    ApplySettingsPresetInput,
    DeleteSettingsPresetInput,
    ImportFreqtradeConfigInput,
    ResetSettingsInput,
    SaveSettingsPresetInput,
    UpdateDefaultSettingsInput,
    UpdatePreferencesInput,
    UpdateSettingsInput,
)
from gql_trader.settings.schema_types import (
    OWNER,
    IgnoredSettingInfo,
    Preferences,
    SettingsChangeInfo,
    SettingsPreset,
    TradingSettings,
)
from gql_trader.settings.types import Changed, Difference


def _settings(description: str) -> TradingSettings | None:
    return strawberry.field(default=None, description=description)  # type: ignore[no-any-return]


def _preset() -> SettingsPreset | None:
    return strawberry.field(default=None, description="The preset; null if refused.")  # type: ignore[no-any-return]


def _changes() -> list[SettingsChangeInfo]:
    return strawberry.field(  # type: ignore[no-any-return]
        default_factory=list, description="What changed, or would change, each with its old and new value."
    )


def _errors() -> list[UserError]:
    return strawberry.field(  # type: ignore[no-any-return]
        default_factory=list,
        description="Everything that was wrong; nothing was changed then. Empty on success.",
    )


@visible(OWNER)
@strawberry.type(description="Result of `updateSettings`.")
class UpdateSettingsPayload:
    """Payload of updateSettings."""

    settings: TradingSettings | None = _settings(
        "The settings as they are now, or would be; null if refused."
    )
    changes: list[SettingsChangeInfo] = _changes()
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `resetSettings`.")
class ResetSettingsPayload:
    """Payload of resetSettings."""

    settings: TradingSettings | None = _settings("The defaults; null if refused.")
    changes: list[SettingsChangeInfo] = _changes()
    errors: list[UserError] = _errors()


@visible("administrators")
@strawberry.type(description="Result of `updateDefaultSettings`.")
class UpdateDefaultSettingsPayload:
    """Payload of updateDefaultSettings."""

    settings: TradingSettings | None = _settings(
        "The defaults as they are now, or would be; null if refused."
    )
    changes: list[SettingsChangeInfo] = _changes()
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `saveSettingsPreset`.")
class SaveSettingsPresetPayload:
    """Payload of saveSettingsPreset."""

    preset: SettingsPreset | None = _preset()
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `applySettingsPreset`.")
class ApplySettingsPresetPayload:
    """Payload of applySettingsPreset."""

    preset: SettingsPreset | None = _preset()
    settings: TradingSettings | None = _settings(
        "The settings as they are now, or would be; null if refused."
    )
    changes: list[SettingsChangeInfo] = _changes()
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `deleteSettingsPreset`.")
class DeleteSettingsPresetPayload:
    """Payload of deleteSettingsPreset."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that no longer names a preset; null if refused."
    )
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `importFreqtradeConfig`.")
class ImportFreqtradeConfigPayload:
    """Payload of importFreqtradeConfig."""

    settings: TradingSettings | None = _settings(
        "The settings as they are now, or would be; null if refused."
    )
    changes: list[SettingsChangeInfo] = _changes()
    ignored: list[IgnoredSettingInfo] = strawberry.field(
        default_factory=list, description="What could not be taken over, and why."
    )
    errors: list[UserError] = _errors()


@visible(OWNER)
@strawberry.type(description="Result of `updatePreferences`.")
class UpdatePreferencesPayload:
    """Payload of updatePreferences."""

    preferences: Preferences | None = strawberry.field(
        default=None, description="The preferences as they are now; null if refused."
    )
    errors: list[UserError] = _errors()


def _infos(differences: Sequence[Difference]) -> list[SettingsChangeInfo]:
    return list(map(SettingsChangeInfo.from_difference, differences))


def _shown(changed: Changed) -> TradingSettings:
    return TradingSettings.from_record(changed.settings)


@strawberry.type
class SettingsQuery:
    """Queries of the settings domain."""

    @strawberry.field(
        description="The trading settings of users who have changed nothing.",
        extensions=requires(Role.VIEWER),
    )
    async def default_settings(self, info: Info) -> TradingSettings | None:
        async with info.context.uow() as uow:
            return TradingSettings.from_record(await service.default_settings(uow))


@strawberry.type
class SettingsMutation:
    """Mutations of trading settings and preferences."""

    @mutation(
        UpdateSettingsPayload,
        Role.TRADER,
        "Change some of your trading settings. Every problem is reported, and then nothing is changed.",
        TokenScope.TRADE,
        limits.LIVE_TRADING_CODE,
    )
    async def update_settings(
        self,
        info: Info,
        input: Annotated[UpdateSettingsInput, strawberry.argument(description="What to change.")],
    ) -> UpdateSettingsPayload:
        services, viewer, change = info.context.services, info.context.viewer, input.to_change()
        live = LiveTrading.of(services.settings)
        with attempted("updateSettings", viewer.user_id, names_given(change)) as attempt:
            async with info.context.uow() as uow:
                changed = await service.update_settings(uow, services.keys, live, viewer, change)
            attempt.came_to(changed.differences, preview=change.preview)
        return UpdateSettingsPayload(settings=_shown(changed), changes=_infos(changed.differences))

    @mutation(
        ResetSettingsPayload,
        Role.TRADER,
        "Go back to the default settings: forgets all that you have changed, secrets too. Presets stay.",
        TokenScope.TRADE,
    )
    async def reset_settings(
        self,
        info: Info,
        input: Annotated[ResetSettingsInput, strawberry.argument(description="How to reset.")],
    ) -> ResetSettingsPayload:
        services, viewer, preview = info.context.services, info.context.viewer, bool(input.preview)
        with attempted("resetSettings", viewer.user_id, ()) as attempt:
            async with info.context.uow() as uow:
                changed = await service.reset_settings(
                    uow, services.keys, viewer, input.expected_updated_at, preview=preview
                )
            attempt.came_to(changed.differences, preview=preview)
        return ResetSettingsPayload(settings=_shown(changed), changes=_infos(changed.differences))

    @mutation(
        UpdateDefaultSettingsPayload,
        Role.ADMIN,
        "Change the settings of all users who have not changed them themselves.",
        TokenScope.ADMIN,
    )
    async def update_default_settings(
        self,
        info: Info,
        input: Annotated[UpdateDefaultSettingsInput, strawberry.argument(description="What to change.")],
    ) -> UpdateDefaultSettingsPayload:
        viewer, change = info.context.viewer, input.to_change()
        with attempted("updateDefaultSettings", viewer.user_id, names_given(change)) as attempt:
            async with info.context.uow() as uow:
                changed = await service.update_default_settings(uow, viewer, change)
            attempt.came_to(changed.differences, preview=change.preview)
        return UpdateDefaultSettingsPayload(settings=_shown(changed), changes=_infos(changed.differences))

    @mutation(
        ImportFreqtradeConfigPayload,
        Role.TRADER,
        "Take your settings from a config.json of Freqtrade. What cannot be taken over is listed.",
        TokenScope.TRADE,
        limits.LIVE_TRADING_CODE,
    )
    async def import_freqtrade_config(
        self,
        info: Info,
        input: Annotated[ImportFreqtradeConfigInput, strawberry.argument(description="The configuration.")],
    ) -> ImportFreqtradeConfigPayload:
        services, viewer = info.context.services, info.context.viewer
        imported = from_config(
            input.config,
            expected_updated_at=input.expected_updated_at,
            preview=bool(input.preview),
            totp_code=input.totp_code,
        )
        change, live = imported.change, LiveTrading.of(services.settings)
        with attempted("importFreqtradeConfig", viewer.user_id, names_given(change)) as attempt:
            async with info.context.uow() as uow:
                changed = await service.update_settings(uow, services.keys, live, viewer, change)
            attempt.came_to(changed.differences, preview=change.preview)
        return ImportFreqtradeConfigPayload(
            settings=_shown(changed),
            changes=_infos(changed.differences),
            ignored=list(map(IgnoredSettingInfo.from_ignored, imported.ignored)),
        )

    @mutation(UpdatePreferencesPayload, Role.VIEWER, "Change some of your preferences.", TokenScope.TRADE)
    async def update_preferences(
        self,
        info: Info,
        input: Annotated[UpdatePreferencesInput, strawberry.argument(description="What to change.")],
    ) -> UpdatePreferencesPayload:
        live = LiveTrading.of(info.context.services.settings)
        async with info.context.uow() as uow:
            record = await update_preferences(uow, live, info.context.viewer, input.to_values())
        return UpdatePreferencesPayload(preferences=Preferences.from_record(record))


@strawberry.type
class PresetMutation:
    """Mutations of presets."""

    @mutation(
        SaveSettingsPresetPayload,
        Role.TRADER,
        "Keep your settings as they are, but for secrets, under a name; at most 50.",
        TokenScope.TRADE,
    )
    async def save_settings_preset(
        self,
        info: Info,
        input: Annotated[SaveSettingsPresetInput, strawberry.argument(description="The name.")],
    ) -> SaveSettingsPresetPayload:
        async with info.context.uow() as uow:
            preset = await presets.save_preset(
                uow, info.context.viewer, input.name, overwrite=bool(input.overwrite)
            )
        return SaveSettingsPresetPayload(preset=SettingsPreset.from_record(preset))

    @mutation(
        ApplySettingsPresetPayload,
        Role.TRADER,
        "Change your settings to those of a preset. Secrets stay as they are. A preset that trades live "
        "takes the right to.",
        TokenScope.TRADE,
        limits.LIVE_TRADING_CODE,
    )
    async def apply_settings_preset(
        self,
        info: Info,
        input: Annotated[ApplySettingsPresetInput, strawberry.argument(description="The preset.")],
    ) -> ApplySettingsPresetPayload:
        services, viewer, change = info.context.services, info.context.viewer, input.to_change()
        live, key = LiveTrading.of(services.settings), decode_id(input.id, "SettingsPreset")
        with attempted("applySettingsPreset", viewer.user_id, ()) as attempt:
            async with info.context.uow() as uow:
                preset, changed = await presets.apply_preset(uow, services.keys, live, viewer, key, change)
            attempt.came_to(changed.differences, preview=change.preview)
        return ApplySettingsPresetPayload(
            preset=SettingsPreset.from_record(preset),
            settings=_shown(changed),
            changes=_infos(changed.differences),
        )

    @mutation(
        DeleteSettingsPresetPayload,
        Role.TRADER,
        "Delete a preset of yours. Settings that came from it stay.",
        TokenScope.TRADE,
    )
    async def delete_settings_preset(
        self,
        info: Info,
        input: Annotated[DeleteSettingsPresetInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteSettingsPresetPayload:
        key = decode_id(input.id, "SettingsPreset")
        async with info.context.uow() as uow:
            await presets.delete_preset(uow, info.context.viewer, key)
        return DeleteSettingsPresetPayload(deleted_id=input.id)


async def resolve_settings_preset_nodes(info: Info, ids: Sequence[UUID]) -> list[SettingsPreset | None]:
    """Return presets for ``node``: the viewer's own."""
    found = await info.context.loaders(SettingsLoaders).preset.load_many(list(ids))
    return [SettingsPreset.from_record(each) if each else None for each in found]
