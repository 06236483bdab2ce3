"""GraphQL types and resolvers of login sessions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import limits, sessions
from gql_trader.accounts.loaders import AccountLoaders
from gql_trader.accounts.login import log_in
from gql_trader.accounts.schema_types import LoginSession, User
from gql_trader.accounts.types import Device, SignedIn
from gql_trader.core.actor import Role
from gql_trader.core.errors import DomainError, ErrorCode, Forbidden
from gql_trader.core.ids import SessionId, UserId
from gql_trader.gql.context import Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import decode_id

AUTH_SCHEME = "Bearer"


@strawberry.input(description="Credentials.")
class LoginInput:
    """Input of login."""

    login: str = strawberry.field(description="Username or e-mail address, in any case.")
    password: str = strawberry.field(description="The password.")
    remember_me: bool | None = strawberry.field(
        default=False, description="Whether the login lasts longer without being refreshed: 30 days, not 7."
    )
    totp_code: str | None = strawberry.field(
        default=None,
        description="A code of the authenticator app, or a recovery code; needed if the user has turned the "
        "second factor on.",
    )


@visible("whoever logs in")
@strawberry.type(description="Result of `login` and of `refreshTokens`.")
class AuthPayload:
    """Payload of login."""

    access_token: str | None = strawberry.field(
        default=None,
        description="Send it as `Authorization: Bearer …`, over WebSocket in connection_init's payload.",
    )
    refresh_token: str | None = strawberry.field(
        default=None, description="Exchange it once for new tokens with `refreshTokens`; keep it secret."
    )
    token_type: str | None = strawberry.field(default=None, description="Always Bearer.")
    expires_at: datetime | None = strawberry.field(default=None, description="When the access token ends.")
    user: User | None = strawberry.field(default=None, description="Who has logged in.")
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why no tokens were given; empty on success."
    )

    @classmethod
    def from_signed_in(cls, signed_in: SignedIn) -> "AuthPayload":
        """Return the payload of a login."""
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            token_type=AUTH_SCHEME,
            expires_at=signed_in.expires_at,
            user=User.from_record(signed_in.user),
        )


@strawberry.input(description="A refresh token to be exchanged.")
class RefreshTokensInput:
    """Input of refreshTokens."""

    refresh_token: str = strawberry.field(description="The youngest one of the login session.")


@strawberry.input(description="What to log out of.")
class LogoutInput:
    """Input of logout."""

    refresh_token: str | None = strawberry.field(
        default=None,
        description="A refresh token of the session to end, for clients whose access token has expired; "
        "by default the session of the access token that was sent.",
    )
    everywhere: bool | None = strawberry.field(
        default=False, description="Whether to end all sessions of the user, on all devices."
    )


@visible("whoever logs out")
@strawberry.type(description="Result of `logout`.")
class LogoutPayload:
    """Payload of logout."""

    ended_sessions: int | None = strawberry.field(
        default=None, description="How many login sessions were ended; null if the request was refused."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was ended; empty on success."
    )


@strawberry.input(description="A login session to end.")
class RevokeLoginSessionInput:
    """Input of revokeLoginSession."""

    id: strawberry.ID = strawberry.field(description="One of your own, from `loginSessions`.")


@visible("whoever ends the session")
@strawberry.type(description="Result of `revokeLoginSession`.")
class RevokeLoginSessionPayload:
    """Payload of revokeLoginSession."""

    login_session: LoginSession | None = strawberry.field(
        default=None, description="The session as it was when it ended; null if none was ended."
    )
    errors: list[UserError] = strawberry.field(
        default_factory=list, description="Why nothing was ended; empty on success."
    )


def device_of(info: Info) -> Device:
    """Return what is known of the device that sent an operation."""
    client = info.context.client
    return Device(client.address, client.user_agent)


@strawberry.type
class SessionMutation:
    """Mutations of login sessions."""

    @mutation(
        AuthPayload,
        None,
        "Exchange a login and password for an access token and a refresh token.",
        limited=limits.LOGIN,
    )
    async def login(
        self,
        info: Info,
        input: Annotated[LoginInput, strawberry.argument(description="The credentials.")],
    ) -> AuthPayload:
        services = info.context.services
        settings = services.settings
        days = settings.remember_me_days if input.remember_me else settings.refresh_token_days
        async with info.context.uow() as uow:
            signed_in = await log_in(
                uow,
                services.passwords,
                services.tokens,
                services.keys,
                services.rate_limits,
                input.login,
                input.password,
                totp_code=input.totp_code,
                device=device_of(info),
                lifetime=timedelta(days=days),
            )
        return AuthPayload.from_signed_in(signed_in)

    @mutation(
        AuthPayload,
        None,
        "Exchange a refresh token for a new access token and a new refresh token. Each can be exchanged "
        "once: one that turns up again has been copied, and ends its login session.",
        limited=limits.REFRESH,
    )
    async def refresh_tokens(
        self,
        info: Info,
        input: Annotated[RefreshTokensInput, strawberry.argument(description="The refresh token.")],
    ) -> AuthPayload:
        services = info.context.services
        async with info.context.uow() as uow:
            signed_in = await sessions.refresh(uow, services.tokens, input.refresh_token, device_of(info))
        # Raised after the commit: a token that was used before has ended its session in it.
        if signed_in is None:
            raise DomainError(
                "The refresh token is not valid; log in again.", ("refreshToken",), ErrorCode.INVALID_TOKEN
            )
        return AuthPayload.from_signed_in(signed_in)

    @mutation(
        LogoutPayload,
        None,
        "End this login session, or all of the user's: access and refresh tokens are refused from then on, "
        "and sockets are closed.",
    )
    async def logout(
        self,
        info: Info,
        input: Annotated[LogoutInput, strawberry.argument(description="What to log out of.")],
    ) -> LogoutPayload:
        async with info.context.uow() as uow:
            if input.refresh_token is not None:
                session = await sessions.session_of_refresh_token(uow, input.refresh_token)
                user_id, session_id = session.user_id, session.id
            else:
                user_id, session_id = _viewers_session(info)
            ended = (
                await sessions.log_out_everywhere(uow, user_id)
                if input.everywhere
                else await sessions.log_out(uow, session_id)
            )
        return LogoutPayload(ended_sessions=ended)

    @mutation(RevokeLoginSessionPayload, Role.VIEWER, "End one of your login sessions, on whichever device.")
    async def revoke_login_session(
        self,
        info: Info,
        input: Annotated[RevokeLoginSessionInput, strawberry.argument(description="The session.")],
    ) -> RevokeLoginSessionPayload:
        viewer = info.context.viewer
        session_id = SessionId(decode_id(input.id, "LoginSession"))
        async with info.context.uow() as uow:
            session = await sessions.revoke(uow, viewer, session_id)
        return RevokeLoginSessionPayload(
            login_session=LoginSession.from_record(session, current=session.id == viewer.session_id)
        )


async def resolve_login_session_nodes(info: Info, ids: Sequence[UUID]) -> list[LoginSession | None]:
    """Return login sessions for ``node``: the viewer's own, while they last."""
    viewer = info.context.viewer
    found = await info.context.loaders(AccountLoaders).login_session.load_many(ids)
    return [
        LoginSession.from_record(session, current=session.id == viewer.session_id)
        if session is not None and session.user_id == viewer.user_id
        else None
        for session in found
    ]


def _viewers_session(info: Info) -> tuple[UserId, SessionId]:
    viewer = info.context.viewer
    if viewer.session_id is None:
        raise Forbidden("These credentials belong to no login session.")
    return viewer.user_id, viewer.session_id
