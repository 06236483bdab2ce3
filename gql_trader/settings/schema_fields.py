"""Fields that inputs and payloads of this domain share."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import strawberry
from strawberry.types.unset import UnsetType

from gql_trader.gql.errors import UserError
from gql_trader.settings.schema_types import SettingsChangeInfo, SettingsPreset, TradingSettings
from gql_trader.settings.types import Changed, Difference, Expected


def optional(description: str) -> Any:
    """Return an input field that may be left out; what is left out is told apart from null."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def expected_field() -> Any:
    """Return the input field for optimistic concurrency."""
    return optional(
        "Refuse if the settings have changed since: the `updatedAt` that was read, null if it was null. Left "
        "out: do not look."
    )


def expected(given: datetime | UnsetType | None) -> Expected | None:
    """Return what an input expects; None: nothing."""
    return None if isinstance(given, UnsetType) else Expected(given)


def preview_field() -> Any:
    """Return the input field that asks for the difference alone."""
    return strawberry.field(default=False, description="Return what would change, and change nothing.")


def code_field() -> Any:
    """Return the input field for a code of the second factor."""
    return strawberry.field(
        default=None,
        description="A code of your authenticator app, or a recovery code: needed for trading live, besides "
        "a fresh login.",
    )


def settings_field(description: str) -> TradingSettings | None:
    """Return a payload's settings."""
    return strawberry.field(default=None, description=description)  # type: ignore[no-any-return]


def preset_field() -> SettingsPreset | None:
    """Return a payload's preset."""
    return strawberry.field(default=None, description="The preset; null if refused.")  # type: ignore[no-any-return]


@strawberry.type
class Changes:
    """The part that payloads of all changes of settings have."""

    changes: list[SettingsChangeInfo] = strawberry.field(
        default_factory=list, description="What changed, or would change, each with its old and new value."
    )

    def names_changed(self) -> list[str]:
        """Return which settings differ now, or would."""
        return [each.field for each in self.changes]


def errors_field() -> list[UserError]:
    """Return a payload's refusals."""
    return strawberry.field(  # type: ignore[no-any-return]
        default_factory=list,
        description="Everything that was wrong; nothing was changed then. Empty on success.",
    )


def infos(differences: Sequence[Difference]) -> list[SettingsChangeInfo]:
    """Return the GraphQL objects of differences."""
    return list(map(SettingsChangeInfo.from_difference, differences))


def shown(changed: Changed) -> TradingSettings:
    """Return the GraphQL object of settings after a change."""
    return TradingSettings.from_record(changed.settings)
