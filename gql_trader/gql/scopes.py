"""What an API token may follow inside an answer, checked before anything is executed.

A root field declares the scope that it needs. Below it, plain values come with their object; whatever is
fetched for it, such as the backtests of a strategy that a mutation returns, is read, and needs READ as it
would at the root, unless the field declares something else.
"""

from collections.abc import Iterator, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_trader.core.actor import Actor, TokenScope
from gql_trader.gql.errors import ApiError, forbidden
from gql_trader.gql.permissions import SCOPE_KEY, SESSION_ONLY


def nested_scope(field: GraphQLField) -> TokenScope | None:
    """Return what an API token needs to follow a field below the root; None: only a login session may.

    Plain values, which have no resolver, need nothing that their object did not need: READ stands for them
    too, since it is asked for where the object is fetched.
    """
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    declared = definition.metadata.get(SCOPE_KEY) if definition is not None else None
    if declared == SESSION_ONLY:
        return None
    return TokenScope(declared) if declared else TokenScope.READ


def is_fetched(field: GraphQLField) -> bool:
    """Return whether a field has a resolver; otherwise its value came with the object."""
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return definition is not None and definition.base_resolver is not None


def refused_fields(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    actor: Actor | None,
) -> ApiError | None:
    """Return why an API token may not follow a field of a valid operation; None if it may follow all."""
    if actor is None or actor.scopes is None:
        return None
    root = schema.get_root_type(operation.operation)
    assert root is not None, "validation found the operation's root type"
    for name, scope in _Walk(schema, fragments).nested(operation.selection_set, root, root=True):
        if not actor.allows(scope):
            return forbidden(
                f"This API token lacks the scope {scope.value}, which {name} needs."
                if scope
                else f"{name} is for login sessions only, not for API tokens."
            )
    return None


class _Walk:
    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._seen: set[tuple[str, bool]] = set()

    def nested(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType, *, root: bool = False
    ) -> Iterator[tuple[str, TokenScope | None]]:
        for selection in node.selections if node else ():
            if isinstance(selection, FieldNode):
                yield from self._field(selection, parent, root=root)
            elif isinstance(selection, InlineFragmentNode):
                kind = selection.type_condition
                inner = self._schema.type_map[kind.name.value] if kind else parent
                yield from self.nested(selection.selection_set, inner, root=root)
            elif isinstance(selection, FragmentSpreadNode):
                key = (selection.name.value, root)
                if key not in self._seen:
                    self._seen.add(key)
                    definition = self._fragments[selection.name.value]
                    kind = definition.type_condition
                    yield from self.nested(
                        definition.selection_set, self._schema.type_map[kind.name.value], root=root
                    )

    def _field(
        self, node: FieldNode, parent: GraphQLNamedType, *, root: bool
    ) -> Iterator[tuple[str, TokenScope | None]]:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return
        field = parent.fields.get(node.name.value)
        if field is None:
            return
        if not root and is_fetched(field):
            yield f"{parent.name}.{node.name.value}", nested_scope(field)
        yield from self.nested(node.selection_set, get_named_type(field.type))
