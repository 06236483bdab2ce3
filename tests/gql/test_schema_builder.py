"""Merging the domains' types, node and nodes, and the rules that every schema obeys."""

from enum import Enum
from typing import Annotated
from uuid import UUID

import pytest
import strawberry

from gql_trader.gql.api import GraphQLApi, Request, Response
from gql_trader.gql.audit import audit_schema
from gql_trader.gql.context import Context
from gql_trader.gql.permissions import public
from gql_trader.gql.relay import encode_id
from gql_trader.gql.schema_builder import build_schema
from gql_trader.schema import create_schema
from tests.factories.toy_schema import ToyQuery, ToyServices, authenticate, toy_schema

SCHEMA = toy_schema()


async def run(query: str, services: ToyServices, header: str | None = "Bearer viewer") -> Response:
    credentials = await authenticate(services, header)  # type: ignore[arg-type]
    context = Context(services, "request", credentials.actor, credentials.problem)  # type: ignore[arg-type]
    api = GraphQLApi(SCHEMA)
    operation = api.prepare(Request(query), "request")
    assert not isinstance(operation, Response), operation.errors
    return await api.execute(operation, context)


async def test_nodes_keep_their_order_and_are_fetched_in_one_batch() -> None:
    services = ToyServices()
    ids = [encode_id("Row", UUID(int=n)) for n in (3, 9, 1, 3)] + [encode_id("Nothing", UUID(int=1))]
    listed = ", ".join(f'"{each}"' for each in ids)
    response = await run(f"{{ nodes(ids: [{listed}]) {{ id ... on Row {{ number }} }} }}", services)
    assert response.data == {
        "nodes": [
            {"id": ids[0], "number": 3},
            None,
            {"id": ids[2], "number": 1},
            {"id": ids[0], "number": 3},
            None,
        ]
    }
    assert services.batches == [[3, 9, 1]]


async def test_node_knows_its_type() -> None:
    global_id = encode_id("Row", UUID(int=2))
    response = await run(f'{{ node(id: "{global_id}") {{ __typename id }} }}', ToyServices())
    assert response.data == {"node": {"__typename": "Row", "id": global_id}}


@pytest.mark.parametrize("malformed", ["", "1", "Um93", "!!!", "Um93OjE=", "é", "Row:1"])
async def test_malformed_ids_are_refused(malformed: str) -> None:
    response = await run(f'{{ nodes(ids: ["{malformed}"]) {{ id }} }}', ToyServices())
    assert response.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert response.errors[0]["extensions"]["argument"] == ["ids", "0"]


async def test_too_many_nodes_are_refused() -> None:
    listed = ", ".join(['"x"'] * 101)
    response = await run(f"{{ nodes(ids: [{listed}]) {{ id }} }}", ToyServices())
    assert response.errors[0]["message"] == "At most 100 ids at a time; got 101."


async def test_nodes_are_for_signed_in_users() -> None:
    response = await run("{ nodes(ids: []) { id } }", ToyServices(), header=None)
    assert response.errors[0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_arguments_without_a_default_are_printed_without_one() -> None:
    printed = SCHEMA.as_str()
    assert "= null" not in printed
    assert "colour: Colour! = RED" in printed


async def test_omitted_arguments_take_the_resolvers_default_and_null_is_null() -> None:
    response = await run("{ a: hello b: hello(name: null) echo }", ToyServices())
    assert response.data == {
        "a": "hello world",
        "b": "hello world",
        "echo": {"value": None, "price": None, "colour": "RED"},
    }


def test_the_same_root_field_in_two_domains_is_refused() -> None:
    @strawberry.type
    class Other:
        @strawberry.field(description="Says hello too.", extensions=public())
        def hello(self) -> str:
            return ""

    with pytest.raises(ValueError, match="Query has fields of more than one domain: hello"):
        build_schema([ToyQuery, Other])


def test_the_toy_obeys_all_rules() -> None:
    assert audit_schema(SCHEMA) == []


def test_the_product_obeys_all_rules() -> None:
    assert audit_schema(create_schema()) == []


def test_the_audit_finds_what_is_missing() -> None:
    @strawberry.enum
    class Size(Enum):
        BIG = "BIG"

    @strawberry.input
    class Filter:
        size: Size

    @strawberry.type
    class Thing:
        name: str

    @strawberry.type
    class BareQuery:
        @strawberry.field
        def thing(self, where: Annotated[Filter, strawberry.argument()]) -> Thing:
            return Thing(name="")

    assert audit_schema(build_schema([BareQuery])) == [
        "Filter.size: no description",
        "Filter: no description",
        "Query.thing(where:): no description",
        "Query.thing: no access declared",
        "Query.thing: no description",
        "Size.BIG: no description",
        "Size: no description",
        "Thing.name: no description",
        "Thing: no description",
        "Thing: not declared by whom it may be seen",
    ]
