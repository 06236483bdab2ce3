"""Relay's root fields `node` and `nodes`, over loaders that the domains register."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import strawberry

from gql_trader.core.actor import Role
from gql_trader.core.errors import InvalidInput
from gql_trader.gql.context import Info
from gql_trader.gql.permissions import requires
from gql_trader.gql.relay import Node, parse_id

NodeResolver = Callable[[Info, Sequence[UUID]], Awaitable[Sequence[Any]]]
"""Returns the objects of one type in the order of their keys, None where the viewer may not see one."""

MAXIMUM_NODES = 100


def node_query(resolvers: Mapping[str, NodeResolver]) -> type[Any]:
    """Return a query type with `node` and `nodes`.

    Parameters
    ----------
    resolvers
        By GraphQL type name. Ids of other types name nothing, so they resolve to null.
    """

    async def fetch(info: Info, ids: Sequence[tuple[str, UUID]]) -> list[Any]:
        wanted: dict[str, dict[UUID, None]] = {}
        for type_name, key in ids:
            if type_name in resolvers:
                wanted.setdefault(type_name, {})[key] = None
        batches = await asyncio.gather(
            *(resolvers[type_name](info, list(keys)) for type_name, keys in wanted.items())
        )
        found = {
            (type_name, key): item
            for (type_name, keys), items in zip(wanted.items(), batches, strict=True)
            for key, item in zip(keys, items, strict=True)
        }
        return [found.get(each) for each in ids]

    @strawberry.type
    class NodeQuery:
        """Objects by their global ids alone."""

        @strawberry.field(
            description="The object with this global id; null if there is none or it is not yours.",
            extensions=requires(Role.VIEWER),
        )
        async def node(
            self,
            info: Info,
            id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")],
        ) -> Node | None:
            return (await fetch(info, [parse_id(id)]))[0]  # type: ignore[no-any-return]

        @strawberry.field(
            description="The objects with these global ids, in their order; null for each that does not "
            "exist or is not yours.",
            extensions=requires(Role.VIEWER),
        )
        async def nodes(
            self,
            info: Info,
            ids: Annotated[
                list[strawberry.ID], strawberry.argument(description="Global ids, of any types; at most 100.")
            ],
        ) -> list[Node | None]:
            if len(ids) > MAXIMUM_NODES:
                raise InvalidInput(f"At most {MAXIMUM_NODES} ids at a time; got {len(ids)}.", ("ids",))
            return await fetch(info, [parse_id(each, ("ids", str(place))) for place, each in enumerate(ids)])

    return NodeQuery
