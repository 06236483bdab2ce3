"""GraphQL mutation that forgets an exchange key: bots may have it."""

from typing import Annotated

import strawberry

from gql_trader.bots import keys
from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id, encode_id


@strawberry.input(description="An exchange key to be forgotten.")
class DeleteExchangeKeyInput:
    """Input of deleteExchangeKey."""

    id: strawberry.ID = strawberry.field(description="One of your exchange keys.")
    delete_bots: bool | None = strawberry.field(
        default=False,
        description="true: the bots that have this key, all of them stopped, are deleted with it; their "
        "sessions stay. false: they are left without a key.",
    )


@visible("the user whose key it was")
@strawberry.type(description="Result of `deleteExchangeKey`.")
class DeleteExchangeKeyPayload:
    """Payload of deleteExchangeKey."""

    deleted_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that no longer names a key; null if refused."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why it was refused; empty on success."
    )


@strawberry.type
class BotKeyMutation:
    """Mutations of exchange keys that concern bots."""

    @mutation(
        DeleteExchangeKeyPayload,
        Role.TRADER,
        "Forget an exchange key and its secrets. It stays valid at the exchange until it is revoked there. "
        "INVALID_STATE while a bot runs on it or something else trades with it. Only a login session may.",
        scope=None,
    )
    async def delete_exchange_key(
        self,
        info: Info,
        input: Annotated[DeleteExchangeKeyInput, strawberry.argument(description="The key.")],
    ) -> DeleteExchangeKeyPayload:
        key_id = decode_id(input.id, "ExchangeKey")
        async with info.context.uow() as uow:
            deleted = await keys.delete_key(
                uow, info.context.viewer, key_id, delete_bots=bool(input.delete_bots)
            )
        return DeleteExchangeKeyPayload(deleted_id=encode_id("ExchangeKey", deleted))
