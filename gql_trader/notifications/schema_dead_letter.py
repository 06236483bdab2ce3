"""Dead letters as administrators see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.schema_types import User
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, Connection, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import Node, decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.notifications import dead_letters
from gql_trader.notifications.schema_enums import Channel

ADMINISTRATORS = "administrators"


@visible(ADMINISTRATORS)
@strawberry.type(
    description="Something that could not be delivered. Nobody tries it any more; it is kept for 30 days."
)
class DeadLetter(Node):
    """A dead letter."""

    user_id: strawberry.Private[UUID | None]
    kind: str = strawberry.field(description="What it is, such as notification.webhook or account.approved.")
    channel: Channel | None = strawberry.field(
        description="Where it was to go; null if it was to become notifications first."
    )
    address: str | None = strawberry.field(
        description="Where a mail was to go that is for an address rather than a user."
    )
    attempts: int = strawberry.field(description="How often it was tried.")
    last_error: str = strawberry.field(description="Why the last attempt failed.")
    created_at: datetime = strawberry.field(description="When it was first to be delivered.")
    failed_at: datetime = strawberry.field(description="When it was given up.")

    @strawberry.field(description="Whom it was for; null if it was for an address, or for several.")
    async def user(self, info: Info) -> User | None:
        if self.user_id is None:
            return None
        found = await info.context.loaders(AccountLoaders).user.load(self.user_id)
        return User.from_record(found) if found else None

    @classmethod
    def from_record(cls, letter: dead_letters.DeadLetter) -> "DeadLetter":
        """Return the GraphQL object of a dead letter."""
        return cls(
            id=encode_id("DeadLetter", letter.id),
            user_id=letter.user_id,
            kind=letter.kind,
            channel=letter.channel,
            address=letter.address,
            attempts=letter.attempts,
            last_error=letter.last_error,
            created_at=letter.created_at,
            failed_at=letter.failed_at,
        )


@strawberry.input(description="A dead letter to try again.")
class RetryDeliveryInput:
    """Input of retryDelivery."""

    id: strawberry.ID = strawberry.field(description="The dead letter.")


@visible(ADMINISTRATORS)
@strawberry.type(description="Result of `retryDelivery`.")
class RetryDeliveryPayload:
    """Payload of retryDelivery."""

    dead_letter: DeadLetter | None = strawberry.field(
        default=None, description="As it was; it is one again if this attempt fails too."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it is not tried; empty on success."
    )


@strawberry.type
class DeadLetterQuery:
    """Queries of dead letters."""

    @strawberry.field(
        description="What could not be delivered, newest first.",
        extensions=requires(Role.ADMIN, TokenScope.ADMIN),
    )
    async def dead_letters(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[DeadLetter] | None:
        async with info.context.uow() as uow:
            page = await dead_letters.list_dead_letters(uow, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await dead_letters.count_dead_letters(uow)

        return connection(
            Connection[DeadLetter],
            page,
            lambda row: DeadLetter.from_record(dead_letters.dead_letter(row[0])),
            count,
        )


@strawberry.type
class DeadLetterMutation:
    """Mutations of dead letters."""

    @mutation(
        RetryDeliveryPayload,
        Role.ADMIN,
        "Try to deliver a dead letter once more; INVALID_STATE if it is for a webhook that is off or was "
        "deleted. It is noted in the audit log.",
        TokenScope.ADMIN,
    )
    async def retry_delivery(
        self,
        info: Info,
        input: Annotated[RetryDeliveryInput, strawberry.argument(description="Which one.")],
    ) -> RetryDeliveryPayload:
        key = decode_id(input.id, "DeadLetter")
        async with info.context.uow() as uow:
            letter = await dead_letters.retry_delivery(uow, info.context.viewer, key)
        return RetryDeliveryPayload(dead_letter=DeadLetter.from_record(letter))


async def resolve_dead_letter_nodes(info: Info, ids: Sequence[UUID]) -> list[DeadLetter | None]:
    """Return dead letters for ``node``, to administrators."""
    if not info.context.viewer.is_admin:
        return [None for _ in ids]
    async with info.context.uow() as uow:
        found = await dead_letters.dead_letters_by_ids(uow, ids)
    return [DeadLetter.from_record(found[key]) if key in found else None for key in ids]
