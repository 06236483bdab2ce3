"""Webhooks as the API shows them, and what makes, changes and tries them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.limiting import Limited, by_viewer
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.infra.rate_limits import Policy
from gql_trader.notifications import webhooks
from gql_trader.notifications.loaders import NotificationLoaders
from gql_trader.notifications.schema_enums import NotificationKind
from gql_trader.notifications.types import MAXIMUM_WEBHOOKS, WebhookRecord
from gql_trader.notifications.webhooks import WebhookChange

OWNER = "the user whose webhook it is"

_TESTS = Limited(by_viewer(Policy("webhook_test", 10, 60)))


@visible(OWNER)
@strawberry.type(
    description="An address of yours to which notifications are sent as they happen, signed by the rules of "
    "Standard Webhooks. Its secret is shown only when it is made."
)
class Webhook(Node):
    """A webhook."""

    label: str = strawberry.field(description="What it is for, in your words.")
    url: str = strawberry.field(description="Where requests are sent.")
    kinds: list[NotificationKind] | None = strawberry.field(
        description="What it is told of; null: everything that you are told by WEBHOOK."
    )
    active: bool = strawberry.field(
        description="Whether anything is sent. It is turned off when its server is gone or has not taken a "
        "message for a day."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When you last changed it.")
    last_delivered_at: datetime | None = strawberry.field(
        description="When its server last took a message; null if it never has."
    )
    last_failed_at: datetime | None = strawberry.field(
        description="When its server last did not take a message; null if it always has."
    )
    last_error: str | None = strawberry.field(
        description="Why the last attempt failed; null if it did not, or the webhook was changed since."
    )

    @classmethod
    def from_record(cls, webhook: WebhookRecord) -> "Webhook":
        """Return the GraphQL object of a webhook."""
        return cls(
            id=encode_id("Webhook", webhook.id),
            label=webhook.label,
            url=webhook.url,
            kinds=None if webhook.kinds is None else list(webhook.kinds),
            active=webhook.active,
            created_at=webhook.created_at,
            updated_at=webhook.updated_at,
            last_delivered_at=webhook.last_delivered_at,
            last_failed_at=webhook.last_failed_at,
            last_error=webhook.last_error,
        )


@strawberry.input(description="A new webhook.")
class CreateWebhookInput:
    """Input of createWebhook."""

    url: str = strawberry.field(
        description="Where to send requests: an https address that is reached over the internet."
    )
    label: str = strawberry.field(description="What it is for: 1 to 100 characters.")
    kinds: list[NotificationKind] | None = strawberry.field(
        default=None, description="What it is told of; null: everything that you are told by WEBHOOK."
    )


@strawberry.input(description="Changes of a webhook; what is left out stays as it is.")
class UpdateWebhookInput:
    """Input of updateWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook.")
    url: str | None = strawberry.field(default=None, description="Where to send requests from now on.")
    label: str | None = strawberry.field(default=None, description="What it is for.")
    kinds: list[NotificationKind] | None = strawberry.field(
        default=strawberry.UNSET, description="What it is told of; null: everything."
    )
    active: bool | None = strawberry.field(default=None, description="Whether anything is sent.")
    rotate_secret: bool = strawberry.field(
        default=False, description="Make a new secret, which is shown once; the old one ends at once."
    )


@strawberry.input(description="A webhook to delete.")
class DeleteWebhookInput:
    """Input of deleteWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook.")


@strawberry.input(description="A webhook to try.")
class TestWebhookInput:
    """Input of testWebhook."""

    id: strawberry.ID = strawberry.field(description="The webhook, on or off.")


@visible(OWNER)
@strawberry.type(description="Result of `createWebhook`.")
class CreateWebhookPayload:
    """Payload of createWebhook."""

    webhook: Webhook | None = strawberry.field(default=None, description="The webhook.")
    secret: str | None = strawberry.field(
        default=None, description="What its requests are signed with. It is shown this once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why none was made; empty on success."
    )


@visible(OWNER)
@strawberry.type(description="Result of `updateWebhook`.")
class UpdateWebhookPayload:
    """Payload of updateWebhook."""

    webhook: Webhook | None = strawberry.field(default=None, description="The webhook as it is now.")
    secret: str | None = strawberry.field(
        default=None, description="Its new secret, if one was asked for. It is shown this once."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not changed; empty on success."
    )


@visible(OWNER)
@strawberry.type(description="Result of `deleteWebhook`.")
class DeleteWebhookPayload:
    """Payload of deleteWebhook."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was not deleted; empty on success."
    )


@visible(OWNER)
@strawberry.type(description="Result of `testWebhook`.")
class TestWebhookPayload:
    """Payload of testWebhook."""

    webhook: Webhook | None = strawberry.field(
        default=None,
        description="The webhook. What came of the test is seen a moment later, in `lastDeliveredAt` or "
        "`lastError`.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing is sent; empty on success."
    )


@strawberry.type
class WebhookQuery:
    """Queries of webhooks."""

    @strawberry.field(description="Your webhooks, newest first.", extensions=requires(Role.VIEWER))
    async def webhooks(self, info: Info) -> list[Webhook] | None:
        viewer = info.context.viewer
        found = await info.context.loaders(NotificationLoaders).webhooks_of_user.load(viewer.user_id)
        return [Webhook.from_record(each) for each in found]


@strawberry.type
class WebhookMutation:
    """Mutations of webhooks."""

    @mutation(
        CreateWebhookPayload,
        Role.VIEWER,
        f"Make a webhook, of which you may have {MAXIMUM_WEBHOOKS}. The secret is shown once.",
    )
    async def create_webhook(
        self,
        info: Info,
        input: Annotated[CreateWebhookInput, strawberry.argument(description="The new webhook.")],
    ) -> CreateWebhookPayload:
        services = info.context.services
        async with info.context.uow() as uow:
            webhook, secret = await webhooks.create(
                uow,
                services.keys,
                services.public_http,
                info.context.viewer,
                input.url,
                input.label,
                input.kinds,
            )
        return CreateWebhookPayload(webhook=Webhook.from_record(webhook), secret=secret)

    @mutation(UpdateWebhookPayload, Role.VIEWER, "Change one of your webhooks, or turn it on or off.")
    async def update_webhook(
        self,
        info: Info,
        input: Annotated[UpdateWebhookInput, strawberry.argument(description="What changes.")],
    ) -> UpdateWebhookPayload:
        services = info.context.services
        given = input.kinds is not strawberry.UNSET
        change = WebhookChange(
            url=input.url,
            label=input.label,
            kinds=tuple(input.kinds) if given and input.kinds is not None else None,
            kinds_given=given,
            active=input.active,
            rotate_secret=input.rotate_secret,
        )
        key = decode_id(input.id, "Webhook")
        async with info.context.uow() as uow:
            webhook, secret = await webhooks.update(
                uow, services.keys, services.public_http, info.context.viewer, key, change
            )
        return UpdateWebhookPayload(webhook=Webhook.from_record(webhook), secret=secret)

    @mutation(
        DeleteWebhookPayload, Role.VIEWER, "Delete one of your webhooks; what waits for it is not sent."
    )
    async def delete_webhook(
        self,
        info: Info,
        input: Annotated[DeleteWebhookInput, strawberry.argument(description="The webhook.")],
    ) -> DeleteWebhookPayload:
        key = decode_id(input.id, "Webhook")
        async with info.context.uow() as uow:
            await webhooks.remove(uow, info.context.viewer, key)
        return DeleteWebhookPayload(deleted_id=encode_id("Webhook", key))

    @mutation(
        TestWebhookPayload,
        Role.VIEWER,
        "Send a test message to one of your webhooks, once and without trying again.",
        limited=_TESTS,
    )
    async def test_webhook(
        self,
        info: Info,
        input: Annotated[TestWebhookInput, strawberry.argument(description="The webhook.")],
    ) -> TestWebhookPayload:
        key = decode_id(input.id, "Webhook")
        async with info.context.uow() as uow:
            webhook = await webhooks.send_test(uow, info.context.viewer, key)
        return TestWebhookPayload(webhook=Webhook.from_record(webhook))


async def resolve_webhook_nodes(info: Info, ids: Sequence[UUID]) -> list[Webhook | None]:
    """Return the viewer's webhooks for ``node``."""
    viewer = info.context.viewer
    found = await info.context.loaders(NotificationLoaders).webhooks_of_user.load(viewer.user_id)
    own = {each.id: Webhook.from_record(each) for each in found}
    return [own.get(key) for key in ids]
