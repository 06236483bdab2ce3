"""What an operation may cost, estimated from its document and variables before anything is executed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_trader.infra.keyset import DEFAULT_PAGE, MAXIMUM_PAGE

COST_KEY = "cost"

PLAIN_LIST = 10
"""Objects that a list without page arguments is taken to have."""

OBJECT_COST = 1
MUTATION_COST = 10
COLUMNS_COST = 10
"""For a field that reads and writes whole columns of numbers."""

# Beyond every limit; sums stop here, so that chained fragments do not make huge integers.
_CEILING = 10**9


def costs(points: int) -> dict[str, int]:
    """Return the ``metadata`` of a field that costs more than the object it returns."""
    return {COST_KEY: points}


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operation costs.

    Attributes
    ----------
    points
        One for each object that it may return, at the page sizes asked for, and what single fields add.
    fixed
        Whether it is the same whatever the variables are.
    """

    points: int
    fixed: bool


def operation_cost(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> Cost:
    """Return what a valid operation costs; each fragment is measured once for each page size.

    Notes
    -----
    Leaves are free. An object costs 1, a mutation 10, a field with `costs` that much besides. What is
    under a list counts as often as the list has items: ``first`` or ``last`` of a connection, the number
    of ``ids``, otherwise 10. Selections under @skip and @include count.
    """
    root = schema.get_root_type(operation.operation)
    assert root is not None, "validation found the operation's root type"
    measuring = _Measure(schema, fragments, operation, variables)
    points = measuring.selections(operation.selection_set, root, 1, 0)
    return Cost(max(1, points), not measuring.used_variables)


class _Measure:
    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._mutates = operation.operation is OperationType.MUTATION
        self._variables = variables
        self._defaults = {
            node.variable.name.value: node.default_value for node in operation.variable_definitions or ()
        }
        self._measured: dict[tuple[str, int], int] = {}
        self.used_variables = False

    def selections(
        self, node: SelectionSetNode | None, parent: GraphQLNamedType, page: int, level: int
    ) -> int:
        total = 0
        for selection in node.selections if node else ():
            if isinstance(selection, FieldNode):
                total += self._field(selection, parent, page, level)
            elif isinstance(selection, InlineFragmentNode):
                kind = self._type(selection.type_condition.name.value) if selection.type_condition else parent
                total += self.selections(selection.selection_set, kind, page, level)
            elif isinstance(selection, FragmentSpreadNode):
                total += self._fragment(selection.name.value, page, level)
        return min(total, _CEILING)

    def _fragment(self, name: str, page: int, level: int) -> int:
        # Roots are spread at level 0 only, and a fragment on a root type nowhere else.
        key = (name, page)
        if key not in self._measured:
            definition = self._fragments[name]
            kind = self._type(definition.type_condition.name.value)
            self._measured[key] = self.selections(definition.selection_set, kind, page, level)
        return self._measured[key]

    def _field(self, node: FieldNode, parent: GraphQLNamedType, page: int, level: int) -> int:
        field = (
            parent.fields.get(node.name.value)
            if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
            else None
        )
        if field is None:
            # Introspection: it returns the schema, which is the same for everybody and in memory.
            return 0
        own = _declared(field) + (MUTATION_COST if self._mutates and level == 0 else 0)
        if node.selection_set is None:
            return own
        returned = get_named_type(field.type)
        if _is_page(field):
            # The page's items are under its own lists: edges and nodes.
            inner = self.selections(node.selection_set, returned, self._page_size(node), level + 1)
            return min(own + OBJECT_COST + inner, _CEILING)
        times = self._length(node, parent, page) if _is_list(field) else 1
        inner = self.selections(node.selection_set, returned, 1, level + 1)
        return min(own + times * (OBJECT_COST + inner), _CEILING)

    def _length(self, node: FieldNode, parent: GraphQLNamedType, page: int) -> int:
        if parent.name.endswith("Connection"):
            return page
        ids = self._value(node, "ids")
        return max(1, len(ids)) if isinstance(ids, list) else PLAIN_LIST

    def _page_size(self, node: FieldNode) -> int:
        sizes = [value for name in ("first", "last") if isinstance(value := self._value(node, name), int)]
        # A size out of range is refused later by the field itself.
        return min(max(sizes, default=DEFAULT_PAGE), MAXIMUM_PAGE) if sizes else DEFAULT_PAGE

    def _value(self, node: FieldNode, name: str) -> Any:
        for argument in node.arguments or ():
            if argument.name.value == name:
                return self._literal(argument.value)
        return None

    def _literal(self, value: ValueNode | None) -> Any:
        match value:
            case IntValueNode():
                return int(value.value[:12])
            case ListValueNode():
                return list(value.values)
            case VariableNode():
                self.used_variables = True
                name = value.name.value
                return (
                    self._variables[name] if name in self._variables else self._literal(self._default(name))
                )
        return None

    def _default(self, name: str) -> ValueNode | None:
        return self._defaults.get(name)

    def _type(self, name: str) -> GraphQLNamedType:
        return self._schema.type_map[name]


def _declared(field: GraphQLField) -> int:
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return int(definition.metadata.get(COST_KEY, 0)) if definition is not None else 0


def _is_page(field: GraphQLField) -> bool:
    return "first" in field.args and get_named_type(field.type).name.endswith("Connection")


def _is_list(field: GraphQLField) -> bool:
    return is_list_type(field.type.of_type if is_non_null_type(field.type) else field.type)
