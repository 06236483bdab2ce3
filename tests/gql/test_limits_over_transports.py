"""What a document may not do, over HTTP and over WebSocket alike: refused before anything is executed."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.limits import Limits
from gql_trader.gql.websocket import WebSocketEndpoint
from tests.factories.toy_schema import ToyServices, authenticate, toy_schema
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client

LIMITS = Limits(depth=3, aliases=3, tokens=200, selections=20, directives=4, fragments=4)
API = GraphQLApi(toy_schema(), LIMITS, introspection=False, suggestions=False, max_cost=25)
CHAIN = "\n".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(3))

DOCUMENTS = {
    "depth": ("{ rows { maker { rows { maker { name } } } } }", "QUERY_TOO_COMPLEX", "depth"),
    "aliases": ("{ a: hello b: hello c: hello d: hello }", "QUERY_TOO_COMPLEX", "aliases"),
    "repeated fields": ("{ " + "row { id } " * 5 + "}", "QUERY_TOO_COMPLEX", "aliases"),
    "directives": ("{ hello " + "@include(if: true) " * 5 + "}", "QUERY_TOO_COMPLEX", "directives"),
    "fragments": (
        "{ hello }" + " ".join(f"fragment F{n} on Query {{ hello }}" for n in range(5)),
        "QUERY_TOO_COMPLEX",
        "fragments",
    ),
    "selections": (
        "{ ...F0 }\n" + CHAIN + "\nfragment F3 on Query { hello row { id number text } }",
        "QUERY_TOO_COMPLEX",
        "selections",
    ),
    "tokens": ("{ " + "hello " * 200 + "}", "QUERY_TOO_COMPLEX", None),
    "cost": ("{ rows { id } sparseRows { id } pairs { left } }", "COST_LIMIT_EXCEEDED", None),
    "introspection": ("{ __schema { queryType { name } } }", "GRAPHQL_VALIDATION_FAILED", None),
    "unknown names": ("{ helo }", "GRAPHQL_VALIDATION_FAILED", None),
    "a mutation among them": (
        "mutation { a: add(input: {amount: 1}) { counter } b: add(input: {amount: 1}) { counter } "
        "c: add(input: {amount: 1}) { counter } d: add(input: {amount: 1}) { counter } }",
        "QUERY_TOO_COMPLEX",
        "aliases",
    ),
}


@pytest.mark.parametrize(("text", "code", "limit"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
async def test_the_document_is_refused_and_nothing_runs(text: str, code: str, limit: str | None) -> None:
    services = ToyServices()
    app = Starlette(
        routes=[
            Route("/graphql", HttpEndpoint(API, lambda: services, authenticate), methods=None),  # type: ignore[arg-type, return-value]
            WebSocketRoute("/graphql", WebSocketEndpoint(API, lambda: services, authenticate)),  # type: ignore[arg-type, return-value]
        ]
    )
    async with graphql_client(app) as client:
        over_http = (await client.execute(text)).body
    async with GraphQLSocket(InProcessTransport(app)) as socket:
        identifier = await socket.start(text)
        message = await socket.receive()
        assert (message["id"], message["type"]) == (identifier, "error")
        # The socket stays open for what is allowed.
        assert await socket.execute("{ hello }") == {"data": {"hello": "hello world"}}
    assert "data" not in over_http
    for errors in (over_http["errors"], message["payload"]):
        assert {error["extensions"]["code"] for error in errors} == {code}
        assert all(error["extensions"]["requestId"] for error in errors)
        assert "Did you mean" not in str(errors)
        if limit is not None:
            assert limit in {error["extensions"]["limit"] for error in errors}
    assert services.counter == 0
