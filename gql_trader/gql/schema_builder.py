"""Build the schema out of what the domains contribute."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLSchema,
    Undefined,
    get_named_type,
    is_input_object_type,
    is_interface_type,
    is_leaf_type,
    is_object_type,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types.base import get_object_definition

from gql_trader.gql.errors import USER_ERROR_TYPES
from gql_trader.gql.fast_execution import FastExecutor
from gql_trader.gql.node import NodeResolver, node_query
from gql_trader.gql.scalars import SCALARS


def build_schema(
    queries: Sequence[type[Any]],
    mutations: Sequence[type[Any]] = (),
    subscriptions: Sequence[type[Any]] = (),
    node_resolvers: Mapping[str, NodeResolver] | None = None,
    types: Iterable[type[Any]] = (),
) -> strawberry.Schema:
    """Merge the domains' root types into one schema.

    Parameters
    ----------
    queries, mutations, subscriptions
        Each domain's root types; their fields must not overlap.
    node_resolvers
        What `node` and `nodes` can fetch: a batch loader for each type name.
    types
        Types that are reached only through an interface.

    Raises
    ------
    ValueError
        If two domains define the same root field.
    """
    schema = strawberry.Schema(
        query=_merge("Query", "Everything that can be read.", [*queries, node_query(node_resolvers or {})]),
        mutation=_merge("Mutation", "Everything that can be changed.", mutations) if mutations else None,
        subscription=_merge("Subscription", "Everything that can be watched.", subscriptions)
        if subscriptions
        else None,
        types=[*USER_ERROR_TYPES, *types],
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=FastExecutor,
    )
    _omit_null_defaults(core_schema(schema))
    return schema


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return the graphql-core schema that a Strawberry schema wraps."""
    return schema._schema


def _merge(name: str, description: str, parts: Sequence[type[Any]]) -> type[Any]:
    fields = Counter(
        field.python_name for part in parts for field in get_object_definition(part, strict=True).fields
    )
    repeated = sorted(field for field, times in fields.items() if times > 1)
    if repeated:
        raise ValueError(f"{name} has fields of more than one domain: {', '.join(repeated)}")
    merged = type(name, tuple(parts), {"__doc__": description})
    return strawberry.type(merged, name=name, description=description)


def _omit_null_defaults(schema: GraphQLSchema) -> None:
    # A Python default of None means "not given". Published as "= null" it would make graphql-core
    # fill in nulls, clutter the SDL, and hide from a resolver whether a client sent null.
    # Nor can introspection write an object or a list as the default of a scalar such as JSON; the resolver
    # gets it from Python all the same.
    def omit(item: GraphQLArgument | GraphQLInputField) -> None:
        unwritable = is_leaf_type(get_named_type(item.type)) and isinstance(item.default_value, dict)
        if item.default_value is None or unwritable:
            item.default_value = Undefined

    for kind in schema.type_map.values():
        if is_input_object_type(kind):
            for input_field in kind.fields.values():
                omit(input_field)
        elif is_object_type(kind) or is_interface_type(kind):
            for field in kind.fields.values():
                for argument in field.args.values():
                    omit(argument)
