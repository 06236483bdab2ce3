"""Exchange keys as the API shows them."""

from datetime import datetime
from uuid import UUID

import strawberry

from gql_trader.exchange_keys.loaders import ExchangeKeyLoaders
from gql_trader.exchange_keys.types import ExchangeKeyRecord, ExchangeKeyStatus
from gql_trader.gql.context import Info
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.infra.exchange.records import ExchangePermission, KnownExchange

register_enum(
    ExchangeKeyStatus,
    "What is known of an exchange key.",
    {
        "UNVERIFIED": "The exchange has not been asked about it, or could not be.",
        "VALID": "The exchange accepted it when it was last asked.",
        "INVALID": "The exchange refused it when it was last asked.",
    },
)
register_enum(
    ExchangePermission,
    "What an exchange lets a key do.",
    {
        "READ": "See balances, orders and trades.",
        "TRADE": "Place and cancel orders.",
        "WITHDRAW": "Send funds out of the account. Nothing here needs it.",
        "TRANSFER": "Move funds between wallets of the account or its sub-accounts.",
    },
)


@visible("everybody signed in")
@strawberry.type(description="An exchange whose keys can be kept here.")
class Exchange:
    """An exchange that ccxt knows."""

    exchange: str = strawberry.field(description="Its id, as `addExchangeKey` takes it, such as binance.")
    name: str = strawberry.field(description="Its name for people.")
    needs_passphrase: bool = strawberry.field(
        description="Whether its keys have a passphrase besides the secret."
    )
    needs_account_id: bool = strawberry.field(
        description="Whether it has to be told the account that a key belongs to."
    )

    @classmethod
    def from_known(cls, known: KnownExchange) -> "Exchange":
        """Return the GraphQL object of an exchange."""
        return cls(
            exchange=known.id,
            name=known.name,
            needs_passphrase=known.needs_passphrase,
            needs_account_id=known.needs_account_id,
        )


@visible("the user whose key it is, and administrators")
@strawberry.type(
    description="A user's key to an exchange, one for each. Its secret and passphrase never leave the server "
    "again."
)
class ExchangeKey(Node):
    """An exchange key, without its secrets."""

    exchange: str = strawberry.field(description="The exchange's id, such as binance.")
    label: str | None = strawberry.field(description="What it is for, in the user's words.")
    api_key_masked: str = strawberry.field(
        description="Its first and last four characters, to tell keys apart; nothing of a short one."
    )
    status: ExchangeKeyStatus = strawberry.field(description="What is known of it.")
    permissions: list[ExchangePermission] = strawberry.field(
        description="What the exchange lets it do; empty if it is not valid."
    )
    permissions_complete: bool = strawberry.field(
        description="Whether the exchange told all that it may do. If not, it may do more than is listed."
    )
    last_used_at: datetime | None = strawberry.field(
        description="When the exchange last answered to it; null if it never did."
    )
    verified_at: datetime | None = strawberry.field(
        description="When the exchange was last asked about what it is now; null if it never was."
    )
    created_at: datetime = strawberry.field(description="When it was added.")
    rotated_at: datetime | None = strawberry.field(
        description="When other credentials last took its place; null if none ever did."
    )

    @classmethod
    def from_record(cls, key: ExchangeKeyRecord) -> "ExchangeKey":
        """Return the GraphQL object of a key."""
        return cls(
            id=encode_id("ExchangeKey", key.id),
            exchange=key.exchange,
            label=key.label,
            api_key_masked=key.api_key_masked,
            status=key.status,
            permissions=list(key.permissions),
            permissions_complete=key.permissions_complete,
            last_used_at=key.last_used_at,
            verified_at=key.verified_at,
            created_at=key.created_at,
            rotated_at=key.rotated_at,
        )


async def exchange_keys_of(info: Info, user_id: UUID) -> list[ExchangeKey]:
    """Return a user's keys, for the field of the user."""
    found = await info.context.loaders(ExchangeKeyLoaders).of_user.load(user_id)
    return [ExchangeKey.from_record(each) for each in found]
