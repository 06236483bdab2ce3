"""GraphQL inputs and resolvers of exchange keys. No API token may add, change or use one."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.exchange_keys import limits, service, verification
from gql_trader.exchange_keys.loaders import ExchangeKeyLoaders
from gql_trader.exchange_keys.schema_types import Exchange, ExchangeKey
from gql_trader.exchange_keys.types import GivenCredentials, NewExchangeKey, Verification
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id

_WARNINGS = (
    "What you should know of the key, in sentences: that it can withdraw, that the exchange refused it or "
    "could not be asked."
)


@strawberry.input(description="A key to an exchange.")
class AddExchangeKeyInput:
    """Input of addExchangeKey."""

    exchange: str = strawberry.field(description="The exchange's id, one of `exchanges`, such as binance.")
    api_key: str = strawberry.field(
        description="The key; on exchanges that sign with a wallet, the wallet's address."
    )
    secret: str = strawberry.field(
        description="Its secret, or the private key in PEM or hexadecimal; never shown again."
    )
    passphrase: str | None = strawberry.field(
        default=None, description="Its passphrase, on exchanges that have one; never shown again."
    )
    account_id: str | None = strawberry.field(
        default=None, description="The account that it belongs to, on exchanges that want to be told."
    )
    label: str | None = strawberry.field(
        default=None, description="What it is for, in your words; at most 100 characters."
    )


@visible("the user whose key it is")
@strawberry.type(description="Result of `addExchangeKey`.")
class AddExchangeKeyPayload:
    """Payload of addExchangeKey."""

    exchange_key: ExchangeKey | None = strawberry.field(
        default=None, description="The new key; null if it was refused."
    )
    warnings: list[str] = strawberry.field(default_factory=list, description=_WARNINGS)
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the key was not kept; empty on success."
    )


@strawberry.input(description="Other credentials for an exchange key.")
class RotateExchangeKeyInput:
    """Input of rotateExchangeKey."""

    id: strawberry.ID = strawberry.field(description="One of your exchange keys.")
    api_key: str = strawberry.field(description="The new key.")
    secret: str = strawberry.field(description="Its secret; never shown again.")
    passphrase: str | None = strawberry.field(
        default=None, description="Its passphrase, on exchanges that have one; never shown again."
    )
    account_id: str | None = strawberry.field(
        default=None, description="The account that it belongs to, on exchanges that want to be told."
    )


@visible("the user whose key it is")
@strawberry.type(description="Result of `rotateExchangeKey`.")
class RotateExchangeKeyPayload:
    """Payload of rotateExchangeKey."""

    exchange_key: ExchangeKey | None = strawberry.field(
        default=None, description="The same object with the new credentials; null if they were refused."
    )
    warnings: list[str] = strawberry.field(default_factory=list, description=_WARNINGS)
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the key is what it was; empty on success."
    )


@strawberry.input(description="An exchange key to be verified.")
class VerifyExchangeKeyInput:
    """Input of verifyExchangeKey."""

    id: strawberry.ID = strawberry.field(description="One of your exchange keys.")


@visible("the user whose key it is")
@strawberry.type(description="Result of `verifyExchangeKey`.")
class VerifyExchangeKeyPayload:
    """Payload of verifyExchangeKey."""

    exchange_key: ExchangeKey | None = strawberry.field(
        default=None,
        description="The key as the exchange sees it, VALID or INVALID; null if it could not be asked.",
    )
    warnings: list[str] = strawberry.field(default_factory=list, description=_WARNINGS)
    errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Why nothing is known that was not before, such as EXCHANGE_ERROR; empty on success.",
    )


@strawberry.type
class ExchangeKeyQuery:
    """Queries of exchange keys."""

    @strawberry.field(
        description="The exchanges whose keys can be kept here, by id, and what their keys consist of.",
        extensions=requires(Role.VIEWER),
    )
    async def exchanges(self, info: Info) -> list[Exchange] | None:
        known = await info.context.services.exchanges.known()
        return [Exchange.from_known(each) for each in known.values()]


@strawberry.type
class ExchangeKeyMutation:
    """Mutations of exchange keys."""

    @mutation(
        AddExchangeKeyPayload,
        Role.TRADER,
        "Keep a key to an exchange, one for each, and have the exchange verify it. A key that could not be "
        "verified is kept all the same. Only a login session may.",
        scope=None,
        limited=limits.EXCHANGE_KEY,
    )
    async def add_exchange_key(
        self,
        info: Info,
        input: Annotated[AddExchangeKeyInput, strawberry.argument(description="The key.")],
    ) -> AddExchangeKeyPayload:
        services = info.context.services
        known = await services.exchanges.known()
        given = GivenCredentials(input.api_key, input.secret, input.passphrase, input.account_id)
        async with info.context.uow() as uow:
            key = await service.add_key(
                uow,
                services.keys,
                known,
                info.context.viewer,
                NewExchangeKey(input.exchange, given, input.label),
            )
        found = await _verify(info, key.id)
        return AddExchangeKeyPayload(
            exchange_key=ExchangeKey.from_record(found.key), warnings=verification.warnings(found)
        )

    @mutation(
        RotateExchangeKeyPayload,
        Role.TRADER,
        "Put other credentials in an exchange key's place and have the exchange verify them. What refers to "
        "the key goes on doing so. Only a login session may.",
        scope=None,
        limited=limits.EXCHANGE_KEY,
    )
    async def rotate_exchange_key(
        self,
        info: Info,
        input: Annotated[
            RotateExchangeKeyInput, strawberry.argument(description="The key and its new credentials.")
        ],
    ) -> RotateExchangeKeyPayload:
        services = info.context.services
        key_id = decode_id(input.id, "ExchangeKey")
        known = await services.exchanges.known()
        given = GivenCredentials(input.api_key, input.secret, input.passphrase, input.account_id)
        async with info.context.uow() as uow:
            await service.rotate_key(uow, services.keys, known, info.context.viewer, key_id, given)
        found = await _verify(info, key_id)
        return RotateExchangeKeyPayload(
            exchange_key=ExchangeKey.from_record(found.key), warnings=verification.warnings(found)
        )

    @mutation(
        VerifyExchangeKeyPayload,
        Role.TRADER,
        "Ask the exchange whether it still accepts a key, and what the key may do. Only a login session may.",
        scope=None,
        limited=limits.EXCHANGE_KEY,
    )
    async def verify_exchange_key(
        self,
        info: Info,
        input: Annotated[VerifyExchangeKeyInput, strawberry.argument(description="The key.")],
    ) -> VerifyExchangeKeyPayload:
        found = await _verify(info, decode_id(input.id, "ExchangeKey"))
        if found.verdict.status is None:
            raise DomainError(
                found.verdict.problem or "The exchange could not be asked.", (), ErrorCode.EXCHANGE_ERROR
            )
        return VerifyExchangeKeyPayload(
            exchange_key=ExchangeKey.from_record(found.key), warnings=verification.warnings(found)
        )


async def _verify(info: Info, key_id: UUID) -> Verification:
    services = info.context.services
    return await verification.verify(
        info.context.uow, services.exchanges, services.keys, info.context.viewer.user_id, key_id
    )


async def resolve_exchange_key_nodes(info: Info, ids: Sequence[UUID]) -> list[ExchangeKey | None]:
    """Return exchange keys for ``node``: the viewer's own."""
    keys = await info.context.loaders(ExchangeKeyLoaders).key.load_many(list(ids))
    viewer = info.context.viewer
    return [ExchangeKey.from_record(key) if key and key.user_id == viewer.user_id else None for key in keys]
