"""Documents that call each root field of a schema, made up from the schema itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_leaf_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_trader.gql.permissions import ACCESS_KEY, SCOPE_KEY
from gql_trader.gql.schema_builder import core_schema

_SCALARS = {
    "Boolean": "true",
    "Date": '"2025-01-01"',
    "DateTime": '"2099-01-01T00:00:00Z"',
    "Decimal": '"1"',
    "Float": "1",
    "Int": "1",
    "JSON": "{}",
    "String": '"x"',
}


@dataclass(frozen=True)
class RootField:
    """A root field, what it declares, and a document that calls it and nothing else.

    Attributes
    ----------
    role, scope
        As declared: a role or PUBLIC; a scope, SESSION_ONLY or PUBLIC.
    """

    kind: str
    name: str
    role: str
    scope: str
    document: str


def root_fields(schema: strawberry.Schema, ids: Mapping[str, str]) -> Iterator[RootField]:
    """Yield every root field of a schema.

    Parameters
    ----------
    ids
        The global id to send where a field's name has this key, the longest key first; one has the
        empty key.
    """
    core = core_schema(schema)
    for kind in (core.query_type, core.mutation_type, core.subscription_type):
        assert kind is not None
        for name, field in kind.fields.items():
            declared = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].metadata
            chosen = max((key for key in ids if key.lower() in name.lower()), key=len)
            call = f"{name}{_arguments(field.args, ids[chosen])}{_selection(field)}"
            document = f"{kind.name.lower()} {{ {call} }}"
            yield RootField(kind.name, name, declared[ACCESS_KEY], declared[SCOPE_KEY], document)


def _arguments(arguments: Mapping[str, GraphQLArgument | GraphQLInputField], an_id: str) -> str:
    # Optional ids are given too: without one, a field such as strategy(id:, slug:) asks for nothing.
    given = [
        f"{name}: {_literal(argument.type, an_id)}"
        for name, argument in arguments.items()
        if (isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined)
        or (name == "id" and get_named_type(argument.type).name == "ID")
    ]
    return f"({', '.join(given)})" if given else ""


def _literal(kind: GraphQLInputType, an_id: str) -> str:
    match kind:
        case GraphQLNonNull():
            return _literal(kind.of_type, an_id)
        case GraphQLList():
            return f"[{_literal(kind.of_type, an_id)}]"
        case GraphQLEnumType():
            return str(next(iter(kind.values)))
        case GraphQLInputObjectType():
            given = _arguments(kind.fields, an_id)
            return f"{{{given[1:-1]}}}"
        case _:
            return f'"{an_id}"' if kind.name == "ID" else _SCALARS[kind.name]


def _selection(field: GraphQLField) -> str:
    kind = get_named_type(field.type)
    if is_leaf_type(kind):
        return ""
    if isinstance(kind, GraphQLObjectType) and "errors" in kind.fields:
        return " { errors { code } }"
    return " { __typename }"
