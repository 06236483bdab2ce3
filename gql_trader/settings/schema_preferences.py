"""GraphQL input, payload and mutation of preferences."""

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import strawberry
from strawberry.types.unset import UnsetType
from strawberry.utils.str_converters import to_camel_case

from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.settings import types
from gql_trader.settings.preferences import update_preferences
from gql_trader.settings.schema_attempts import Noted
from gql_trader.settings.schema_enums import SessionMode, Theme
from gql_trader.settings.schema_fields import errors_field, optional
from gql_trader.settings.schema_types import OWNER, Preferences


@strawberry.input(
    description="What to change of your preferences; what is left out, or null, stays as it is."
)
class UpdatePreferencesInput:
    """Input of updatePreferences."""

    default_mode: SessionMode | None = optional(
        "Mode of new bots and sessions; LIVE takes a trader on a server that trades live."
    )
    default_capital: Decimal | None = optional("Starting capital, above 0.")
    risk_per_trade: float | None = optional("Fraction of equity to risk with one trade, above 0, up to 1.")
    max_drawdown: float | None = optional("Greatest loss to bear, a fraction of the peak, above 0, up to 1.")
    notifications: bool | None = optional("Whether to be notified at all.")
    theme: Theme | None = optional("How applications should look.")
    timezone: str | None = optional("Name in the IANA database, such as Europe/Berlin.")

    def to_values(self) -> dict[str, Any]:
        """Return what was given, by the name of its field."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(types.Preferences)}
        return {
            name: value
            for name, value in values.items()
            if value is not None and not isinstance(value, UnsetType)
        }


@visible(OWNER)
@strawberry.type(description="Result of `updatePreferences`.")
class UpdatePreferencesPayload:
    """Payload of updatePreferences."""

    preferences: Preferences | None = strawberry.field(
        default=None, description="The preferences as they are now; null if refused."
    )
    changed: strawberry.Private[Sequence[str]] = ()
    errors: list[UserError] = errors_field()

    def names_changed(self) -> list[str]:
        """Return which preferences differ now."""
        return list(map(to_camel_case, self.changed))


@strawberry.type
class PreferencesMutation:
    """Mutations of preferences."""

    @mutation(
        UpdatePreferencesPayload,
        Role.VIEWER,
        "Change some of your preferences.",
        TokenScope.TRADE,
        noted=Noted(lambda given: map(to_camel_case, given.to_values())),
    )
    async def update_preferences(
        self,
        info: Info,
        input: Annotated[UpdatePreferencesInput, strawberry.argument(description="What to change.")],
    ) -> UpdatePreferencesPayload:
        live = LiveTrading.of(info.context.services.settings)
        viewer, given = info.context.viewer, input.to_values()
        async with info.context.uow() as uow:
            before, after = await update_preferences(uow, live, viewer, given)
        return UpdatePreferencesPayload(
            changed=[name for name in given if getattr(before, name) != getattr(after, name)],
            preferences=Preferences.from_record(after),
        )
