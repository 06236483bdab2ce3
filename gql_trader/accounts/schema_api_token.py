"""API tokens as the API shows them, and their batch loaders."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from gql_trader.accounts import repository_credentials as repository
from gql_trader.accounts.api_tokens import api_token_record
from gql_trader.accounts.types_credentials import ApiTokenRecord
from gql_trader.core.actor import TokenScope
from gql_trader.gql.context import Context
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id

register_enum(
    TokenScope,
    "What an API token may be used for; scopes do not include one another, and reach no further than the "
    "user's role.",
    {
        "READ": "Queries and subscriptions.",
        "BACKTEST": "Creating strategies and running backtests.",
        "TRADE": "Running bots and placing orders.",
        "ADMIN": "Administering the server.",
    },
)


@visible("the user whose token it is, and administrators")
@strawberry.type(description="A credential for programs, sent as `Authorization: Token gqlt_…`.")
class ApiToken(Node):
    """An API token; its secret is shown only when it is made."""

    label: str = strawberry.field(description="What it is for, in the user's words.")
    prefix: str = strawberry.field(description="Its first characters, to tell tokens apart.")
    scopes: list[TokenScope] = strawberry.field(description="What it may be used for.")
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to the minute; null if it never was."
    )
    expires_at: datetime | None = strawberry.field(description="When it ends; null if it does not.")

    @classmethod
    def from_record(cls, token: ApiTokenRecord) -> "ApiToken":
        """Return the GraphQL object of a token."""
        return cls(
            id=encode_id("ApiToken", token.id),
            label=token.label,
            prefix=token.prefix,
            scopes=list(token.scopes),
            created_at=token.created_at,
            last_used_at=token.last_used_at,
            expires_at=token.expires_at,
        )


class ApiTokenLoaders:
    """API tokens by id and by user, one statement a batch."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.token: DataLoader[UUID, ApiTokenRecord | None] = DataLoader(self._tokens)
        self.of_user: DataLoader[UUID, list[ApiTokenRecord]] = DataLoader(self._of_users)

    async def _tokens(self, ids: Sequence[UUID]) -> list[ApiTokenRecord | None]:
        async with self._context.uow() as uow:
            rows = await repository.api_tokens_by_ids(uow.session, ids)
        return [api_token_record(rows[key]) if key in rows else None for key in ids]

    async def _of_users(self, user_ids: Sequence[UUID]) -> list[list[ApiTokenRecord]]:
        async with self._context.uow() as uow:
            rows = await repository.api_tokens_by_users(uow.session, user_ids)
        tokens = [api_token_record(row) for row in rows]
        return [[token for token in tokens if token.user_id == key] for key in user_ids]
