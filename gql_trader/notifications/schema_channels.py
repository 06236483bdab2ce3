"""Where users are told of things: what they have chosen, and how they choose."""

from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.schema_types import User
from gql_trader.core.actor import Role
from gql_trader.core.errors import InvalidInput
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.notifications import choices
from gql_trader.notifications.choices import Choice
from gql_trader.notifications.kinds import KINDS
from gql_trader.notifications.loaders import NotificationLoaders
from gql_trader.notifications.schema_enums import Channel, NotificationKind


@visible("the user, and administrators")
@strawberry.type(description="Where a user is told of a kind of notifications, besides in the app.")
class NotificationChoice:
    """A choice of channels."""

    kind: NotificationKind = strawberry.field(description="What is told.")
    description: str = strawberry.field(description="When it is told, and to whom.")
    channels: list[Channel] = strawberry.field(description="Where the user is told.")
    available: list[Channel] = strawberry.field(description="Where it can be told.")
    is_default: bool = strawberry.field(description="Whether the user has left it to the server's defaults.")

    @classmethod
    def from_choice(cls, choice: Choice) -> "NotificationChoice":
        """Return the GraphQL object of a choice."""
        kind = KINDS[choice.kind]
        return cls(
            kind=choice.kind,
            description=kind.description,
            channels=[channel for channel in Channel if channel in choice.channels],
            available=[channel for channel in Channel if channel in kind.available],
            is_default=choice.is_default,
        )


@strawberry.input(description="Where you want to be told of a kind of notifications.")
class NotificationChoiceInput:
    """One of the choices."""

    kind: NotificationKind = strawberry.field(description="What is told.")
    channels: list[Channel] | None = strawberry.field(
        default=None, description="Where; []: only in the app; null: as the server suggests."
    )


@strawberry.input(description="Where you want to be told of things.")
class UpdateNotificationChannelsInput:
    """Input of updateNotificationChannels."""

    choices: list[NotificationChoiceInput] = strawberry.field(
        description="What changes; other kinds stay as they are."
    )


@visible("the user")
@strawberry.type(description="Result of `updateNotificationChannels`.")
class UpdateNotificationChannelsPayload:
    """Payload of updateNotificationChannels."""

    user: User | None = strawberry.field(default=None, description="You, with `notificationChannels`.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was changed; empty on success."
    )


@strawberry.type
class NotificationChannelMutation:
    """Mutations of channels."""

    @mutation(
        UpdateNotificationChannelsPayload,
        Role.VIEWER,
        "Choose where you are told of what, besides in the app.",
    )
    async def update_notification_channels(
        self,
        info: Info,
        input: Annotated[UpdateNotificationChannelsInput, strawberry.argument(description="Your choices.")],
    ) -> UpdateNotificationChannelsPayload:
        chosen = {each.kind: each.channels for each in input.choices}
        if len(chosen) < len(input.choices):
            raise InvalidInput("Give each kind once.", ("choices",))
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            await choices.choose(uow, viewer, chosen)
        user = await info.context.loaders(AccountLoaders).user.load(viewer.user_id)
        return UpdateNotificationChannelsPayload(user=User.from_record(user) if user else None)


async def choices_of_user(info: Info, user_id: UUID, role: Role) -> list[NotificationChoice]:
    """Return a user's choices for ``User.notificationChannels``: for what is told to the role."""
    found = await info.context.loaders(NotificationLoaders).choices_of_user.load(user_id)
    return [NotificationChoice.from_choice(each) for each in found if choices.concerns(each.kind, role)]
