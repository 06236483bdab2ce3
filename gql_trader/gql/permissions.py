"""Access: who may use a root field, and by whom an object may be seen. Declared on every one of them."""

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

from gql_trader.core.actor import Actor, Role
from gql_trader.gql.errors import forbidden, unauthenticated

C = TypeVar("C", bound=type[Any])

ACCESS_KEY = "access"


class Access(FieldExtension):
    """Require a role of the viewer before a root field's resolver runs.

    Parameters
    ----------
    role
        The least role needed; None: anybody, signed in or not.
    """

    def __init__(self, role: Role | None) -> None:
        self.role = role

    def apply(self, field: StrawberryField) -> None:
        """Leave the declaration on the field, where the schema test finds it."""
        declared = self.role.value if self.role else "PUBLIC"
        field.metadata = MappingProxyType({**field.metadata, ACCESS_KEY: declared})

    def check(self, info: Info[Any, Any]) -> None:
        """Raise unless the viewer has the role."""
        if self.role is None:
            return
        actor: Actor | None = info.context.actor
        if actor is None:
            raise unauthenticated(info.context.authentication_problem)
        if not actor.role.includes(self.role):
            raise forbidden(f"This needs the role {self.role.value}.")

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


def public() -> list[FieldExtension]:
    """Declare a root field open to everybody."""
    return [Access(None)]


def requires(role: Role) -> list[FieldExtension]:
    """Declare a root field open to signed-in users with at least this role."""
    return [Access(role)]


def visible(to: str) -> Callable[[C], C]:
    """Declare who may see objects of a type, in words; a test fails on a type without it.

    Objects are only reached through root fields and relations that select by viewer, so this documents
    the rule that those enforce.
    """

    def mark(cls: C) -> C:
        cls.__visible_to__ = to
        return cls

    return mark
