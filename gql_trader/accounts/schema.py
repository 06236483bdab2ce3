"""GraphQL types and resolvers of the account domain."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import limits, service
from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.schema_types import User
from gql_trader.accounts.types import SignupSpec, UserStatus
from gql_trader.config import SignupApproval
from gql_trader.core.actor import TokenScope
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import public, visible


@strawberry.input(description="A new account.")
class SignupInput:
    """Input of signup."""

    username: str = strawberry.field(
        description="3 to 32 letters, digits and underscores; unique, ignoring case."
    )
    email: str = strawberry.field(description="E-mail address; unique, ignoring case.")
    password: str = strawberry.field(
        description="At least 12 characters with upper case, lower case, a digit and a special character."
    )


@visible("whoever signs up")
@strawberry.type(description="Result of `signup`.")
class SignupPayload:
    """Payload of signup."""

    status: UserStatus | None = strawberry.field(
        default=None,
        description="PENDING until an administrator approves; ACTIVE where the server needs no approval.",
    )
    message: str | None = strawberry.field(default=None, description="What happens next, for people.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why no account was made; empty on success."
    )


@strawberry.type
class AccountQuery:
    """Queries of the account domain."""

    @strawberry.field(
        description="The signed-in user; null if no credentials were sent, and UNAUTHENTICATED if those that "
        "were are not valid any more.",
        extensions=public(TokenScope.READ),
    )
    async def me(self, info: Info) -> User | None:
        context = info.context
        if context.actor is None and context.authentication_problem is None:
            return None
        actor = context.viewer
        user = await info.context.loaders(AccountLoaders).user.load(actor.user_id)
        return User.from_record(user) if user else None


@strawberry.type
class AccountMutation:
    """Mutations of the account domain."""

    @mutation(
        SignupPayload,
        None,
        "Make a new account. It can be used once an administrator has approved it.",
        limited=limits.SIGNUP,
    )
    async def signup(
        self,
        info: Info,
        input: Annotated[SignupInput, strawberry.argument(description="The new account.")],
    ) -> SignupPayload:
        services = info.context.services
        approval = services.settings.signup_approval
        async with info.context.uow() as uow:
            status = await service.sign_up(
                uow,
                services.passwords,
                SignupSpec(input.username, input.email, input.password),
                approved=approval is SignupApproval.AUTO,
                open_=approval is not SignupApproval.CLOSED,
            )
        pending = status is UserStatus.PENDING
        return SignupPayload(
            status=status,
            message="An administrator has to approve the account; then you can log in."
            if pending
            else "The account is ready; log in.",
        )


async def resolve_user_nodes(info: Info, ids: Sequence[UUID]) -> list[User | None]:
    """Return users for ``node``: the viewer, or anybody to an administrator."""
    viewer = info.context.viewer
    loader = info.context.loaders(AccountLoaders).user
    users = await loader.load_many([key for key in ids if viewer.is_admin or key == viewer.user_id])
    found = {user.id: User.from_record(user) for user in users if user is not None}
    return [found.get(key) for key in ids]  # type: ignore[call-overload]
