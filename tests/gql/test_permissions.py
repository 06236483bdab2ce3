"""Access, tried with every role and every set of scopes against every declaration."""

from dataclasses import dataclass
from itertools import chain, combinations
from types import SimpleNamespace

import pytest

from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.ids import UserId, uuid7
from gql_trader.gql.errors import ApiError
from gql_trader.gql.permissions import Access

RANKS = {Role.VIEWER: 0, Role.TRADER: 1, Role.ADMIN: 2}
SCOPES = [
    frozenset(chosen)
    for chosen in chain.from_iterable(combinations(TokenScope, size) for size in range(len(TokenScope) + 1))
]
USER = UserId(uuid7())


@dataclass
class Context:
    actor: Actor | None
    authentication_problem: str | None = None


def refusal(access: Access, actor: Actor | None) -> str | None:
    """Return the code with which access is refused; None if it is given."""
    try:
        access.check(SimpleNamespace(context=Context(actor)))  # type: ignore[arg-type]
    except ApiError as error:
        return str((error.extensions or {}).get("code"))
    return None


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("scope", [None, *TokenScope])
def test_access_is_given_to_those_with_role_and_scope_and_to_nobody_else(
    role: Role | None, scope: TokenScope | None
) -> None:
    access = Access(role, scope)
    assert refusal(access, None) == (None if role is None else "UNAUTHENTICATED")
    for held in Role:
        enough = role is None or RANKS[held] >= RANKS[role]
        assert refusal(access, Actor(USER, held)) == (None if enough else "FORBIDDEN")
        for scopes in SCOPES:
            open_to_all = role is None and scope is None
            reached = open_to_all or (enough and scope in scopes)
            assert refusal(access, Actor(USER, held, scopes)) == (None if reached else "FORBIDDEN")


def test_an_administrator_is_one_by_credentials_too() -> None:
    assert Actor(USER, Role.ADMIN).is_admin
    for scopes in SCOPES:
        assert Actor(USER, Role.ADMIN, scopes).is_admin == (TokenScope.ADMIN in scopes)
        assert not Actor(USER, Role.TRADER, scopes).is_admin


def test_what_a_refusal_says() -> None:
    viewer = Context(Actor(USER, Role.VIEWER, frozenset({TokenScope.TRADE})), None)
    for access, message in (
        (Access(Role.TRADER, TokenScope.READ), "This needs the role TRADER."),
        (Access(Role.VIEWER, TokenScope.READ), "This API token lacks the scope READ."),
        (Access(Role.VIEWER, None), "No API token may do this; log in."),
    ):
        with pytest.raises(ApiError, match=message):
            access.check(SimpleNamespace(context=viewer))  # type: ignore[arg-type]
