"""Access: who may use a root field, with which credentials, and by whom an object may be seen.

Declared on every one of them.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TypeVar

from strawberry.extensions.field_extension import (
    AsyncExtensionResolver,
    FieldExtension,
    SyncExtensionResolver,
)
from strawberry.types import Info
from strawberry.types.field import StrawberryField
from strawberry.utils.await_maybe import await_maybe

from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.gql.errors import forbidden, unauthenticated

C = TypeVar("C", bound=type[Any])

ACCESS_KEY = "access"
SCOPE_KEY = "scope"
PUBLIC = "PUBLIC"
SESSION_ONLY = "SESSION_ONLY"


class Access(FieldExtension):
    """Require a role of the viewer, and a scope of an API token, before a root field's resolver runs.

    Parameters
    ----------
    role
        The least role needed; None: anybody, signed in or not.
    scope
        What an API token needs; None: no API token will do, only a login session. Fields that need no
        role and no scope are open to whoever calls, with whatever credentials.
    """

    def __init__(self, role: Role | None, scope: TokenScope | None) -> None:
        self.role = role
        self.scope = scope

    def apply(self, field: StrawberryField) -> None:
        """Leave the declaration on the field, where the schema test finds it."""
        declared = {
            ACCESS_KEY: self.role.value if self.role else PUBLIC,
            SCOPE_KEY: self.scope.value if self.scope else SESSION_ONLY if self.role else PUBLIC,
        }
        field.metadata = MappingProxyType({**field.metadata, **declared})

    def check(self, info: Info[Any, Any]) -> None:
        """Raise unless the viewer has the role, and the API token, if it is one, the scope."""
        actor: Actor | None = info.context.actor
        if self.role is not None:
            if actor is None:
                raise unauthenticated(info.context.authentication_problem)
            if not actor.role.includes(self.role):
                raise forbidden(f"This needs the role {self.role.value}.")
        if actor is None or (self.role is None and self.scope is None):
            return
        if not actor.allows(self.scope):
            raise forbidden(
                f"This API token lacks the scope {self.scope.value}."
                if self.scope
                else "No API token may do this; log in."
            )

    def resolve(self, next_: SyncExtensionResolver, source: Any, info: Info[Any, Any], **kwargs: Any) -> Any:
        """Check, then resolve."""
        self.check(info)
        return next_(source, info, **kwargs)

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: Info[Any, Any], **kwargs: Any
    ) -> Any:
        """Check, then resolve."""
        self.check(info)
        # A subscription's resolver returns an asynchronous generator, everything else an awaitable.
        return await await_maybe(next_(source, info, **kwargs))


def public(scope: TokenScope | None = None) -> list[FieldExtension]:
    """Declare a root field open to everybody; with a scope, to API tokens that have it only."""
    return [Access(None, scope)]


def requires(role: Role, scope: TokenScope | None = TokenScope.READ) -> list[FieldExtension]:
    """Declare a root field open to signed-in users with at least this role.

    Parameters
    ----------
    scope
        What an API token needs besides; None: no API token will do.
    """
    return [Access(role, scope)]


def visible(to: str) -> Callable[[C], C]:
    """Declare who may see objects of a type, in words; a test fails on a type without it.

    Objects are only reached through root fields and relations that select by viewer, so this documents
    the rule that those enforce.
    """

    def mark(cls: C) -> C:
        cls.__visible_to__ = to
        return cls

    return mark
