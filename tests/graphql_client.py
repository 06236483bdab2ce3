"""Clients for tests: GraphQL over HTTP, and graphql-transport-ws in-process or over a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gql_trader.gql.uvicorn_protocol import AbortableWebSocketProtocol

SUBPROTOCOL = "graphql-transport-ws"
WAIT_SECONDS = 60.0
_UNREAD = 16


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that only other tasks can bring about."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 -- any condition: there is no event to wait for
            await asyncio.sleep(0.001)


@dataclass(frozen=True)
class Result:
    """A response to a GraphQL request."""

    status: int
    headers: httpx.Headers
    body: Any

    @property
    def data(self) -> Any:
        """The result, asserting that there are no errors."""
        assert "errors" not in self.body, self.body["errors"]
        return self.body["data"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The errors; empty on success."""
        return self.body.get("errors", [])  # type: ignore[no-any-return]

    @property
    def codes(self) -> list[str]:
        """The code of each error."""
        return [error["extensions"]["code"] for error in self.errors]


class GraphQLClient:
    """Sends GraphQL requests over HTTP.

    Parameters
    ----------
    token
        Access token to send with each request.
    """

    def __init__(self, http: httpx.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self.token = token

    def signed_in(self, token: str) -> "GraphQLClient":
        """Return a client that sends a token, over the same connection."""
        return GraphQLClient(self.http, token)

    async def execute(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        operation: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Result:
        """Send a query or mutation."""
        body: dict[str, Any] = {"query": query}
        if variables is not None:
            body["variables"] = variables
        if operation is not None:
            body["operationName"] = operation
        return await self.post(json.dumps(body).encode(), headers=headers)

    async def post(
        self, content: bytes, headers: dict[str, str] | None = None, content_type: str = "application/json"
    ) -> Result:
        """Send a raw body."""
        sent = {"content-type": content_type, **(headers or {})}
        if self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        response = await self.http.post("/graphql", content=content, headers=sent)
        return Result(response.status_code, response.headers, response.json())

    async def get(self, parameters: dict[str, str], headers: dict[str, str] | None = None) -> Result:
        """Send a query in the address."""
        response = await self.http.get("/graphql", params=parameters, headers=headers)
        return Result(response.status_code, response.headers, response.json())

    async def log_in(self, login: str, password: str) -> "GraphQLClient":
        """Return a client with the token of a user."""
        result = await self.execute(
            "mutation($input: LoginInput!) { login(input: $input) { accessToken errors { code message } } }",
            {"input": {"login": login, "password": password}},
        )
        assert result.data["login"]["errors"] == [], result.data
        return self.signed_in(result.data["login"]["accessToken"])


async def endless_body() -> AsyncIterator[bytes]:
    """Yield the beginning of a body whose rest never comes."""
    yield b"{"
    await asyncio.Event().wait()


@asynccontextmanager
async def graphql_client(app: ASGIApp, base_url: str = "http://testserver") -> AsyncIterator[GraphQLClient]:
    """Yield a client that calls an application in-process."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
        yield GraphQLClient(http)


@dataclass(frozen=True)
class Served:
    """A running server; ``address`` is its host and port."""

    address: str
    uvicorn: uvicorn.Server


@asynccontextmanager
async def serve(app: ASGIApp, grace: int = 5) -> AsyncIterator[Served]:
    """Run an application under uvicorn on a free port; stopping, requests have `grace` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app,
            ws=AbortableWebSocketProtocol,
            log_level="warning",
            timeout_graceful_shutdown=grace,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve([listening]))
        try:
            yield Served(f"127.0.0.1:{listening.getsockname()[1]}", server)
        finally:
            server.should_exit = True
            await running


class SocketClosedError(Exception):
    """The server closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """One WebSocket, from the client's side."""

    subprotocol: str | None

    async def send(self, text: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self) -> None: ...


class InProcessTransport:
    """Runs an ASGI application for one WebSocket, without a network.

    The application's sends wait once some messages have not been received, as they do on a network.

    Attributes
    ----------
    extensions
        The ASGI extensions that the application finds.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "/graphql",
        headers: dict[str, str] | None = None,
        subprotocols: tuple[str, ...] = (SUBPROTOCOL,),
    ) -> None:
        self.subprotocol: str | None = None
        self.extensions: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_UNREAD)
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {"host": "testserver", **(headers or {})}.items()
            ],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "subprotocols": list(subprotocols),
            "state": {},
            "extensions": self.extensions,
        }

    async def open(self) -> Self:
        """Connect; raise SocketClosedError if the server refuses."""
        self._task = asyncio.create_task(self._run())
        await self._to_app.put({"type": "websocket.connect"})
        message = await self._next()
        assert message["type"] == "websocket.accept", message
        self.subprotocol = message.get("subprotocol")
        return self

    async def _run(self) -> None:
        await self._app(self._scope, self._to_app.get, self._from_app.put)  # type: ignore[arg-type]

    async def _next(self) -> dict[str, Any]:
        waiting = asyncio.create_task(self._from_app.get())
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self._task
            raise AssertionError("the application ended without closing the socket")
        message = waiting.result()
        if message["type"] == "websocket.close":
            raise SocketClosedError(message.get("code", 1000), message.get("reason") or "")
        return message

    async def send(self, text: str | bytes) -> None:
        """Send a message."""
        key = "text" if isinstance(text, str) else "bytes"
        await self._to_app.put({"type": "websocket.receive", key: text})

    async def receive(self) -> str | bytes:
        """Return the next message."""
        message = await self._next()
        assert message["type"] == "websocket.send", message
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def close(self) -> None:
        """Leave, and wait until the application has finished with this socket."""
        await self._to_app.put({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(WAIT_SECONDS):
            await self._task

    @property
    def finished(self) -> bool:
        """Whether the application has finished with this socket."""
        return self._task.done()


class NetworkTransport:
    """A WebSocket over the network."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> Self:
        """Connect."""
        self._socket = await connect(self._url, subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=2**24)
        self.subprotocol: str | None = self._socket.subprotocol
        return self

    async def send(self, text: str | bytes) -> None:
        """Send a message."""
        await self._socket.send(text)

    async def receive(self) -> str | bytes:
        """Return the next message."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._socket.recv()
        except ConnectionClosed as error:
            received = error.rcvd
            raise SocketClosedError(
                received.code if received else 1006, received.reason if received else ""
            ) from error

    async def close(self) -> None:
        """Leave."""
        await self._socket.close()


class GraphQLSocket:
    """Speaks graphql-transport-ws; use it as ``async with``, which initialises the connection.

    Parameters
    ----------
    payload
        Payload of connection_init, such as ``{"authorization": "Bearer …"}``.
    """

    def __init__(
        self, transport: InProcessTransport | NetworkTransport, payload: dict[str, Any] | None = None
    ) -> None:
        self.transport = transport
        self.acknowledged: dict[str, Any] = {}
        self._payload = payload
        self._next_id = 0

    async def __aenter__(self) -> Self:
        await self.transport.open()
        await self.send({"type": "connection_init", **({"payload": self._payload} if self._payload else {})})
        ack = await self.receive()
        assert ack["type"] == "connection_ack", ack
        self.acknowledged = ack.get("payload") or {}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(SocketClosedError):
            await self.transport.close()

    async def send(self, message: Any) -> None:
        """Send a message; anything that JSON can carry."""
        await self.transport.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """Return the next message, answering pings."""
        while True:
            text = await self.transport.receive()
            assert isinstance(text, str), "the protocol has text frames only"
            message: dict[str, Any] = json.loads(text)
            if message["type"] != "ping":
                return message
            await self.send({"type": "pong"})

    async def start(self, query: str, variables: dict[str, Any] | None = None, **payload: Any) -> str:
        """Start an operation and return its id."""
        self._next_id += 1
        identifier = str(self._next_id)
        sent = {"query": query, **({"variables": variables} if variables else {}), **payload}
        await self.send({"id": identifier, "type": "subscribe", "payload": sent})
        return identifier

    async def results(
        self, query: str, variables: dict[str, Any] | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the payloads of an operation until it completes; for one operation at a time."""
        identifier = await self.start(query, variables)
        while True:
            message = await self.receive()
            assert message.get("id") == identifier, message
            if message["type"] == "complete":
                return
            assert message["type"] == "next", message
            yield message["payload"]

    async def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the only payload of a query or mutation."""
        payloads = [payload async for payload in self.results(query, variables)]
        assert len(payloads) == 1, payloads
        return payloads[0]

    async def closed(self) -> SocketClosedError:
        """Return how the server closed the socket, skipping what it sent before."""
        while True:
            try:
                await self.receive()
            except SocketClosedError as error:
                return error
