"""A small HTTP server that keeps what it is sent and answers as it is told, well or badly."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Received:
    """A request; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """How a request is answered; None as the status: not at all, until the client goes away."""

    status: int | None = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class HttpReceiver:
    """Speaks HTTP/1.1, a request a connection.

    Attributes
    ----------
    requests
        What has come, in order.
    replies
        How the next requests are answered; then ``reply`` is.
    answer
        Makes the reply from the request, if it is set.
    """

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Received] = []
        self.replies: list[Reply] = []
        self.reply = Reply()
        self.answer: Callable[[Received], Reply] | None = None
        self._arrived = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def arrived(self, count: int = 1) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(60):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:])
                if name
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            received = Received(method, path, headers, body)
            self.requests.append(received)
            self._arrived.set()
            reply = self._reply_to(received)
            if reply.status is None:
                await reader.read()
                return
            content = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
            sent = [f"HTTP/1.1 {reply.status} X", f"content-length: {len(content)}", "connection: close"]
            sent += [f"{name}: {value}" for name, value in reply.headers]
            writer.write("\r\n".join([*sent, "", ""]).encode("latin-1") + content)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client has gone away.
            return
        finally:
            writer.close()

    def _reply_to(self, received: Received) -> Reply:
        if self.replies:
            return self.replies.pop(0)
        return self.answer(received) if self.answer else self.reply


@asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    """Run a receiver on a free port."""
    receiver = HttpReceiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
