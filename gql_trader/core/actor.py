"""Who asks: the roles, and the user on whose behalf a service acts."""

from dataclasses import dataclass
from enum import StrEnum

from gql_trader.core.ids import SessionId, UserId


class Role(StrEnum):
    """What a user may do; each role includes the ones before it."""

    VIEWER = "VIEWER"
    TRADER = "TRADER"
    ADMIN = "ADMIN"

    def includes(self, other: "Role") -> bool:
        """Return whether this role may do all that the other may."""
        return _RANKS[self] >= _RANKS[other]


class TokenScope(StrEnum):
    """What an API token may be used for; scopes do not include one another."""

    READ = "READ"
    BACKTEST = "BACKTEST"
    TRADE = "TRADE"
    ADMIN = "ADMIN"


_RANKS = {Role.VIEWER: 0, Role.TRADER: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated, active user.

    Attributes
    ----------
    scopes
        What the API token that was sent may be used for; None in a login session, which may do all
        that the role allows.
    session_id
        The login session that the credentials belong to; None if they do not belong to one.
    """

    user_id: UserId
    role: Role
    scopes: frozenset[TokenScope] | None = None
    session_id: SessionId | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this user administers the server, by these credentials."""
        return self.role is Role.ADMIN and self.allows(TokenScope.ADMIN)

    def allows(self, scope: TokenScope | None) -> bool:
        """Return whether the credentials reach a scope; None: only those of a login session do."""
        return self.scopes is None or scope in self.scopes
