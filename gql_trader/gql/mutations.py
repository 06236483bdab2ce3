"""How a mutation answers: its payload, or the same payload with typed errors and nothing else."""

from collections.abc import Sequence
from typing import Any

import strawberry
from strawberry.extensions.field_extension import AsyncExtensionResolver, FieldExtension
from strawberry.types import Info

from gql_trader.core.actor import Role, TokenScope
from gql_trader.core.errors import DomainError, DomainErrors
from gql_trader.gql.errors import user_errors
from gql_trader.gql.limiting import Limited
from gql_trader.gql.permissions import Access


class Refusals(FieldExtension):
    """Turn a domain error raised by the resolver into the payload's ``errors``.

    Parameters
    ----------
    payload
        The payload type; all its fields but ``errors`` have defaults.
    """

    def __init__(self, payload: type[Any]) -> None:
        self.payload = payload

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: Info[Any, Any], **kwargs: Any
    ) -> Any:
        """Resolve, or return the payload of the refusal."""
        try:
            return await next_(source, info, **kwargs)
        except (DomainError, DomainErrors) as error:
            return self.payload(errors=user_errors(error))


def mutation(
    payload: type[Any],
    role: Role | None,
    description: str,
    scope: TokenScope | None = None,
    limited: Limited | None = None,
    noted: FieldExtension | None = None,
) -> Any:
    """Declare a mutation: what it returns, who may call it and what it does.

    Parameters
    ----------
    role
        The least role needed; None: anybody.
    scope
        What an API token needs. None, where a role is needed: no API token will do.
    limited
        How often it may be tried.
    noted
        Learns of every attempt, refused ones too.
    """
    # The last one is the outermost: who may not call is refused first, and counts as no attempt to a limit.
    extensions: Sequence[FieldExtension] = [
        Refusals(payload),
        *([limited] if limited else []),
        Access(role, scope),
        *([noted] if noted else []),
    ]
    return strawberry.mutation(description=description, extensions=list(extensions))
