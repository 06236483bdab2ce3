"""Fields of `User` that belong to this domain."""

from uuid import UUID

from gql_trader.gql.context import Info
from gql_trader.gql.errors import forbidden
from gql_trader.settings.loaders import SettingsLoaders
from gql_trader.settings.schema_types import Preferences, SettingsPreset, TradingSettings


async def settings_of(info: Info, user_id: UUID) -> TradingSettings:
    """Return the viewer's own settings."""
    _own(info, user_id)
    return TradingSettings.from_record(await info.context.loaders(SettingsLoaders).settings.load(user_id))


async def presets_of(info: Info, user_id: UUID) -> list[SettingsPreset]:
    """Return the viewer's own presets, by name."""
    _own(info, user_id)
    found = await info.context.loaders(SettingsLoaders).presets.load(user_id)
    return list(map(SettingsPreset.from_record, found))


async def preferences_of(info: Info, user_id: UUID) -> Preferences:
    """Return the viewer's own preferences."""
    _own(info, user_id)
    return Preferences.from_record(await info.context.loaders(SettingsLoaders).preferences.load(user_id))


def _own(info: Info, user_id: UUID) -> None:
    # Administrators reach other users, but administering a server is no reason to see what they trade.
    if user_id != info.context.viewer.user_id:
        raise forbidden("A user's settings and preferences are shown to that user alone.")
