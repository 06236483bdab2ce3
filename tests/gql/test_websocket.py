"""graphql-transport-ws: the protocol's rules, authentication, and clients that misbehave."""

import asyncio
import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gql_trader.core.actor import Role
from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.client import ClientMiddleware
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.gql.websocket import ABORT_EXTENSION, WebSocketEndpoint
from gql_trader.gql.websocket_connection import SocketOptions
from tests.factories.revocable_keys import Keys
from tests.factories.toy_schema import USER, ToyServices, authenticate, make_row, toy_schema
from tests.graphql_client import GraphQLSocket, InProcessTransport, SocketClosedError, until

SCHEMA = toy_schema()
API = GraphQLApi(SCHEMA, timeout=0.2)
VIEWER = {"authorization": "Bearer viewer"}


@pytest.fixture
def services() -> ToyServices:
    return ToyServices()


def transport(services: ToyServices, origins: tuple[str, ...] = (), **settings: Any) -> InProcessTransport:
    """Return an unopened socket; `settings` are headers, subprotocols and options."""
    connection = {key: settings.pop(key) for key in ("headers", "subprotocols") if key in settings}
    endpoint = WebSocketEndpoint(
        API,
        lambda: services,  # type: ignore[arg-type, return-value]
        authenticate,
        origins,
        SocketOptions(**settings),
    )
    return InProcessTransport(endpoint, **connection)


def socket(services: ToyServices, payload: dict[str, Any] | None = None, **settings: Any) -> GraphQLSocket:
    return GraphQLSocket(transport(services, **settings), payload)


async def closing(services: ToyServices, *messages: Any, **settings: Any) -> SocketClosedError:
    """Return how the server closes a raw socket after these messages."""
    raw = await transport(services, **settings).open()
    for message in messages:
        await raw.send(message if isinstance(message, str | bytes) else json.dumps(message))
    while True:
        try:
            await raw.receive()
        except SocketClosedError as error:
            return error


INIT = {"type": "connection_init"}


def subscribe(query: str = "{ hello }", identifier: Any = "1", **payload: Any) -> dict[str, Any]:
    return {"id": identifier, "type": "subscribe", "payload": {"query": query, **payload}}


# ---- operations ----


async def test_subscription_yields_each_event_and_completes(services: ToyServices) -> None:
    async with socket(services) as ws:
        payloads = [payload async for payload in ws.results("subscription { count(to: 3) }")]
    assert payloads == [{"data": {"count": number}} for number in (1, 2, 3)]


async def test_queries_and_mutations_run_over_the_socket(services: ToyServices) -> None:
    async with socket(services) as ws:
        assert await ws.execute("query($n: String) { hello(name: $n) }", {"n": "Ada"}) == {
            "data": {"hello": "hello Ada"}
        }
        added = await ws.execute("mutation { add(input: {amount: 4}) { counter } }")
    assert added == {"data": {"add": {"counter": 4}}}


async def test_an_id_may_be_used_again_once_it_is_complete(services: ToyServices) -> None:
    async with socket(services) as ws:
        for _ in range(3):
            await ws.send(subscribe(identifier="same"))
            assert (await ws.receive())["type"] == "next"
            assert await ws.receive() == {"type": "complete", "id": "same"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ hello", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { hello } query B { hello }", "BAD_USER_INPUT"),
        ("query($n: String!) { hello(name: $n) }", "BAD_USER_INPUT"),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription { rowEvents { id } }", "UNAUTHENTICATED"),
    ],
)
async def test_refused_operations_answer_with_error_and_keep_the_socket(
    services: ToyServices, query: str, code: str
) -> None:
    async with socket(services) as ws:
        identifier = await ws.start(query)
        message = await ws.receive()
        assert (message["type"], message["id"]) == ("error", identifier)
        assert [error["extensions"]["code"] for error in message["payload"]] == [code]
        assert message["payload"][0]["extensions"]["requestId"]
        assert await ws.execute("{ hello }") == {"data": {"hello": "hello world"}}


async def test_errors_of_execution_come_as_results(services: ToyServices) -> None:
    async with socket(services) as ws:
        payload = await ws.execute('{ refuse(how: "bug") }')
    assert payload["data"] == {"refuse": None}
    assert payload["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in json.dumps(payload)


async def test_a_stream_that_breaks_ends_with_a_masked_error(services: ToyServices) -> None:
    async with socket(services, VIEWER) as ws:
        services.events.put_nowait(make_row(1))
        services.events.put_nowait(RuntimeError("password is hunter2"))
        payloads = [payload async for payload in ws.results("subscription { rowEvents { number } }")]
    assert payloads[0] == {"data": {"rowEvents": {"number": 1}}}
    assert payloads[1]["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in json.dumps(payloads)
    assert len(payloads) == 2


async def test_operations_run_at_the_same_time(services: ToyServices) -> None:
    async with socket(services, VIEWER) as ws:
        stream = await ws.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 1)
        other = await ws.start("{ hello }")
        assert (await ws.receive())["id"] == other
        assert (await ws.receive()) == {"type": "complete", "id": other}
        services.events.put_nowait(make_row(1))
        assert (await ws.receive())["id"] == stream


async def test_complete_stops_the_source(services: ToyServices) -> None:
    async with socket(services, VIEWER) as ws:
        identifier = await ws.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 1)
        await ws.send({"type": "complete", "id": identifier})
        await until(lambda: services.open_streams == 0)
        await ws.send({"type": "complete", "id": identifier})
        await ws.send({"type": "complete", "id": "unknown"})
        # No message was sent for it: the next one is the answer to this query.
        assert await ws.execute("{ hello }") == {"data": {"hello": "hello world"}}


async def test_a_client_that_leaves_stops_its_sources(services: ToyServices) -> None:
    async with socket(services, VIEWER) as ws:
        await ws.start("subscription { rowEvents { number } }")
        await ws.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 2)
    assert services.open_streams == 0


async def test_loaders_are_new_for_every_operation_and_event(services: ToyServices) -> None:
    query = "rowEvents { maker { loaded } same { maker { loaded } } }"
    async with socket(services, VIEWER) as ws:
        for row in (make_row(1), make_row(1), None):
            services.events.put_nowait(row)
        payloads = [payload async for payload in ws.results(f"subscription {{ {query} }}")]
        again = await ws.execute("{ row { maker { loaded } } }")
    counts = [payload["data"]["rowEvents"] for payload in payloads]
    assert counts == [
        {"maker": {"loaded": 1}, "same": {"maker": {"loaded": 1}}},
        {"maker": {"loaded": 2}, "same": {"maker": {"loaded": 2}}},
    ]
    assert again["data"]["row"]["maker"]["loaded"] == 3
    assert services.batches == [[1], [1], [0]]


async def test_slow_queries_are_stopped(services: ToyServices) -> None:
    async with socket(services) as ws:
        payload = await ws.execute("{ wait }")
    assert payload["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_operations_at_a_time_are_bounded(services: ToyServices) -> None:
    async with socket(services, VIEWER, maximum_operations=1) as ws:
        await ws.start("subscription { rowEvents { number } }")
        second = await ws.start("{ hello }")
        message = await ws.receive()
        assert (message["type"], message["id"]) == ("error", second)
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"


# ---- the protocol ----


async def test_pings_are_answered(services: ToyServices) -> None:
    async with socket(services) as ws:
        await ws.send({"type": "ping", "payload": {"a": 1}})
        assert await ws.receive() == {"type": "pong"}
        await ws.send({"type": "pong"})
        await ws.send({"type": "ping"})
        assert await ws.receive() == {"type": "pong"}


async def test_null_payload_of_init_is_accepted(services: ToyServices) -> None:
    raw = await transport(services).open()
    await raw.send('{"type": "connection_init", "payload": null}')
    assert json.loads(await raw.receive())["type"] == "connection_ack"
    await raw.close()


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "",
        "[]",
        '["subscribe"]',
        '"connection_init"',
        "1",
        "null",
        "{}",
        {"type": 1},
        {"type": "start"},
        {"type": "next", "id": "1"},
        b"\x00",
        json.dumps(INIT).encode(),
        {"type": "connection_init", "payload": "x"},
        {"type": "connection_init", "payload": ["x"]},
        {"type": "connection_init", "payload": {"authorization": 1}},
        {"type": "ping", "payload": 1},
        {"type": "complete"},
        {"type": "complete", "id": 1},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "id": "1", "payload": None},
        {"type": "subscribe", "payload": {"query": "{ hello }"}},
        subscribe(identifier=1),
        subscribe(identifier=""),
        subscribe(identifier=None),
        subscribe(identifier="x" * 257),
        subscribe(query=1),  # type: ignore[arg-type]
        subscribe(query=""),
        subscribe(operationName=1),
        subscribe(variables="{}"),
        subscribe(variables=[]),
        subscribe(extensions="x"),
        subscribe('{ hello(name: "\x00") }'),
        subscribe('{ hello(name: "\\u0000") }'),
        subscribe(variables={"name": ["\x00"]}),
    ],
)
async def test_malformed_messages_close_with_4400(services: ToyServices, message: Any) -> None:
    assert (await closing(services, INIT, message)).code == 4400


async def test_extensions_and_null_parameters_are_accepted(services: ToyServices) -> None:
    async with socket(services) as ws:
        await ws.start("{ hello }", operationName=None, extensions={"a": 1})
        assert (await ws.receive())["payload"] == {"data": {"hello": "hello world"}}


async def test_subscribing_before_init_closes_with_4401(services: ToyServices) -> None:
    assert (await closing(services, subscribe())).code == 4401


async def test_a_second_init_closes_with_4429(services: ToyServices) -> None:
    assert (await closing(services, INIT, INIT)).code == 4429


async def test_an_id_in_use_closes_with_4409(services: ToyServices) -> None:
    query = "subscription { flood }"
    error = await closing(services, INIT, subscribe(query), subscribe(query))
    assert (error.code, error.reason) == (4409, "Subscriber for 1 already exists")
    assert services.open_streams == 0


async def test_no_init_closes_with_4408(services: ToyServices) -> None:
    assert (await closing(services, init_seconds=0.01)).code == 4408


async def test_other_subprotocols_close_with_4406(services: ToyServices) -> None:
    for subprotocols in ((), ("graphql-ws",)):
        assert (await closing(services, subprotocols=subprotocols)).code == 4406


async def test_huge_messages_close_with_1009(services: ToyServices) -> None:
    error = await closing(services, INIT, subscribe("{ hello }" + " " * 2000), maximum_message=1000)
    assert error.code == 1009


# ---- who may ----


async def test_token_in_the_init_payload_signs_in(services: ToyServices) -> None:
    for key in ("authorization", "Authorization", "AUTHORIZATION"):
        async with socket(services, {key: "Bearer viewer"}) as ws:
            assert ws.acknowledged == {"expiresAt": None}
            assert await ws.execute("{ secret }") == {"data": {"secret": str(USER)}}


async def test_token_in_the_handshake_signs_in(services: ToyServices) -> None:
    async with socket(services, headers={"Authorization": "Bearer viewer"}) as ws:
        assert await ws.execute("{ secret }") == {"data": {"secret": str(USER)}}


async def test_without_a_token_the_socket_is_anonymous(services: ToyServices) -> None:
    async with socket(services) as ws:
        assert (await ws.execute("{ hello }"))["data"] == {"hello": "hello world"}
        assert (await ws.execute("{ secret }"))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_bad_token_closes_with_4403(services: ToyServices) -> None:
    error = await closing(services, {**INIT, "payload": {"authorization": "Bearer forged"}})
    assert (error.code, error.reason) == (4403, "The access token is not valid.")


async def test_the_socket_closes_with_4403_when_the_token_expires(services: ToyServices) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=0.1)
    async with socket(services, {"authorization": f"Bearer viewer until {expires_at.isoformat()}"}) as ws:
        assert ws.acknowledged["expiresAt"].startswith(expires_at.isoformat()[:19])
        await ws.start("subscription { rowEvents { number } }")
        error = await ws.closed()
        assert error.code == 4403
        assert "expired" in error.reason
        assert datetime.now(UTC) >= expires_at
    assert services.open_streams == 0


async def test_pages_of_other_origins_are_refused_before_the_handshake(services: ToyServices) -> None:
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        with pytest.raises(SocketClosedError):
            await transport(services, headers={"Origin": origin}).open()


async def test_own_and_allowed_origins_may_connect(services: ToyServices) -> None:
    for origin in ("http://testserver", "https://testserver", "https://app.example"):
        async with socket(services, origins=("https://app.example",), headers={"Origin": origin}) as ws:
            assert (await ws.execute("{ hello }"))["data"] == {"hello": "hello world"}


async def test_a_network_has_as_many_sockets_as_it_may_and_others_are_not_counted(
    services: ToyServices,
) -> None:
    endpoint = WebSocketEndpoint(
        API,
        lambda: services,  # type: ignore[arg-type, return-value]
        authenticate,
        options=SocketOptions(maximum_sockets=1),
    )
    app = ClientMiddleware(endpoint, trusted_proxies=1)

    def of(address: str) -> GraphQLSocket:
        return GraphQLSocket(InProcessTransport(app, headers={"x-forwarded-for": address}))

    async with of("203.0.113.7"), of("203.0.113.8"), of("2001:db8::1"):
        # One network of IPv6 is one client.
        for address in ("203.0.113.7", "2001:db8::2"):
            raw = await InProcessTransport(app, headers={"x-forwarded-for": address}).open()
            with pytest.raises(SocketClosedError) as refused:
                await raw.receive()
            assert refused.value.code == 4429
    async with of("203.0.113.7") as socket:
        assert (await socket.execute("{ hello }"))["data"] == {"hello": "hello world"}
    assert endpoint._open == {}


# ---- clients that do not keep up ----


async def test_the_server_asks_whether_the_client_is_there(services: ToyServices) -> None:
    raw = await transport(services, ping_seconds=0.02).open()
    await raw.send(json.dumps(INIT))
    assert json.loads(await raw.receive())["type"] == "connection_ack"
    for _ in range(2):
        assert json.loads(await raw.receive()) == {"type": "ping"}
        await raw.send('{"type": "pong"}')
    assert json.loads(await raw.receive()) == {"type": "ping"}
    with pytest.raises(SocketClosedError, match="No answer to ping"):
        await raw.receive()


async def test_a_client_that_does_not_read_is_dropped(services: ToyServices) -> None:
    raw = transport(services, send_seconds=0.05)
    dropped = asyncio.Event()
    raw.extensions[ABORT_EXTENSION] = {"abort": dropped.set}
    ws = GraphQLSocket(raw)
    async with ws:
        await ws.start("subscription { flood }")
        await until(lambda: services.open_streams == 1)
        async with asyncio.timeout(60):
            await dropped.wait()
        await until(lambda: raw.finished)
    assert services.open_streams == 0


# ---- credentials that end before their time ----


def watched(keys: Keys, services: ToyServices) -> WebSocketEndpoint:
    watch = RevocationWatch(lambda: services, keys.ended, 0.02)  # type: ignore[arg-type, return-value]
    return WebSocketEndpoint(
        GraphQLApi(toy_schema()),
        lambda: services,  # type: ignore[arg-type, return-value]
        keys.authenticate,
        revocations=watch,
    )


@pytest.mark.parametrize("looked_up", [True, False])
async def test_a_revocation_closes_the_sockets_it_concerns_with_4403(
    services: ToyServices, looked_up: bool
) -> None:
    keys = Keys(looked_up=looked_up)
    app = watched(keys, services)
    opened = [
        GraphQLSocket(InProcessTransport(app), payload)
        for payload in ({"authorization": "Bearer one"}, {"authorization": "Bearer two"}, None)
    ]
    one, two, anonymous = opened
    async with one, two, anonymous:
        await one.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 1)
        keys.good.remove("Bearer one")
        error = await one.closed()
        assert (error.code, error.reason) == (4403, "The credentials were revoked; log in again.")
        assert services.open_streams == 0
        for other in (two, anonymous):
            assert await other.execute("{ hello }") == {"data": {"hello": "hello world"}}
    # One look-up for all sockets, and none for those that have nothing to look up.
    assert all(lookup <= {"Bearer one", "Bearer two"} for lookup in keys.lookups)
    assert bool(keys.lookups) is looked_up


async def test_a_socket_of_a_user_whose_role_has_changed_is_closed(services: ToyServices) -> None:
    keys = Keys(looked_up=False)
    app = watched(keys, services)
    async with GraphQLSocket(InProcessTransport(app), {"authorization": "Bearer one"}) as socket:
        keys.role = Role.TRADER
        assert (await socket.closed()).code == 4403


async def test_a_failing_look_up_is_repeated(services: ToyServices) -> None:
    keys = Keys(looked_up=True)
    ended, failures = keys.ended, iter([OSError("the database is away")])

    async def fail_once(services_: Any, grants: Collection[Any]) -> set[Any]:
        for failure in failures:
            raise failure
        return await ended(services_, grants)

    keys.ended = fail_once  # type: ignore[method-assign, assignment]
    async with GraphQLSocket(
        InProcessTransport(watched(keys, services)), {"authorization": "Bearer one"}
    ) as ws:
        keys.good.clear()
        assert (await ws.closed()).code == 4403
