"""GraphQL queries and mutations of trading settings."""

from typing import Annotated

import strawberry

from gql_trader.accounts import limits
from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import requires, visible
from gql_trader.settings import service
from gql_trader.settings.attempts import names_given
from gql_trader.settings.schema_attempts import Noted
from gql_trader.settings.schema_fields import Changes, errors_field, expected, infos, settings_field, shown
from gql_trader.settings.schema_inputs import (
    ImportFreqtradeConfigInput,
    ResetSettingsInput,
    UpdateDefaultSettingsInput,
    UpdateSettingsInput,
)
from gql_trader.settings.schema_types import (
    OWNER,
    IgnoredSettingInfo,
    TradingSettings,
)


@visible(OWNER)
@strawberry.type(description="Result of `updateSettings`.")
class UpdateSettingsPayload(Changes):
    """Payload of updateSettings."""

    settings: TradingSettings | None = settings_field(
        "The settings as they are now, or would be; null if refused."
    )
    errors: list[UserError] = errors_field()


@visible(OWNER)
@strawberry.type(description="Result of `resetSettings`.")
class ResetSettingsPayload(Changes):
    """Payload of resetSettings."""

    settings: TradingSettings | None = settings_field("The defaults; null if refused.")
    errors: list[UserError] = errors_field()


@visible("administrators")
@strawberry.type(description="Result of `updateDefaultSettings`.")
class UpdateDefaultSettingsPayload(Changes):
    """Payload of updateDefaultSettings."""

    settings: TradingSettings | None = settings_field(
        "The defaults as they are now, or would be; null if refused."
    )
    errors: list[UserError] = errors_field()


@visible(OWNER)
@strawberry.type(description="Result of `importFreqtradeConfig`.")
class ImportFreqtradeConfigPayload(Changes):
    """Payload of importFreqtradeConfig."""

    settings: TradingSettings | None = settings_field(
        "The settings as they are now, or would be; null if refused."
    )
    ignored: list[IgnoredSettingInfo] = strawberry.field(
        default_factory=list, description="What could not be taken over, and why."
    )
    errors: list[UserError] = errors_field()


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
    """Mutations of trading settings."""

    @mutation(
        UpdateSettingsPayload,
        Role.TRADER,
        "Change some of your trading settings. Every problem is reported, and then nothing is changed.",
        TokenScope.TRADE,
        limits.LIVE_TRADING_CODE,
        Noted(lambda given: names_given(given.to_change())),
    )
    async def update_settings(
        self,
        info: Info,
        input: Annotated[UpdateSettingsInput, strawberry.argument(description="What to change.")],
    ) -> UpdateSettingsPayload:
        services, viewer, change = info.context.services, info.context.viewer, input.to_change()
        live = LiveTrading.of(services.settings)
        async with info.context.uow() as uow:
            changed = await service.update_settings(uow, services.keys, live, viewer, change)
        return UpdateSettingsPayload(settings=shown(changed), changes=infos(changed.differences))

    @mutation(
        ResetSettingsPayload,
        Role.TRADER,
        "Go back to the default settings: forgets all that you have changed, secrets too. Presets stay.",
        TokenScope.TRADE,
        noted=Noted(),
    )
    async def reset_settings(
        self,
        info: Info,
        input: Annotated[ResetSettingsInput, strawberry.argument(description="How to reset.")],
    ) -> ResetSettingsPayload:
        services, viewer, preview = info.context.services, info.context.viewer, bool(input.preview)
        async with info.context.uow() as uow:
            changed = await service.reset_settings(
                uow, services.keys, viewer, expected(input.expected_updated_at), preview=preview
            )
        return ResetSettingsPayload(settings=shown(changed), changes=infos(changed.differences))

    @mutation(
        UpdateDefaultSettingsPayload,
        Role.ADMIN,
        "Change the settings of all users who have not changed them themselves.",
        TokenScope.ADMIN,
        noted=Noted(lambda given: names_given(given.to_change())),
    )
    async def update_default_settings(
        self,
        info: Info,
        input: Annotated[UpdateDefaultSettingsInput, strawberry.argument(description="What to change.")],
    ) -> UpdateDefaultSettingsPayload:
        viewer, change = info.context.viewer, input.to_change()
        async with info.context.uow() as uow:
            changed = await service.update_default_settings(uow, viewer, change)
        return UpdateDefaultSettingsPayload(settings=shown(changed), changes=infos(changed.differences))

    @mutation(
        ImportFreqtradeConfigPayload,
        Role.TRADER,
        "Take your settings from a config.json of Freqtrade. What cannot be taken over is listed.",
        TokenScope.TRADE,
        limits.LIVE_TRADING_CODE,
        Noted(lambda given: given.names_mentioned()),
    )
    async def import_freqtrade_config(
        self,
        info: Info,
        input: Annotated[ImportFreqtradeConfigInput, strawberry.argument(description="The configuration.")],
    ) -> ImportFreqtradeConfigPayload:
        services, viewer = info.context.services, info.context.viewer
        imported, live = input.imported, LiveTrading.of(services.settings)
        change = imported.change
        async with info.context.uow() as uow:
            changed = await service.update_settings(uow, services.keys, live, viewer, change)
        return ImportFreqtradeConfigPayload(
            settings=shown(changed),
            changes=infos(changed.differences),
            ignored=list(map(IgnoredSettingInfo.from_ignored, imported.ignored)),
        )
