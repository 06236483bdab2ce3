"""GraphQL types and resolvers of changing and resetting passwords."""

from typing import Annotated

import strawberry

from gql_trader.accounts import limits, password_changes
from gql_trader.accounts.schema_types import User
from gql_trader.core.actor import Role
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible

_NEW = (
    "At least 12 characters with upper case, lower case, a digit and a special character, and hard to guess."
)


@strawberry.input(description="Another password.")
class ChangePasswordInput:
    """Input of changePassword."""

    current_password: str = strawberry.field(description="The password that is in use.")
    new_password: str = strawberry.field(description=_NEW)
    revoke_api_tokens: bool | None = strawberry.field(
        default=False,
        description="Whether to end all your API tokens too; unless you do, they go on working.",
    )


@visible("whoever changes the password")
@strawberry.type(description="Result of `changePassword`.")
class ChangePasswordPayload:
    """Payload of changePassword."""

    user: User | None = strawberry.field(
        default=None, description="Whose password was changed; null if it was not."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the password was not changed; empty on success."
    )


@strawberry.input(description="Who has forgotten the password.")
class RequestPasswordResetInput:
    """Input of requestPasswordReset."""

    email: str = strawberry.field(description="The account's e-mail address, in any case.")


@visible("whoever asks")
@strawberry.type(description="Result of `requestPasswordReset`.")
class RequestPasswordResetPayload:
    """Payload of requestPasswordReset."""

    message: str | None = strawberry.field(
        default=None,
        description="What happens next, for people; the same whether the address is known or not.",
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the request was refused; empty on success."
    )


@strawberry.input(description="Another password, chosen with a token from a mail.")
class ResetPasswordInput:
    """Input of resetPassword."""

    token: str = strawberry.field(description="From the link in the mail; good once, for 30 minutes.")
    new_password: str = strawberry.field(description=_NEW)


@visible("whoever has the token")
@strawberry.type(description="Result of `resetPassword`.")
class ResetPasswordPayload:
    """Payload of resetPassword; it shows nothing of the user, who may have to prove more to log in."""

    message: str | None = strawberry.field(default=None, description="What happens next, for people.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why the password was not changed; empty on success."
    )


@strawberry.type
class PasswordMutation:
    """Mutations of passwords."""

    @mutation(
        ChangePasswordPayload,
        Role.VIEWER,
        "Choose another password. All your login sessions end, this one too; log in again. API tokens end if "
        "you say so.",
        limited=limits.CREDENTIAL_CHECK,
    )
    async def change_password(
        self,
        info: Info,
        input: Annotated[ChangePasswordInput, strawberry.argument(description="Both passwords.")],
    ) -> ChangePasswordPayload:
        context = info.context
        async with context.uow() as uow:
            user = await password_changes.change_password(
                uow,
                context.services.passwords,
                context.viewer,
                input.current_password,
                input.new_password,
                revoke_api_tokens=bool(input.revoke_api_tokens),
            )
        return ChangePasswordPayload(user=User.from_record(user))

    @mutation(
        RequestPasswordResetPayload,
        None,
        "Ask for a mail with a link to choose another password. The answer is the same for addresses "
        "that have no account.",
        limited=limits.PASSWORD_RESET_REQUEST,
    )
    async def request_password_reset(
        self,
        info: Info,
        input: Annotated[RequestPasswordResetInput, strawberry.argument(description="The address.")],
    ) -> RequestPasswordResetPayload:
        async with info.context.uow() as uow:
            password_changes.request_reset(uow, input.email)
        return RequestPasswordResetPayload(
            message="If there is an account with this address, a mail with a link is on its way."
        )

    @mutation(
        ResetPasswordPayload,
        None,
        "Choose another password with a token from a mail. All the user's login sessions and API tokens end.",
        limited=limits.PASSWORD_RESET,
    )
    async def reset_password(
        self,
        info: Info,
        input: Annotated[ResetPasswordInput, strawberry.argument(description="Token and password.")],
    ) -> ResetPasswordPayload:
        async with info.context.uow() as uow:
            await password_changes.reset_password(
                uow, info.context.services.passwords, input.token, input.new_password
            )
        return ResetPasswordPayload(message="The password was changed; log in with it.")
