"""The HTTP endpoint against the GraphQL over HTTP specification and against hostile requests."""

import json
from collections.abc import AsyncIterator

import pytest

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.limits import Limits
from gql_trader.gql.middleware import RequestIdMiddleware
from tests.factories.toy_schema import USER, ToyServices, authenticate, toy_schema
from tests.graphql_client import GraphQLClient, graphql_client

GRAPHQL_RESPONSE = {"accept": "application/graphql-response+json"}
SCHEMA = toy_schema()


@pytest.fixture
def services() -> ToyServices:
    return ToyServices()


@pytest.fixture
async def client(services: ToyServices) -> AsyncIterator[GraphQLClient]:
    api = GraphQLApi(SCHEMA, Limits(), timeout=0.2)
    endpoint = HttpEndpoint(api, lambda: services, authenticate, max_body_bytes=20_000)  # type: ignore[arg-type, return-value]
    async with graphql_client(RequestIdMiddleware(endpoint)) as client:
        yield client


async def test_query_is_answered_with_data_and_nothing_else(client: GraphQLClient) -> None:
    result = await client.execute("{ hello }")
    assert result.status == 200
    assert result.headers["content-type"] == "application/json; charset=utf-8"
    assert result.headers["cache-control"] == "no-store"
    assert result.body == {"data": {"hello": "hello world"}}


async def test_variables_and_operation_name_are_used(client: GraphQLClient) -> None:
    document = "query A($n: String) { hello(name: $n) } query B { hello }"
    result = await client.execute(document, {"n": "Ada"}, operation="A")
    assert result.data == {"hello": "hello Ada"}


async def test_several_operations_without_a_name_execute_none(
    client: GraphQLClient, services: ToyServices
) -> None:
    document = """mutation A { add(input: {amount: 1}) { counter } }
        mutation B { add(input: {amount: 2}) { counter } }"""
    result = await client.execute(document)
    assert result.codes == ["BAD_USER_INPUT"]
    assert "data" not in result.body
    assert services.counter == 0


async def test_unknown_operation_name_is_refused(client: GraphQLClient) -> None:
    result = await client.execute("query A { hello }", operation="B", headers=GRAPHQL_RESPONSE)
    assert (result.status, result.codes) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("{ helo }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: Int!) { hello }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($c: Colour!) { echo(colour: $c) }", "BAD_USER_INPUT"),
    ],
)
async def test_refused_requests_are_400_only_for_the_graphql_media_type(
    client: GraphQLClient, query: str, code: str
) -> None:
    modern = await client.execute(query, headers=GRAPHQL_RESPONSE)
    assert (modern.status, modern.codes) == (400, [code])
    assert modern.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
    assert "data" not in modern.body
    legacy = await client.execute(query)
    assert (legacy.status, legacy.codes) == (200, [code])


@pytest.mark.parametrize(
    "body",
    [
        b"1",
        b'"x"',
        b"null",
        b"[1]",
        b"[]",
        b'[{"query": "{ hello }"}]',
        b"{}",
        b"",
        b"{",
        b'{"query": "\xff\xfe"}',
        b'{"query": ""}',
        b'{"query": "  "}',
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "variables": []}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "extensions": "x"}',
        b'{"query": "{ hello }", "variables": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b"[" * 19_000,
        b'{"query": "{ hello(name: \\"\\u0000\\") }"}',
        b'{"query": "{ hello(name: \\"\\\\u{0}\\") }"}',
        b'{"query": "{ hello(name: \\"\\u005cu0000\\") }"}',
        b'{"query": "{ hello(name: \\"\\\\\\\\\\u005cu{00}\\") }"}',
        b'{"query": "query($n: String) { hello(name: $n) }", "variables": {"n": "a\\u0000b"}}',
        b'{"query": "query($n: JSON) { hello }", "variables": {"n": [{"\\u0000": 1}]}}',
    ],
)
async def test_malformed_bodies_are_400_with_an_error(client: GraphQLClient, body: bytes) -> None:
    result = await client.post(body)
    assert (result.status, result.codes) == (400, ["BAD_REQUEST"])
    assert result.errors[0]["extensions"]["requestId"] == result.headers["x-request-id"]


async def test_text_that_looks_like_the_escape_of_a_nul_is_text(client: GraphQLClient) -> None:
    literal = await client.post(b'{"query": "{ hello(name: \\"\\\\\\\\u0000\\") }"}')
    variable = await client.execute("query($n: String!) { hello(name: $n) }", {"n": "\\u0000"})
    assert literal.data == variable.data == {"hello": "hello \\u0000"}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/jsonx",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "",
    ],
)
async def test_other_content_types_are_refused(client: GraphQLClient, content_type: str) -> None:
    result = await client.post(b'{"query": "{ hello }"}', content_type=content_type)
    assert (result.status, result.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/graphql+json"]
)
async def test_json_content_types_are_accepted(client: GraphQLClient, content_type: str) -> None:
    result = await client.post(b'{"query": "{ hello }"}', content_type=content_type)
    assert result.data == {"hello": "hello world"}


async def test_large_bodies_are_refused(client: GraphQLClient) -> None:
    result = await client.post(b'{"query": "{ hello } #' + b"x" * 20_000 + b'"}')
    assert (result.status, result.codes) == (413, ["BODY_TOO_LARGE"])


async def test_get_answers_queries(client: GraphQLClient) -> None:
    result = await client.get({"query": "query($n: String) { hello(name: $n) }", "variables": '{"n": "é"}'})
    assert result.data == {"hello": "hello é"}


@pytest.mark.parametrize("headers", [{}, GRAPHQL_RESPONSE])
async def test_get_never_mutates(
    client: GraphQLClient, services: ToyServices, headers: dict[str, str]
) -> None:
    result = await client.get({"query": "mutation { add(input: {amount: 1}) { counter } }"}, headers)
    assert (result.status, result.codes) == (405, ["METHOD_NOT_ALLOWED"])
    assert result.headers["allow"] == "POST"
    assert services.counter == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"query": "{ hello }", "variables": "{"},
        {"query": "{ hello }", "variables": "[]"},
        {"query": "{ hello }", "variables": '{"n": "\\u0000"}'},
        {"query": '{ hello(name: "\\u0000") }'},
        {"query": '{ hello(name: "\x00") }'},
    ],
)
async def test_malformed_get_is_400(client: GraphQLClient, parameters: dict[str, str]) -> None:
    result = await client.get(parameters)
    assert (result.status, result.codes) == (400, ["BAD_REQUEST"])


async def test_other_methods_are_405(client: GraphQLClient) -> None:
    response = await client.http.request("PUT", "/graphql", content=b"{}")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_subscription_by_post_says_where_to_go(client: GraphQLClient) -> None:
    result = await client.execute("subscription { count(to: 1) }")
    assert (result.status, result.codes) == (400, ["SUBSCRIPTION_NEEDS_STREAM"])
    assert "graphql-transport-ws" in result.errors[0]["message"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        ("application/json;q=0.5, application/graphql-response+json", "application/graphql-response+json"),
        ("*/*, application/graphql-response+json", "application/graphql-response+json"),
        ("text/event-stream, application/json", "application/json"),
    ],
)
async def test_accept_is_negotiated(client: GraphQLClient, accept: str, content_type: str) -> None:
    result = await client.execute("{ hello }", headers={"accept": accept})
    assert result.headers["content-type"] == f"{content_type}; charset=utf-8"


async def test_accept_without_a_known_type_is_406(client: GraphQLClient) -> None:
    result = await client.execute("{ hello }", headers={"accept": "image/png"})
    assert (result.status, result.codes) == (406, ["NOT_ACCEPTABLE"])


async def test_refusals_of_the_domain_are_bad_user_input(client: GraphQLClient) -> None:
    result = await client.execute('{ refuse(how: "one") }')
    assert result.status == 200
    assert result.body == {
        "data": {"refuse": None},
        "errors": [
            {
                "message": "first must be positive.",
                "locations": [{"line": 1, "column": 3}],
                "path": ["refuse"],
                "extensions": {
                    "code": "BAD_USER_INPUT",
                    "reason": "INVALID_INPUT",
                    "argument": ["first"],
                    "requestId": result.headers["x-request-id"],
                },
            }
        ],
    }
    many = await client.execute('{ refuse(how: "many") }')
    assert [error["extensions"]["reason"] for error in many.errors] == ["INVALID_INPUT", "NOT_FOUND"]


async def test_api_errors_keep_their_code_and_say_when_to_retry(client: GraphQLClient) -> None:
    result = await client.execute('{ refuse(how: "api") }')
    assert result.codes == ["RATE_LIMITED"]
    assert result.headers["retry-after"] == "7"


async def test_objects_of_a_wrong_type_are_bugs_and_not_shown(
    client: GraphQLClient, services: ToyServices
) -> None:
    services.rows = ["hunter2"]
    result = await client.execute("{ rows { id } }")
    assert (result.body["data"], result.codes) == (None, ["INTERNAL"])
    assert "hunter2" not in json.dumps(result.body)


async def test_results_that_json_cannot_carry_are_bugs(client: GraphQLClient, services: ToyServices) -> None:
    services.rows[0].anything = {"a": object()}
    result = await client.execute("{ row { anything } }")
    assert (result.status, result.codes) == (500, ["INTERNAL"])


async def test_bugs_are_masked_and_logged_with_the_request_id(
    client: GraphQLClient, capsys: pytest.CaptureFixture[str]
) -> None:
    result = await client.execute('{ hello refuse(how: "bug") }', headers={"x-request-id": "from-a-proxy"})
    assert result.body["data"] == {"hello": "hello world", "refuse": None}
    assert result.codes == ["INTERNAL"]
    assert result.errors[0]["extensions"]["requestId"] == "from-a-proxy"
    assert "hunter2" not in json.dumps(result.body)
    logged = capsys.readouterr().out
    assert "from-a-proxy" in logged
    assert "hunter2" in logged


async def test_wrong_values_of_resolvers_are_bugs_and_not_shown(
    client: GraphQLClient, services: ToyServices
) -> None:
    services.rows[0].ratio = float("nan")
    result = await client.execute("{ row { ratio } }")
    assert (result.body["data"], result.codes) == ({"row": None}, ["INTERNAL"])
    services.rows[0].ratio = None
    result = await client.execute("{ row { ratio } }")
    assert (result.body["data"], result.codes) == ({"row": None}, ["INTERNAL"])


async def test_wrong_arguments_are_explained(client: GraphQLClient) -> None:
    result = await client.execute("query($p: Decimal) { echo(price: $p) }", {"p": "abc"})
    assert result.codes == ["BAD_USER_INPUT"]
    assert "got 'abc'" in result.errors[0]["message"]
    result = await client.execute('{ echo(price: "abc") }')
    assert result.codes == ["GRAPHQL_VALIDATION_FAILED"]


async def test_slow_requests_are_stopped(client: GraphQLClient, services: ToyServices) -> None:
    result = await client.execute("{ wait }")
    assert result.codes == ["TIMEOUT"]
    assert result.body["data"] is None
    assert services.open_streams == 0


async def test_roles_are_required(client: GraphQLClient) -> None:
    assert (await client.execute("{ secret }")).codes == ["UNAUTHENTICATED"]
    assert (await client.signed_in("viewer").execute("{ secret }")).data == {"secret": str(USER)}
    assert (await client.signed_in("viewer").execute("{ deal }")).codes == ["FORBIDDEN"]
    assert (await client.signed_in("trader").execute("{ deal }")).data == {"deal": "done"}


async def test_bad_credentials_are_explained_only_where_they_are_needed(client: GraphQLClient) -> None:
    stranger = client.signed_in("forged")
    assert (await stranger.execute("{ hello }")).data == {"hello": "hello world"}
    result = await stranger.execute("{ secret }")
    assert result.codes == ["UNAUTHENTICATED"]
    assert result.errors[0]["message"] == "The access token is not valid."


async def test_request_id_of_the_client_must_be_well_formed(client: GraphQLClient) -> None:
    result = await client.execute("{ hello }", headers={"x-request-id": "a b<script>"})
    assert len(result.headers["x-request-id"]) == 36


async def test_columns_are_written_as_arrays(client: GraphQLClient) -> None:
    result = await client.execute("{ prices times }")
    assert result.data == {"prices": [1.5, None, 2.25], "times": [0, 60000]}


async def test_mutation_answers_with_payload_errors(client: GraphQLClient, services: ToyServices) -> None:
    document = """mutation($input: AddInput!) { add(input: $input) {
        counter errors { __typename code message path ... on QuotaError { retryAfterSeconds } } } }"""
    assert (await client.execute(document, {"input": {"amount": 2}})).data["add"] == {
        "counter": 2,
        "errors": [],
    }
    refused = await client.execute(document, {"input": {"amount": -1}})
    assert refused.data["add"] == {
        "counter": None,
        "errors": [
            {
                "__typename": "ValidationError",
                "code": "INVALID_INPUT",
                "message": "amount must not be negative.",
                "path": ["amount"],
            }
        ],
    }
    quota = await client.execute(document, {"input": {"amount": 101}})
    assert quota.data["add"]["errors"][0]["retryAfterSeconds"] == 60
    assert services.counter == 2
