"""Server-sent events: frames, when they are sent, and how streams end."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gql_trader.core.actor import Role
from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.infra import json_codec
from tests.factories.revocable_keys import Keys
from tests.factories.toy_schema import ToyServices, authenticate, make_row, toy_schema
from tests.graphql_client import graphql_client, serve, until

SCHEMA = toy_schema()
STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def services() -> ToyServices:
    return ToyServices()


def endpoint(services: ToyServices) -> HttpEndpoint:
    return HttpEndpoint(GraphQLApi(SCHEMA), lambda: services, authenticate)  # type: ignore[arg-type, return-value]


@pytest.fixture
async def http(services: ToyServices) -> AsyncIterator[httpx.AsyncClient]:
    async with graphql_client(endpoint(services)) as client:
        yield client.http


def events(text: str) -> list[tuple[str, Any]]:
    frames = []
    for frame in text.split("\n\n")[:-1]:
        kind, data = frame.split("\n")
        payload = data.removeprefix("data: ")
        frames.append((kind.removeprefix("event: "), json_codec.loads(payload) if payload else None))
    return frames


async def test_subscription_is_sent_in_frames_that_end_in_line_feeds(http: httpx.AsyncClient) -> None:
    answer = await http.post("/graphql", json={"query": "subscription { count(to: 2) }"}, headers=STREAM)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == (
        b'event: next\ndata: {"data":{"count":1}}\n\n'
        b'event: next\ndata: {"data":{"count":2}}\n\n'
        b"event: complete\ndata: \n\n"
    )


async def test_subscription_may_be_asked_for_in_the_address(http: httpx.AsyncClient) -> None:
    answer = await http.get("/graphql", params={"query": "subscription { count(to: 1) }"}, headers=STREAM)
    assert events(answer.text) == [("next", {"data": {"count": 1}}), ("complete", None)]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, application/json", "application/json"),
        (
            "application/graphql-response+json, application/json, text/event-stream",
            "application/graphql-response+json",
        ),
    ],
)
async def test_queries_are_streamed_only_where_nothing_else_is_accepted(
    http: httpx.AsyncClient, accept: str, content_type: str
) -> None:
    answer = await http.post("/graphql", json={"query": "{ hello }"}, headers={"accept": accept})
    assert answer.headers["content-type"] == f"{content_type}; charset=utf-8"


async def test_mutations_never_run_by_get(http: httpx.AsyncClient, services: ToyServices) -> None:
    mutation = "mutation { add(input: {amount: 1}) { counter } }"
    answer = await http.get("/graphql", params={"query": mutation}, headers=STREAM)
    assert (answer.status_code, services.counter) == (405, 0)
    answer = await http.post("/graphql", json={"query": mutation}, headers=STREAM)
    assert events(answer.text) == [("next", {"data": {"add": {"counter": 1}}}), ("complete", None)]


async def test_invalid_documents_are_refused_before_the_stream(http: httpx.AsyncClient) -> None:
    answer = await http.post("/graphql", json={"query": "subscription { nothing }"}, headers=STREAM)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_refused_subscriptions_end_after_the_error(http: httpx.AsyncClient) -> None:
    answer = await http.post("/graphql", json={"query": "subscription { rowEvents { id } }"}, headers=STREAM)
    (kind, payload), last = events(answer.text)
    assert kind == "next"
    assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert last == ("complete", None)


async def test_the_stream_ends_when_the_token_expires(http: httpx.AsyncClient, services: ToyServices) -> None:
    services.events.put_nowait(make_row(1))
    expires_at = datetime.now(UTC) + timedelta(seconds=0.1)
    answer = await http.post(
        "/graphql",
        json={"query": "subscription { rowEvents { number } }"},
        headers={**STREAM, "authorization": f"Bearer viewer until {expires_at.isoformat()}"},
    )
    first, second, last = events(answer.text)
    assert first == ("next", {"data": {"rowEvents": {"number": 1}}})
    assert second[1]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert last == ("complete", None)
    assert services.open_streams == 0


@pytest.mark.parametrize("looked_up", [True, False])
async def test_a_revocation_ends_the_streams_it_concerns(services: ToyServices, looked_up: bool) -> None:
    keys = Keys(looked_up=looked_up)
    watch = RevocationWatch(lambda: services, keys.ended, 0.02)  # type: ignore[arg-type, return-value]
    app = HttpEndpoint(
        GraphQLApi(SCHEMA),
        lambda: services,  # type: ignore[arg-type, return-value]
        keys.authenticate,
        revocations=watch,
    )
    async with serve(app) as server, httpx.AsyncClient(base_url=f"http://{server.address}") as client:

        def opened(key: str) -> Any:
            sent = {**STREAM, "authorization": key}
            query = {"query": "subscription { rowEvents { number } }"}
            return client.stream("POST", "/graphql", json=query, headers=sent)

        async with opened("Bearer one") as one, opened("Bearer two") as two:
            await until(lambda: services.open_streams == 2)
            keys.good.remove("Bearer one")
            (kind, payload), last = events((await one.aread()).decode())
            assert kind == "next"
            assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
            assert last == ("complete", None)
            await until(lambda: services.open_streams == 1)
            services.events.put_nowait(make_row(7))
            lines = two.aiter_lines()
            assert [await anext(lines) for _ in range(2)] == [
                "event: next",
                'data: {"data":{"rowEvents":{"number":7}}}',
            ]


async def test_a_stream_of_a_user_whose_role_has_changed_ends(services: ToyServices) -> None:
    keys = Keys(looked_up=False)
    watch = RevocationWatch(lambda: services, keys.ended, 0.02)  # type: ignore[arg-type, return-value]
    app = HttpEndpoint(
        GraphQLApi(SCHEMA),
        lambda: services,  # type: ignore[arg-type, return-value]
        keys.authenticate,
        revocations=watch,
    )
    async with serve(app) as server, httpx.AsyncClient(base_url=f"http://{server.address}") as client:
        sent = {**STREAM, "authorization": "Bearer one"}
        query = {"query": "subscription { rowEvents { number } }"}
        async with client.stream("POST", "/graphql", json=query, headers=sent) as stream:
            await until(lambda: services.open_streams == 1)
            keys.role = Role.TRADER
            (_, payload), _ = events((await stream.aread()).decode())
            assert payload["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_client_that_leaves_stops_the_source(services: ToyServices) -> None:
    async with serve(endpoint(services)) as server, httpx.AsyncClient() as client:
        async with client.stream(
            "POST",
            f"http://{server.address}/graphql",
            json={"query": "subscription { rowEvents { number } }"},
            headers={**STREAM, "authorization": "Bearer viewer"},
        ) as answer:
            services.events.put_nowait(make_row(7))
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: next"
            assert await anext(lines) == 'data: {"data":{"rowEvents":{"number":7}}}'
            assert services.open_streams == 1
        await until(lambda: services.open_streams == 0)


async def test_shutting_down_ends_streams_within_the_grace(services: ToyServices) -> None:
    async with httpx.AsyncClient() as client:
        async with serve(endpoint(services), grace=1) as server:
            request = client.build_request(
                "POST",
                f"http://{server.address}/graphql",
                json={"query": "subscription { rowEvents { number } }"},
                headers={**STREAM, "authorization": "Bearer viewer"},
            )
            answer = await client.send(request, stream=True)
            await until(lambda: services.open_streams == 1)
        await until(lambda: services.open_streams == 0)
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()
