"""What an API token may follow inside an answer."""

from collections.abc import Iterator

import pytest
from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
    is_object_type,
    parse,
)

from gql_trader.core.actor import Actor, Role, TokenScope
from gql_trader.core.ids import UserId, uuid7
from gql_trader.gql.schema_builder import core_schema
from gql_trader.gql.scopes import is_fetched, nested_scope, refused_fields
from gql_trader.schema import create_schema

SCHEMA = core_schema(create_schema())
RUN = "mutation { runBacktest(input: {strategyId: 1, market: 1, interval: H1}) { backtest { %s } } }"


def refusal(text: str, *scopes: TokenScope, session: bool = False) -> str | None:
    document = parse(text)
    [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }
    actor = Actor(UserId(uuid7()), Role.ADMIN, None if session else frozenset(scopes))
    error = refused_fields(SCHEMA, fragments, operation, actor)
    return None if error is None else error.message


def paths(kind: GraphQLObjectType, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """Yield the ways from a type down to each first field that is fetched."""
    for name, field in kind.fields.items():
        returned = get_named_type(field.type)
        if is_fetched(field):
            yield (name,)
        elif is_object_type(returned) and returned.name not in seen:
            for rest in paths(returned, seen | {returned.name}):
                yield (name, *rest)


def fetched_below(root: str) -> list[tuple[str, str]]:
    kind = SCHEMA.type_map[root]
    assert isinstance(kind, GraphQLObjectType)
    found = []
    for name, field in kind.fields.items():
        returned = get_named_type(field.type)
        if is_object_type(returned):
            found += [(name, " { ".join((name, *path)) + " }" * len(path)) for path in paths(returned)]
    return found


@pytest.mark.parametrize("root", ["Mutation", "Subscription"])
def test_whatever_a_mutation_or_event_leads_to_needs_the_scope_to_read(root: str) -> None:
    ways = fetched_below(root)
    assert ways
    others = [scope for scope in TokenScope if scope is not TokenScope.READ]
    for _, way in ways:
        assert refusal(f"{root.lower()} {{ {way} }}", *others), way
        assert refusal(f"{root.lower()} {{ {way} }}", *TokenScope) is None, way
        assert refusal(f"{root.lower()} {{ {way} }}", session=True) is None, way


def test_what_comes_with_the_object_needs_no_more_than_the_object() -> None:
    assert refusal(RUN % "id status label progress", TokenScope.BACKTEST) is None


@pytest.mark.parametrize(
    "selection",
    [
        "strategy { backtests { nodes { label } } }",
        "... on Backtest { market { symbol } }",
        "...F } } } fragment F on Backtest { ...G } fragment G on Backtest { x: strategy { name } "
        "y: id z: status a: __typename b: label c: tags d: progress e: createdAt f: execution { fill",
    ],
)
def test_fragments_and_aliases_hide_nothing(selection: str) -> None:
    text = RUN % selection
    if "fragment" in selection:
        text = text.removesuffix(" } } }") + " } }"
    assert "lacks the scope READ" in str(refusal(text, TokenScope.BACKTEST))


def test_every_nested_field_declares_a_scope_that_exists() -> None:
    fields = [
        field
        for kind in SCHEMA.type_map.values()
        if is_object_type(kind) and kind.name not in ("Query", "Mutation", "Subscription")
        for field in kind.fields.values()
    ]
    assert {nested_scope(field) for field in fields} <= {*TokenScope, None}
