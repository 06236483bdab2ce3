"""What an operation costs, known before it is executed, and where it ends."""

import time

import pytest
from graphql import parse, validate

from gql_trader.app import create_app
from gql_trader.config import Settings
from gql_trader.gql.api import GraphQLApi, Operation, Request, Response
from gql_trader.gql.schema_builder import core_schema
from gql_trader.runtime import Runtime
from gql_trader.schema import create_schema
from tests.graphql_client import GraphQLSocket, InProcessTransport, graphql_client

SCHEMA = create_schema()
API = GraphQLApi(SCHEMA)
# 1 for the page, and for each of 100 markets: itself, its asset, and the asset's 10 markets.
TREE = "{ markets(first: 100) { nodes { symbol base { symbol markets { symbol } } } } }"


def _cost(text: str, variables: dict[str, object] | None = None, api: GraphQLApi = API) -> int:
    assert not validate(core_schema(SCHEMA), parse(text))
    operation = api.prepare(Request(text, variables=variables), "request")
    assert isinstance(operation, Operation), operation
    return operation.cost


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("{ __typename }", 1),
        ("{ me { username role } }", 1),
        ("{ a: me { id } b: me { id } }", 2),
        ("{ markets { nodes { symbol } } }", 21),
        ("{ markets(first: 5) { nodes { symbol } } }", 6),
        ("{ markets(last: 7) { nodes { symbol } } }", 8),
        # A page cannot be larger than 100; the field refuses the size itself.
        ("{ markets(first: 1000000) { nodes { symbol } } }", 101),
        ("{ markets(first: 5) { edges { node { symbol } cursor } pageInfo { endCursor } } }", 12),
        ("{ markets(first: 5) { totalCount } }", 6),
        (TREE, 1201),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', 3),
        ('{ market(symbol: "BTC/USD") { priceSeries(interval: H1) { columns { close } } } }', 13),
        ("mutation { logout(input: {}) { errors { code } } }", 10 + 1 + 10),
        ("{ __schema { types { fields { name } } } }", 1),
    ],
)
def test_points(text: str, points: int) -> None:
    assert _cost(text) == points


def test_fragments_cost_as_much_as_what_they_stand_for() -> None:
    text = """{ markets(first: 100) { ...Page } }
        fragment Page on MarketConnection { nodes { ...M } }
        fragment M on Market { symbol base { symbol ... on Asset { markets { symbol } } } }"""
    assert _cost(text) == _cost(TREE)


def test_a_fragment_costs_by_the_page_it_is_on() -> None:
    text = """{ a: markets(first: 5) { ...P } b: markets(first: 50) { ...P } }
        fragment P on MarketConnection { nodes { symbol } }"""
    assert _cost(text) == 6 + 51


def test_page_sizes_in_variables_count_each_time() -> None:
    text = "query($n: Int = 30) { markets(first: $n) { nodes { symbol } } }"
    assert [_cost(text, {"n": 5}), _cost(text, {"n": 100}), _cost(text), _cost(text, {"n": None})] == [
        6,
        101,
        31,
        21,
    ]
    ids = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert _cost(ids, {"ids": ["x"] * 40}) == 40


def test_a_dear_operation_is_refused_before_it_runs() -> None:
    api = GraphQLApi(SCHEMA, max_cost=1200)
    refused = api.prepare(Request(TREE), "request")
    assert isinstance(refused, Response)
    assert refused.payload() == {
        "errors": [
            {
                "message": "This may return too much: it costs 1201 points, and 1200 are allowed.",
                "extensions": {
                    "code": "COST_LIMIT_EXCEEDED",
                    "cost": {"requested": 1201, "maximum": 1200},
                    "requestId": "request",
                },
            }
        ]
    }
    # Also where the size comes later, from a variable, and when the document is known already.
    text = "query($n: Int) { markets(first: $n) { nodes { symbol base { symbol markets { symbol } } } } }"
    assert isinstance(api.prepare(Request(text, variables={"n": 10}), "request"), Operation)
    assert isinstance(api.prepare(Request(text, variables={"n": 100}), "request"), Response)


def test_pages_within_pages_multiply() -> None:
    text = """{ backtests(first: 100) { nodes { strategy { backtests(first: 100) { nodes { id } } } } } }"""
    # 100 backtests, each with a strategy, a page and 100 more.
    assert _cost(text) == 1 + 100 * (1 + 1 + 1 + 100)
    deeper = text.replace("{ id }", "{ ledger(first: 100) { nodes { number } } }")
    refused = API.prepare(Request(deeper), "request")
    assert isinstance(refused, Response)
    assert refused.errors[0]["extensions"]["cost"]["requested"] == 1 + 100 * (1 + 1 + 1 + 100 * 102)


def test_thirty_chained_fragments_cost_no_time() -> None:
    chain = "\n".join(
        f"fragment F{n} on Market {{ base {{ markets {{ ...F{n + 1} ...F{n + 1} }} }} }}" for n in range(30)
    )
    text = f"{{ markets {{ nodes {{ ...F0 }} }} }}\n{chain}\nfragment F30 on Market {{ symbol }}"
    # Of this process alone, and the best of three: what else the machine does must not count.
    elapsed = []
    for _ in range(3):
        begun = time.process_time()
        refused = API.prepare(Request(text), "request")
        elapsed.append(time.process_time() - begun)
    assert isinstance(refused, Response)
    assert {error["extensions"]["code"] for error in refused.errors} == {"QUERY_TOO_COMPLEX"}
    assert min(elapsed) < 0.02


async def test_both_transports_refuse_and_tell_the_cost_on_demand(
    settings: Settings, runtime: Runtime
) -> None:
    app = create_app(settings.model_copy(update={"max_query_cost": 100}), runtime)
    asked = {"cost": True}
    async with graphql_client(app) as client:
        told = await client.post(b'{"query": "{ me { id } }", "extensions": {"cost": true}}')
        assert told.body["extensions"]["cost"]["requested"] == 1
        assert "extensions" not in (await client.execute("{ me { id } }")).body
        refused = await client.execute("{ markets(first: 100) { nodes { id } } }")
        assert refused.codes == ["COST_LIMIT_EXCEEDED"]
        assert refused.errors[0]["extensions"]["cost"] == {"requested": 101, "maximum": 100}
    async with GraphQLSocket(InProcessTransport(app)) as socket:
        identifier = await socket.start("{ me { id } }", extensions=asked)
        message = await socket.receive()
        assert message["payload"]["extensions"]["cost"]["requested"] == 1
        assert await socket.receive() == {"id": identifier, "type": "complete"}
        await socket.start("{ markets(first: 100) { nodes { id } } }")
        message = await socket.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
