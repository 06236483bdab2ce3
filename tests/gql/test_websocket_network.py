"""The WebSocket endpoint under a real server: slow clients, and shutting down."""

import time

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.websocket import WebSocketEndpoint
from gql_trader.gql.websocket_connection import SocketOptions
from tests.factories.toy_schema import ToyServices, authenticate, make_row, toy_schema
from tests.graphql_client import GraphQLSocket, NetworkTransport, SocketClosedError, serve, until

VIEWER = {"authorization": "Bearer viewer"}


@pytest.fixture
def services() -> ToyServices:
    return ToyServices()


def application(services: ToyServices, options: SocketOptions | None = None) -> Starlette:
    endpoint = WebSocketEndpoint(
        GraphQLApi(toy_schema()),
        lambda: services,  # type: ignore[arg-type, return-value]
        authenticate,
        options=options,
    )
    return Starlette(routes=[WebSocketRoute("/graphql", endpoint)])


async def test_subscription_over_the_network(services: ToyServices) -> None:
    async with (
        serve(application(services)) as server,
        GraphQLSocket(NetworkTransport(f"ws://{server.address}/graphql"), VIEWER) as ws,
    ):
        for row in (make_row(1), make_row(2), None):
            services.events.put_nowait(row)
        payloads = [payload async for payload in ws.results("subscription { rowEvents { number } }")]
    assert [payload["data"]["rowEvents"]["number"] for payload in payloads] == [1, 2]


async def test_shutting_down_closes_open_subscriptions_at_once(services: ToyServices) -> None:
    async with (
        serve(application(services)) as server,
        GraphQLSocket(NetworkTransport(f"ws://{server.address}/graphql"), VIEWER) as ws,
    ):
        await ws.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 1)
        started = time.monotonic()
        server.uvicorn.should_exit = True
        with pytest.raises(SocketClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1012
    assert time.monotonic() - started < 2
    assert services.open_streams == 0


async def test_a_client_that_does_not_read_loses_its_connection(services: ToyServices) -> None:
    protocol = Subprotocol("graphql-transport-ws")
    async with (
        serve(application(services, SocketOptions(send_seconds=0.1))) as server,
        # Its queue is never emptied.
        connect(
            f"ws://{server.address}/graphql",
            subprotocols=[protocol],
            max_queue=1,
            compression=None,
            close_timeout=0.1,
        ) as client,
    ):
        await client.send('{"type": "connection_init"}')
        await client.send('{"type": "subscribe", "id": "1", "payload": {"query": "subscription { flood }"}}')
        await until(lambda: services.open_streams == 1)
        assert server.uvicorn.server_state.connections
        await until(lambda: not server.uvicorn.server_state.connections)
    assert services.open_streams == 0
