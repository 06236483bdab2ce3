"""The user as the API shows it, and the enums of the account domain."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import types
from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.schema_api_token import ApiToken, ApiTokenLoaders
from gql_trader.accounts.types import UserRecord, UserStatus
from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id

if TYPE_CHECKING:
    from gql_trader.exchange_keys.schema_types import ExchangeKey
    from gql_trader.notifications.schema_channels import NotificationChoice
    from gql_trader.notifications.schema_device import Device
    from gql_trader.settings.schema_types import Preferences, SettingsPreset, TradingSettings

register_enum(
    Role,
    "What a user may do; each role includes the ones before it.",
    {
        "VIEWER": "Reads market data, strategies and what is theirs.",
        "TRADER": "Also creates strategies and runs backtests.",
        "ADMIN": "Also administers the server.",
    },
)
register_enum(
    UserStatus,
    "Whether an account may be used.",
    {
        "PENDING": "Signed up, waiting for an administrator's approval.",
        "ACTIVE": "May log in.",
        "DISABLED": "Was shut out by an administrator.",
    },
)


@visible("whoever logged in, and administrators")
@strawberry.type(description="A login on one device that has not ended.")
class LoginSession(Node):
    """A login session."""

    created_at: datetime = strawberry.field(description="When the user logged in.")
    last_seen_at: datetime = strawberry.field(description="When it was last used, to the minute.")
    ip_address: str | None = strawberry.field(
        description="Where it was last refreshed from; null if the server could not tell."
    )
    user_agent: str | None = strawberry.field(
        description="What the device calls itself, as its User-Agent header; null if it does not say."
    )
    current: bool = strawberry.field(description="Whether this request was sent in it.")

    @classmethod
    def from_record(cls, session: types.LoginSession, *, current: bool) -> "LoginSession":
        """Return the GraphQL object of a login session."""
        return cls(
            id=encode_id("LoginSession", session.id),
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            ip_address=session.ip_address,
            user_agent=session.user_agent,
            current=current,
        )


@visible("the user, and administrators")
@strawberry.type(description="A person or program with an account.")
class User(Node):
    """A user; only ever the viewer, or anybody to an administrator."""

    key: strawberry.Private[UUID]
    username: str = strawberry.field(description="The name for logging in; unique, ignoring case.")
    email: str = strawberry.field(description="E-mail address, normalised; unique, ignoring case.")
    role: Role = strawberry.field(description="What the user may do.")
    status: UserStatus = strawberry.field(description="Whether the account may be used.")
    totp_enabled: bool = strawberry.field(
        description="Whether logging in takes a one-time password besides the password."
    )
    created_at: datetime = strawberry.field(description="When the account was made.")
    updated_at: datetime = strawberry.field(description="When the account last changed.")

    @strawberry.field(description="The user's logins that have not ended, the last used first.")
    async def login_sessions(self, info: Info) -> list[LoginSession]:
        found = await info.context.loaders(AccountLoaders).login_sessions.load(self.key)
        current = info.context.actor.session_id if info.context.actor else None
        return [LoginSession.from_record(each, current=each.id == current) for each in found]

    @strawberry.field(description="The user's API tokens, newest first; not those that were revoked.")
    async def api_tokens(self, info: Info) -> list[ApiToken]:
        found = await info.context.loaders(ApiTokenLoaders).of_user.load(self.key)
        return [ApiToken.from_record(each) for each in found]

    @strawberry.field(description="The user's keys to exchanges, by the exchanges' ids.")
    async def exchange_keys(
        self, info: Info
    ) -> list[Annotated["ExchangeKey", strawberry.lazy("gql_trader.exchange_keys.schema_types")]]:
        # It points upwards: imported when it is asked for, since exchange keys import accounts.
        from gql_trader.exchange_keys.schema_types import exchange_keys_of

        return await exchange_keys_of(info, self.key)

    @strawberry.field(description="The user's trading settings; for the user alone.")
    async def settings(
        self, info: Info
    ) -> Annotated["TradingSettings", strawberry.lazy("gql_trader.settings.schema_types")]:
        # The domains above are imported when they are asked for, since they import us.
        from gql_trader.settings.schema_of_user import settings_of

        return await settings_of(info, self.key)

    @strawberry.field(description="Settings that the user has kept, by name; for the user alone.")
    async def settings_presets(
        self, info: Info
    ) -> list[Annotated["SettingsPreset", strawberry.lazy("gql_trader.settings.schema_types")]]:
        from gql_trader.settings.schema_of_user import presets_of

        return await presets_of(info, self.key)

    @strawberry.field(description="What the user would like things to begin with; for the user alone.")
    async def preferences(
        self, info: Info
    ) -> Annotated["Preferences", strawberry.lazy("gql_trader.settings.schema_types")]:
        from gql_trader.settings.schema_of_user import preferences_of

        return await preferences_of(info, self.key)

    @strawberry.field(description="The user's devices that take push messages, newest first.")
    async def devices(
        self, info: Info
    ) -> list[Annotated["Device", strawberry.lazy("gql_trader.notifications.schema_device")]]:
        # It points upwards: imported when it is asked for, since notifications import us.
        from gql_trader.notifications.schema_device import devices_of_user

        return await devices_of_user(info, self.key)

    @strawberry.field(description="Where the user is told of what, besides in the app.")
    async def notification_channels(
        self, info: Info
    ) -> list[Annotated["NotificationChoice", strawberry.lazy("gql_trader.notifications.schema_channels")]]:
        from gql_trader.notifications.schema_channels import choices_of_user

        return await choices_of_user(info, self.key, self.role)

    @classmethod
    def from_record(cls, user: UserRecord) -> "User":
        """Return the GraphQL object of a user."""
        return cls(
            id=encode_id("User", user.id),
            key=user.id,
            username=user.username,
            email=user.email,
            role=user.role,
            status=user.status,
            totp_enabled=user.totp_enabled,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )
