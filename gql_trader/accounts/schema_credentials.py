"""GraphQL types and resolvers of API tokens. No API token may use any of these mutations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import api_tokens
from gql_trader.accounts.schema_api_token import ApiToken, ApiTokenLoaders
from gql_trader.accounts.types_credentials import ApiTokenSpec
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id


@strawberry.input(description="A new API token.")
class CreateApiTokenInput:
    """Input of createApiToken."""

    label: str = strawberry.field(description="What it is for, in your words; 1 to 100 characters.")
    scopes: list[TokenScope] = strawberry.field(
        description="What it may be used for; at least one, none beyond your role."
    )
    expires_at: datetime | None = strawberry.field(
        default=None, description="When it shall end; not at all if not given."
    )


@visible("the user whose token it is")
@strawberry.type(description="Result of `createApiToken`.")
class CreateApiTokenPayload:
    """Payload of createApiToken."""

    api_token: ApiToken | None = strawberry.field(default=None, description="The new token.")
    secret: str | None = strawberry.field(
        default=None,
        description="The token itself, to be sent as `Authorization: Token …`. It is shown only now; the "
        "server does not keep it.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why no token was made; empty on success."
    )


@strawberry.input(description="An API token to end.")
class RevokeApiTokenInput:
    """Input of revokeApiToken."""

    id: strawberry.ID = strawberry.field(description="One of your API tokens.")


@visible("the user whose token it is")
@strawberry.type(description="Result of `revokeApiToken`.")
class RevokeApiTokenPayload:
    """Payload of revokeApiToken."""

    api_token: ApiToken | None = strawberry.field(
        default=None, description="The token that was ended; it is not listed any more."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was ended; empty on success."
    )


@strawberry.type
class CredentialMutation:
    """Mutations of API tokens."""

    @mutation(
        CreateApiTokenPayload,
        Role.VIEWER,
        "Make a credential for a program. Only a login session may; its secret is shown once.",
        scope=None,
    )
    async def create_api_token(
        self,
        info: Info,
        input: Annotated[CreateApiTokenInput, strawberry.argument(description="The new token.")],
    ) -> CreateApiTokenPayload:
        spec = ApiTokenSpec(input.label, frozenset(input.scopes), input.expires_at)
        async with info.context.uow() as uow:
            token, secret = await api_tokens.create_token(uow, info.context.viewer, spec)
        return CreateApiTokenPayload(api_token=ApiToken.from_record(token), secret=secret)

    @mutation(
        RevokeApiTokenPayload,
        Role.VIEWER,
        "End one of your API tokens. Only a login session may.",
        scope=None,
    )
    async def revoke_api_token(
        self,
        info: Info,
        input: Annotated[RevokeApiTokenInput, strawberry.argument(description="The token to end.")],
    ) -> RevokeApiTokenPayload:
        key = decode_id(input.id, "ApiToken")
        async with info.context.uow() as uow:
            token = await api_tokens.revoke_token(uow, info.context.viewer, key)
        return RevokeApiTokenPayload(api_token=ApiToken.from_record(token))


async def resolve_api_token_nodes(info: Info, ids: Sequence[UUID]) -> list[ApiToken | None]:
    """Return API tokens for ``node``: the viewer's own."""
    tokens = await info.context.loaders(ApiTokenLoaders).token.load_many(list(ids))
    viewer = info.context.viewer
    return [
        ApiToken.from_record(token) if token and token.user_id == viewer.user_id else None for token in tokens
    ]
