"""The user as the API shows it, and the enums of the account domain."""

from datetime import datetime
from uuid import UUID

import strawberry

from gql_trader.accounts.types import UserRecord, UserStatus
from gql_trader.core.actor import Role
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id

register_enum(
    Role,
    "What a user may do; each role includes the ones before it.",
    {
        "VIEWER": "Reads market data, strategies and what is theirs.",
        "TRADER": "Also creates strategies and runs backtests.",
        "ADMIN": "Also administers the server.",
    },
)
register_enum(
    UserStatus,
    "Whether an account may be used.",
    {
        "PENDING": "Signed up, waiting for an administrator's approval.",
        "ACTIVE": "May log in.",
        "DISABLED": "Was shut out by an administrator.",
    },
)


@visible("the user, and administrators")
@strawberry.type(description="A person or program with an account.")
class User(Node):
    """A user; only ever the viewer, or anybody to an administrator."""

    key: strawberry.Private[UUID]
    username: str = strawberry.field(description="The name for logging in; unique, ignoring case.")
    email: str = strawberry.field(description="E-mail address, normalised; unique, ignoring case.")
    role: Role = strawberry.field(description="What the user may do.")
    status: UserStatus = strawberry.field(description="Whether the account may be used.")
    created_at: datetime = strawberry.field(description="When the account was made.")
    updated_at: datetime = strawberry.field(description="When the account last changed.")

    @classmethod
    def from_record(cls, user: UserRecord) -> "User":
        """Return the GraphQL object of a user."""
        return cls(
            id=encode_id("User", user.id),
            key=user.id,
            username=user.username,
            email=user.email,
            role=user.role,
            status=user.status,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )
