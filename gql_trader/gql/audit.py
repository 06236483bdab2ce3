"""Rules that every schema of this project obeys, as a function for its tests."""

from collections.abc import Iterator

import strawberry
from graphql import (
    GraphQLNamedType,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
    is_specified_directive,
    is_specified_scalar_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_trader.gql.permissions import ACCESS_KEY, SCOPE_KEY
from gql_trader.gql.schema_builder import core_schema

_ROOTS = ("Query", "Mutation", "Subscription")


def audit_schema(schema: strawberry.Schema) -> list[str]:
    """Return what the schema leaves undeclared, one line for each, such as ``Asset.name: no description``.

    Every type, field, argument, input field, enum value and directive needs a description; every root
    field declares who may use it (`permissions.requires`, `permissions.public`) and every object type by
    whom it may be seen (`permissions.visible`).
    """
    return sorted({*_descriptions(schema), *_access(schema)})


def _own_types(schema: strawberry.Schema) -> Iterator[GraphQLNamedType]:
    for name, kind in core_schema(schema).type_map.items():
        if not name.startswith("__") and not is_specified_scalar_type(kind):
            yield kind


def _descriptions(schema: strawberry.Schema) -> Iterator[str]:
    described: list[tuple[str, str | None]] = []
    for kind in _own_types(schema):
        described.append((kind.name, kind.description))
        if is_enum_type(kind):
            described += [(f"{kind.name}.{name}", value.description) for name, value in kind.values.items()]
        elif is_input_object_type(kind):
            described += [(f"{kind.name}.{name}", field.description) for name, field in kind.fields.items()]
        elif is_object_type(kind) or is_interface_type(kind):
            for name, field in kind.fields.items():
                described.append((f"{kind.name}.{name}", field.description))
                described += [
                    (f"{kind.name}.{name}({argument}:)", value.description)
                    for argument, value in field.args.items()
                ]
    for directive in core_schema(schema).directives:
        if not is_specified_directive(directive):
            described.append((f"@{directive.name}", directive.description))
    for place, text in described:
        if not (text and text.strip()):
            yield f"{place}: no description"


def _access(schema: strawberry.Schema) -> Iterator[str]:
    for kind in _own_types(schema):
        if not is_object_type(kind):
            continue
        if kind.name in _ROOTS:
            for name, field in kind.fields.items():
                declared = field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].metadata
                if ACCESS_KEY not in declared or SCOPE_KEY not in declared:
                    yield f"{kind.name}.{name}: no access declared"
        else:
            origin = kind.extensions[GraphQLCoreConverter.DEFINITION_BACKREF].origin
            if not getattr(origin, "__visible_to__", None):
                yield f"{kind.name}: not declared by whom it may be seen"
