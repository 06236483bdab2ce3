"""Credentials that tests revoke."""

from collections.abc import Collection
from typing import Any

from gql_trader.core.actor import Actor, Role
from tests.factories.toy_schema import USER, ToyCredentials


class Keys:
    """Who may enter: each key is a header that is good until it is taken away."""

    def __init__(self, *, looked_up: bool) -> None:
        self.good = {"Bearer one", "Bearer two"}
        self.looked_up = looked_up
        self.lookups: list[set[Any]] = []
        self.role = Role.VIEWER

    async def authenticate(self, _services: Any, header: str | None) -> ToyCredentials:
        if header is None:
            return ToyCredentials()
        if header not in self.good:
            return ToyCredentials(problem="Not good.")
        return ToyCredentials(Actor(USER, self.role), grant=header if self.looked_up else None)

    async def ended(self, _services: Any, grants: Collection[Any]) -> set[Any]:
        self.lookups.append(set(grants))
        return set(grants) - self.good
