"""GraphQL types and resolvers of notifications."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.core.errors import InvalidInput
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.infra.keyset import MAXIMUM_PAGE, page_request
from gql_trader.notifications import following, service
from gql_trader.notifications.loaders import NotificationLoaders
from gql_trader.notifications.repository import notification_record
from gql_trader.notifications.schema_enums import NotificationKind
from gql_trader.notifications.types import NotificationRecord

OWNER = "the user who is told"


@visible(OWNER)
@strawberry.type(description="Something that you are told. It is kept for a while, read or not.")
class Notification(Node):
    """A notification."""

    kind: NotificationKind = strawberry.field(description="What it tells of, for programs.")
    title: str = strawberry.field(description="What it tells, in a few words.")
    body: str = strawberry.field(description="What it tells, in a sentence or two.")
    payload: JSON = strawberry.field(
        description='Global ids of what it is about, by name, such as {"userId": "…"}; `node` takes them.'
    )
    created_at: datetime = strawberry.field(description="When it was sent.")
    read_at: datetime | None = strawberry.field(description="When it was marked as read; null if it is not.")

    @classmethod
    def from_record(cls, notification: NotificationRecord) -> "Notification":
        """Return the GraphQL object of a notification."""
        return cls(
            id=encode_id("Notification", notification.id),
            kind=notification.kind,
            title=notification.title,
            body=notification.body,
            payload=JSON(dict(notification.payload)),
            created_at=notification.created_at,
            read_at=notification.read_at,
        )


@visible(OWNER)
@strawberry.type(description="Something that you are told, as it happens.")
class NotificationEvent:
    """Event of the subscription `notifications`."""

    cursor: str = strawberry.field(description="Pass it as `after` to go on behind this event.")
    id: strawberry.ID = strawberry.field(description="Global id of the `Notification`.")
    kind: str = strawberry.field(description="What it tells of: the name of a `NotificationKind`.")
    title: str = strawberry.field(description="What it tells, in a few words.")
    body: str = strawberry.field(description="What it tells, in a sentence or two.")
    payload: JSON = strawberry.field(description="Global ids of what it is about, by name.")
    created_at: datetime = strawberry.field(description="When it was sent.")
    read_at: datetime | None = strawberry.field(description="When it was marked as read; null if it is not.")


@strawberry.input(description="Notifications to mark as read.")
class MarkNotificationsReadInput:
    """Input of markNotificationsRead."""

    ids: list[strawberry.ID] = strawberry.field(description=f"The notifications, at most {MAXIMUM_PAGE}.")


@visible(OWNER)
@strawberry.type(description="Result of `markNotificationsRead`.")
class MarkNotificationsReadPayload:
    """Payload of markNotificationsRead."""

    notifications: list[Notification] | None = strawberry.field(
        default=None, description="The notifications, read now or before, in the order of the input."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why none was marked; empty on success."
    )


@strawberry.input(description="The newest notification that was seen.")
class MarkAllNotificationsReadInput:
    """Input of markAllNotificationsRead."""

    up_to: strawberry.ID = strawberry.field(
        description="The newest that was seen; what has come since stays unread."
    )


@visible(OWNER)
@strawberry.type(description="Result of `markAllNotificationsRead`.")
class MarkAllNotificationsReadPayload:
    """Payload of markAllNotificationsRead."""

    count: int | None = strawberry.field(default=None, description="How many were unread.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why none was marked; empty on success."
    )


@strawberry.type
class NotificationQuery:
    """Queries of notifications."""

    @strawberry.field(description="Your notifications, newest first.", extensions=requires(Role.VIEWER))
    async def notifications(
        self,
        info: Info,
        unread: Annotated[
            bool | None, strawberry.argument(description="true: only unread ones; false: only read ones.")
        ] = None,
        kind: Annotated[
            list[NotificationKind] | None, strawberry.argument(description="Only of these kinds.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Notification] | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            page = await service.list_notifications(
                uow, viewer, unread, kind, page_request(first, after, last, before)
            )

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_notifications(uow, viewer, unread, kind)

        return connection(
            Connection[Notification],
            page,
            lambda row: Notification.from_record(notification_record(row[0])),
            count,
        )


@strawberry.type
class NotificationMutation:
    """Mutations of notifications."""

    @mutation(MarkNotificationsReadPayload, Role.VIEWER, "Mark some of your notifications as read.")
    async def mark_notifications_read(
        self,
        info: Info,
        input: Annotated[MarkNotificationsReadInput, strawberry.argument(description="Which ones.")],
    ) -> MarkNotificationsReadPayload:
        if len(input.ids) > MAXIMUM_PAGE:
            raise InvalidInput(f"At most {MAXIMUM_PAGE} at a time; got {len(input.ids)}.", ("ids",))
        ids = [decode_id(each, "Notification", ("ids", str(place))) for place, each in enumerate(input.ids)]
        async with info.context.uow() as uow:
            marked = await service.mark_read(uow, info.context.viewer, ids)
        return MarkNotificationsReadPayload(notifications=[Notification.from_record(each) for each in marked])

    @mutation(
        MarkAllNotificationsReadPayload,
        Role.VIEWER,
        "Mark a notification, and all of yours that came before it, as read.",
    )
    async def mark_all_notifications_read(
        self,
        info: Info,
        input: Annotated[MarkAllNotificationsReadInput, strawberry.argument(description="Up to which.")],
    ) -> MarkAllNotificationsReadPayload:
        key = decode_id(input.up_to, "Notification", ("upTo",))
        async with info.context.uow() as uow:
            return MarkAllNotificationsReadPayload(
                count=await service.mark_all_read(uow, info.context.viewer, key)
            )


@strawberry.type
class NotificationSubscription:
    """Subscriptions of notifications."""

    @strawberry.subscription(
        description="What you are told, as it happens. A fresh subscription begins with what you have not "
        f"read, the newest {following.UNREAD_SHOWN} at most, the oldest of them first.",
        extensions=requires(Role.VIEWER),
    )
    async def notifications(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Cursor of the last event seen; replays what was missed since, read or not."
            ),
        ] = None,
    ) -> AsyncGenerator[NotificationEvent, None]:
        context = info.context
        feed = following.follow(context.uow, context.services.events, context.viewer, after)
        async with aclosing(feed):
            async for each in feed:
                yield NotificationEvent(
                    cursor=following.cursor_of(each),
                    id=encode_id("Notification", each.id),
                    kind=each.kind.value,
                    title=each.title,
                    body=each.body,
                    payload=JSON(dict(each.payload)),
                    created_at=each.created_at,
                    read_at=each.read_at,
                )


async def resolve_notification_nodes(info: Info, ids: Sequence[UUID]) -> list[Notification | None]:
    """Return the viewer's notifications for ``node``."""
    found = await info.context.loaders(NotificationLoaders).notification.load_many(list(ids))
    return [Notification.from_record(each) if each else None for each in found]
