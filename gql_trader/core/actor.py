"""Who asks: the roles, and the user on whose behalf a service acts."""

from dataclasses import dataclass
from enum import StrEnum

from gql_trader.core.ids import UserId


class Role(StrEnum):
    """What a user may do; each role includes the ones before it."""

    VIEWER = "VIEWER"
    TRADER = "TRADER"
    ADMIN = "ADMIN"

    def includes(self, other: "Role") -> bool:
        """Return whether this role may do all that the other may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {Role.VIEWER: 0, Role.TRADER: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated, active user."""

    user_id: UserId
    role: Role

    @property
    def is_admin(self) -> bool:
        """Whether this user administers the server."""
        return self.role is Role.ADMIN
