"""Specs and enums of the account domain."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gql_trader.core.actor import Actor, Role
from gql_trader.core.ids import UserId


class UserStatus(StrEnum):
    """Whether an account may be used."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


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
    created_at: datetime
    updated_at: datetime


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
    """

    actor: Actor | None = None
    problem: str | None = None
    expires_at: datetime | None = None
