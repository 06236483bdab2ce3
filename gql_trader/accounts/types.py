"""Specs and enums of the account domain."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import SessionId, UserId

PASSWORD_LENGTHS = (12, 128)
"""Least and most characters of a password."""


class UserStatus(StrEnum):
    """Whether an account may be used."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class AccountMail(StrEnum):
    """What users are told by mail; kinds of messages in the outbox."""

    SIGNED_UP = "account.signed_up"
    SIGNED_UP_AGAIN = "account.signed_up_again"
    APPROVED = "account.approved"
    PASSWORD_RESET_REQUESTED = "account.password_reset_requested"  # noqa: S105 -- a kind of mail
    PASSWORD_RESET_ELSEWHERE = "account.password_reset_elsewhere"  # noqa: S105
    PASSWORD_CHANGED = "account.password_changed"  # noqa: S105
    API_TOKEN_CREATED = "account.api_token_created"  # noqa: S105


class AccountNotice(StrEnum):
    """What administrators are told; kinds of messages in the outbox."""

    SIGNUP_PENDING = "account.signup_pending"


@dataclass(frozen=True, slots=True)
class SignupSpec:
    """A new account as asked for."""

    username: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as the rest of the program sees it: no password hash."""

    id: UserId
    username: str
    email: str
    role: Role
    status: UserStatus
    totp_enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of the device that somebody logs in with."""

    ip_address: str | None = None
    user_agent: str | None = None


UNKNOWN_DEVICE = Device()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user and new tokens of one of their login sessions; the refresh token is known to nobody else."""

    user: UserRecord
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LoginSession:
    """A login on one device that has not ended."""

    id: SessionId
    user_id: UserId
    created_at: datetime
    last_seen_at: datetime
    ip_address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token rests on: it is good while the session is alive and the version is the user's."""

    session_id: SessionId
    token_version: int


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What an Authorization header amounts to.

    Attributes
    ----------
    actor
        The user, or None if nobody is signed in.
    problem
        Why credentials that were sent were refused; None if none were sent or they are good.
    expires_at
        When the credentials end.
    grant
        What can be looked up at any time to see whether they have ended before; None if they have to be
        judged anew.
    """

    actor: Actor | None = None
    problem: str | None = None
    expires_at: datetime | None = None
    grant: Grant | None = None
