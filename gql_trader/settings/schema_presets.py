"""GraphQL inputs, payloads and mutations of presets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import limits
from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id
from gql_trader.settings import presets
from gql_trader.settings.loaders import SettingsLoaders
from gql_trader.settings.schema_attempts import Noted
from gql_trader.settings.schema_fields import (
    Changes,
    code_field,
    errors_field,
    expected,
    expected_field,
    infos,
    preset_field,
    preview_field,
    settings_field,
    shown,
)
from gql_trader.settings.schema_types import OWNER, SettingsPreset, TradingSettings
from gql_trader.settings.types import SettingsChange


@strawberry.input(description="A name for your settings as they are.")
class SaveSettingsPresetInput:
    """Input of saveSettingsPreset."""

    name: str = strawberry.field(description="1 to 100 characters; unique among yours, ignoring case.")
    overwrite: bool | None = strawberry.field(
        default=False, description="Replace the preset that has this name, if there is one."
    )


@strawberry.input(description="A preset to take the settings from.")
class ApplySettingsPresetInput:
    """Input of applySettingsPreset."""

    id: strawberry.ID = strawberry.field(description="The preset, one of your own.")
    preview: bool | None = preview_field()
    expected_updated_at: datetime | None = expected_field()
    totp_code: str | None = code_field()

    def to_change(self) -> SettingsChange:
        """Return how to change, without what."""
        return SettingsChange(
            expected=expected(self.expected_updated_at),
            preview=bool(self.preview),
            totp_code=self.totp_code,
        )


@strawberry.input(description="A preset to delete.")
class DeleteSettingsPresetInput:
    """Input of deleteSettingsPreset."""

    id: strawberry.ID = strawberry.field(description="The preset, one of your own.")


@visible(OWNER)
@strawberry.type(description="Result of `saveSettingsPreset`.")
class SaveSettingsPresetPayload:
    """Payload of saveSettingsPreset."""

    preset: SettingsPreset | None = preset_field()
    errors: list[UserError] = errors_field()


@visible(OWNER)
@strawberry.type(description="Result of `applySettingsPreset`.")
class ApplySettingsPresetPayload(Changes):
    """Payload of applySettingsPreset."""

    preset: SettingsPreset | None = preset_field()
    settings: TradingSettings | None = settings_field(
        "The settings as they are now, or would be; null if refused."
    )
    errors: list[UserError] = errors_field()


@visible(OWNER)
@strawberry.type(description="Result of `deleteSettingsPreset`.")
class DeleteSettingsPresetPayload:
    """Payload of deleteSettingsPreset."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that no longer names a preset; null if refused."
    )
    errors: list[UserError] = errors_field()


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
        Noted(),
    )
    async def apply_settings_preset(
        self,
        info: Info,
        input: Annotated[ApplySettingsPresetInput, strawberry.argument(description="The preset.")],
    ) -> ApplySettingsPresetPayload:
        services, viewer, change = info.context.services, info.context.viewer, input.to_change()
        live, key = LiveTrading.of(services.settings), decode_id(input.id, "SettingsPreset")
        async with info.context.uow() as uow:
            preset, changed = await presets.apply_preset(uow, services.keys, live, viewer, key, change)
        return ApplySettingsPresetPayload(
            preset=SettingsPreset.from_record(preset),
            settings=shown(changed),
            changes=infos(changed.differences),
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
