"""GraphQL types and resolvers of API tokens and of the second factor. No API token may use them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import api_tokens, limits, totp
from gql_trader.accounts.schema_api_token import ApiToken, ApiTokenLoaders
from gql_trader.accounts.schema_types import User
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


@strawberry.input(description="Turn on the second factor.")
class BeginTotpEnrollmentInput:
    """Input of beginTotpEnrollment."""

    password: str = strawberry.field(description="Your password, once more.")


@visible("the user who enrols")
@strawberry.type(description="Result of `beginTotpEnrollment`.")
class BeginTotpEnrollmentPayload:
    """Payload of beginTotpEnrollment."""

    otpauth_uri: str | None = strawberry.field(
        default=None, description="For the authenticator app, usually shown as a QR code. It is secret."
    )
    recovery_codes: list[str] | None = strawberry.field(
        default=None,
        description="Each replaces a code of the app, once, should the device be lost. They are shown only "
        "now, and count once the enrolment is confirmed.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was begun; empty on success."
    )


@strawberry.input(description="Proof that the authenticator app has the secret.")
class ConfirmTotpInput:
    """Input of confirmTotp."""

    code: str = strawberry.field(description="The app's present code, 6 digits.")


@visible("the user who enrols")
@strawberry.type(description="Result of `confirmTotp`.")
class ConfirmTotpPayload:
    """Payload of confirmTotp."""

    user: User | None = strawberry.field(default=None, description="The user, with the second factor on.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the second factor is not on; empty on success."
    )


@strawberry.input(description="Turn off the second factor.")
class DisableTotpInput:
    """Input of disableTotp."""

    password: str = strawberry.field(description="Your password, once more.")
    code: str = strawberry.field(description="The app's present code, or a recovery code.")


@visible("the user who turns it off")
@strawberry.type(description="Result of `disableTotp`.")
class DisableTotpPayload:
    """Payload of disableTotp."""

    user: User | None = strawberry.field(default=None, description="The user, with the second factor off.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the second factor still is on; empty on success."
    )


@strawberry.type
class CredentialMutation:
    """Mutations of API tokens and of the second factor."""

    @mutation(
        CreateApiTokenPayload,
        Role.VIEWER,
        "Make a credential for a program. Only a login session may; its secret is shown once, and its owner "
        "is told by mail.",
        scope=None,
        limited=limits.API_TOKEN,
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

    @mutation(
        BeginTotpEnrollmentPayload,
        Role.VIEWER,
        "Get a secret for an authenticator app, and recovery codes. Nothing changes until `confirmTotp`.",
        scope=None,
        limited=limits.CREDENTIAL_CHECK,
    )
    async def begin_totp_enrollment(
        self,
        info: Info,
        input: Annotated[BeginTotpEnrollmentInput, strawberry.argument(description="The password.")],
    ) -> BeginTotpEnrollmentPayload:
        services = info.context.services
        async with info.context.uow() as uow:
            enrollment = await totp.begin_enrollment(
                uow, services.passwords, services.keys, info.context.viewer, input.password
            )
        return BeginTotpEnrollmentPayload(
            otpauth_uri=enrollment.uri, recovery_codes=list(enrollment.recovery_codes)
        )

    @mutation(
        ConfirmTotpPayload,
        Role.VIEWER,
        "Turn the second factor on, by a code made with the secret of `beginTotpEnrollment` within an hour. "
        "From then on a login needs a code.",
        scope=None,
        limited=limits.CREDENTIAL_CHECK,
    )
    async def confirm_totp(
        self,
        info: Info,
        input: Annotated[ConfirmTotpInput, strawberry.argument(description="The code.")],
    ) -> ConfirmTotpPayload:
        async with info.context.uow() as uow:
            user = await totp.confirm_enrollment(
                uow, info.context.services.keys, info.context.viewer, input.code
            )
        return ConfirmTotpPayload(user=User.from_record(user))

    @mutation(
        DisableTotpPayload,
        Role.VIEWER,
        "Turn the second factor off; takes the password and a code.",
        scope=None,
        limited=limits.CREDENTIAL_CHECK,
    )
    async def disable_totp(
        self,
        info: Info,
        input: Annotated[DisableTotpInput, strawberry.argument(description="Password and code.")],
    ) -> DisableTotpPayload:
        services = info.context.services
        async with info.context.uow() as uow:
            user = await totp.disable(
                uow, services.passwords, services.keys, info.context.viewer, input.password, input.code
            )
        return DisableTotpPayload(user=User.from_record(user))


async def resolve_api_token_nodes(info: Info, ids: Sequence[UUID]) -> list[ApiToken | None]:
    """Return API tokens for ``node``: the viewer's own."""
    tokens = await info.context.loaders(ApiTokenLoaders).token.load_many(list(ids))
    viewer = info.context.viewer
    return [
        ApiToken.from_record(token) if token and token.user_id == viewer.user_id else None for token in tokens
    ]
