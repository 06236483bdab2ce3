"""The WebSocket endpoint under a real server: slow clients, and shutting down."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.http import HttpEndpoint
from gql_trader.gql.uvicorn_protocol import AbortableWebSocketProtocol
from gql_trader.gql.websocket import SocketOptions, WebSocketEndpoint
from tests.factories.toy_schema import ToyServices, authenticate, make_row, toy_schema
from tests.graphql_client import GraphQLSocket, NetworkTransport, SocketClosedError, until

VIEWER = {"authorization": "Bearer viewer"}


@pytest.fixture
def services() -> ToyServices:
    return ToyServices()


@asynccontextmanager
async def serve(
    services: ToyServices, options: SocketOptions | None = None
) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """Run the toy under uvicorn; yield its address and the server."""
    api = GraphQLApi(toy_schema())
    endpoints = (
        HttpEndpoint(api, lambda: services, authenticate),  # type: ignore[arg-type, return-value]
        WebSocketEndpoint(api, lambda: services, authenticate, options=options),  # type: ignore[arg-type, return-value]
    )
    app = Starlette(routes=[Route("/graphql", endpoints[0]), WebSocketRoute("/graphql", endpoints[1])])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app,
            ws=AbortableWebSocketProtocol,
            log_level="warning",
            timeout_graceful_shutdown=5,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}/graphql", server
        finally:
            server.should_exit = True
            await running


async def test_subscription_over_the_network(services: ToyServices) -> None:
    async with (
        serve(services) as (address, _),
        GraphQLSocket(NetworkTransport(f"ws://{address}"), VIEWER) as ws,
    ):
        for row in (make_row(1), make_row(2), None):
            services.events.put_nowait(row)
        payloads = [payload async for payload in ws.results("subscription { rowEvents { number } }")]
    assert [payload["data"]["rowEvents"]["number"] for payload in payloads] == [1, 2]


async def test_shutting_down_closes_open_subscriptions_at_once(services: ToyServices) -> None:
    async with (
        serve(services) as (address, server),
        GraphQLSocket(NetworkTransport(f"ws://{address}"), VIEWER) as ws,
    ):
        await ws.start("subscription { rowEvents { number } }")
        await until(lambda: services.open_streams == 1)
        started = time.monotonic()
        server.should_exit = True
        with pytest.raises(SocketClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1012
    assert time.monotonic() - started < 2
    assert services.open_streams == 0


async def test_a_client_that_does_not_read_loses_its_connection(services: ToyServices) -> None:
    protocol = Subprotocol("graphql-transport-ws")
    async with (
        serve(services, SocketOptions(send_seconds=0.1)) as (address, server),
        # Its queue is never emptied.
        connect(f"ws://{address}", subprotocols=[protocol], max_queue=1, close_timeout=0.1) as client,
    ):
        await client.send('{"type": "connection_init"}')
        await client.send('{"type": "subscribe", "id": "1", "payload": {"query": "subscription { flood }"}}')
        await until(lambda: services.open_streams == 1)
        assert server.server_state.connections
        await until(lambda: not server.server_state.connections)
    assert services.open_streams == 0
