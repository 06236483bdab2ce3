"""An executor that completes plain attributes column by column, and leaves all else to graphql-core."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_trader.gql.columns import (
    Attribute,
    Column,
    Irregular,
    Lists,
    Objects,
    complete_column,
    leaf_column,
)

_KEPT = "_gql_trader_plain"


@dataclass(frozen=True, slots=True)
class _Split:
    """A selection's plain attributes, and the rest of its fields."""

    plain: Objects | None
    rest: dict[str, Any]
    names: tuple[str, ...]


class FastExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with a shorter way through plain attributes.

    It works on the field sets that graphql-core has collected, so that aliases, fragments, @skip and
    @include are settled already; results and errors equal those of the executor it extends.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By identity of the field set or field list, which is kept beside the value so that the
        # identity is not given to another one meanwhile.
        self._splits: dict[tuple[str, int], tuple[Any, _Split]] = {}
        self._columns: dict[tuple[str, int], tuple[Any, Objects | None]] = {}

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: Any,
        position_context: Any,
    ) -> Any:
        """Complete an object's plain attributes at once, and its other fields as ever."""
        # Root fields are never plain, and their field sets live no longer than one event.
        if path is None or position_context is not None or self.middleware_manager:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        split = self._split(parent_type, grouped_field_set)
        if split.plain is None:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        try:
            fast: dict[str, Any] = split.plain.complete([source_value], set())[0]
        except Irregular:
            return super().execute_fields(
                parent_type, source_value, path, grouped_field_set, position_context
            )
        if not split.rest:
            return fast
        rest: Any = super().execute_fields(parent_type, source_value, path, split.rest, position_context)
        if self.is_awaitable(rest):
            return _merge_later(split.names, fast, rest)
        return _merge(split.names, fast, rest)

    def complete_list_value(
        self,
        return_type: Any,
        field_details_list: Any,
        info: Any,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Complete a list of objects column by column, if all that is selected are plain attributes."""
        if type(result) is list and position_context is None and not self.middleware_manager:
            kind, nullable = _unwrapped(return_type.of_type)
            if is_object_type(kind) and not _has_directives(field_details_list):
                column = self._objects(kind, field_details_list)
                if column is not None:
                    try:
                        return complete_column(column, result, nullable)
                    except Irregular:
                        pass
        return super().complete_list_value(
            return_type, field_details_list, info, path, result, position_context
        )

    def _split(self, kind: GraphQLObjectType, grouped_field_set: Any) -> _Split:
        key = (kind.name, id(grouped_field_set))
        kept = self._splits.get(key)
        if kept is None:
            plain: list[Attribute | tuple[str, str]] = []
            rest: dict[str, Any] = {}
            for name, details in grouped_field_set.items():
                attribute = self._attribute(kind, name, details)
                if attribute is None:
                    rest[name] = details
                else:
                    plain.append(attribute)
            # Whether the object is of the type has been checked before its fields are executed.
            split = _Split(Objects(plain, None) if plain else None, rest, tuple(grouped_field_set))
            kept = self._splits[key] = (grouped_field_set, split)
        return kept[1]

    def _objects(self, kind: GraphQLObjectType, field_details_list: Any) -> Objects | None:
        """Return the column of objects of a type, or None if not all that is selected is plain."""
        key = (kind.name, id(field_details_list))
        kept = self._columns.get(key)
        if kept is None:
            kept = self._columns[key] = (field_details_list, self._make_objects(kind, field_details_list))
        return kept[1]

    def _make_objects(self, kind: GraphQLObjectType, field_details_list: Any) -> Objects | None:
        python_type = None
        if kind.is_type_of is not None:
            definition = kind.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
            # Strawberry's own check is isinstance, which the very type passes; another's is unknown.
            if definition is None or definition.is_type_of is not None:
                return None
            python_type = definition.origin
        grouped_field_set, new_defer_usages, _ = self.collect_subfields(kind, field_details_list)
        if new_defer_usages or not grouped_field_set:
            return None
        attributes = []
        for name, details in grouped_field_set.items():
            attribute = self._attribute(kind, name, details)
            if attribute is None:
                return None
            attributes.append(attribute)
        return Objects(attributes, python_type)

    def _attribute(
        self, kind: GraphQLObjectType, response_name: str, details: Any
    ) -> Attribute | tuple[str, str] | None:
        field_name = details[0].node.name.value
        if field_name == "__typename":
            return response_name, kind.name
        field = self.schema.get_field(kind, field_name)
        if field is None:
            return None
        plain: _Plain | None = field.__dict__.get(_KEPT)
        if plain is None:
            plain = field.__dict__[_KEPT] = _plain(field)
        if plain.get is None:
            return None
        column = plain.column or self._column(plain.kind, details)
        return None if column is None else Attribute(response_name, plain.get, column, plain.nullable)

    def _column(self, kind: GraphQLOutputType, details: Any) -> Column | None:
        if is_leaf_type(kind):
            return leaf_column(kind)
        if is_list_type(kind) and not _has_directives(details):
            item, nullable = _unwrapped(kind.of_type)
            items = self._column(item, details)
            return None if items is None else Lists(items, nullable)
        if is_object_type(kind):
            return self._objects(kind, details)
        return None


@dataclass(frozen=True, slots=True)
class _Plain:
    """What is known of a field, whatever is selected of it.

    ``get`` takes it from an object, and is None if it is not a plain attribute; ``column`` completes it,
    and is None if that depends on what is selected.
    """

    get: Callable[[Any], Any] | None
    kind: Any
    nullable: bool
    column: Column | None


def _plain(field: GraphQLField) -> _Plain:
    name = _plain_attribute(field)
    kind, nullable = _unwrapped(field.type)
    column = leaf_column(kind) if is_leaf_type(kind) else None
    return _Plain(attrgetter(name) if name else None, kind, nullable, column)


def _plain_attribute(field: GraphQLField) -> str | None:
    """Return the attribute that a field shows as it is, or None if it has a resolver of its own."""
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if (
        definition is None
        or field.args
        or not definition.is_basic_field
        or definition.default_resolver is not getattr
        or not getattr(field.resolve, "_is_default", False)
    ):
        return None
    name: str = definition.python_name
    return name


def _unwrapped(kind: Any) -> tuple[Any, bool]:
    """Return a type without its non-null wrapper, and whether it is nullable."""
    return (kind.of_type, False) if is_non_null_type(kind) else (kind, True)


def _has_directives(details: Any) -> bool:
    # @stream would split the list; @skip and @include are settled, but telling them apart is not worth it.
    return any(each.node.directives for each in details)


def _merge(names: tuple[str, ...], fast: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    return {name: fast[name] if name in fast else rest[name] for name in names}


async def _merge_later(
    names: tuple[str, ...], fast: dict[str, Any], rest: Awaitable[dict[str, Any]]
) -> dict[str, Any]:
    return _merge(names, fast, await rest)
