"""GraphQL over server-sent events: one operation, one response that stays open.

The "distinct connections" mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, for
clients and proxies that do not speak WebSocket.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Send

from gql_trader.gql.api import Response
from gql_trader.infra import json_codec

_KEEP_ALIVE_SECONDS = 15.0
_SEND_SECONDS = 10.0

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # Proxies that collect a response before they pass it on would hold the events back.
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True)
class EventStream:
    """The responses of an operation, to be sent as events until they or the credentials end.

    Attributes
    ----------
    seconds
        How long the credentials are good for; None: without end.
    expired
        Sent as the last response when they end.
    """

    responses: AsyncGenerator[Response, None]
    seconds: float | None
    expired: Response

    async def send(self, receive: Receive, send: Send) -> None:
        """Send the events until the stream ends or the client leaves; leave nothing running."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        channel = _Channel(send)
        pump = asyncio.create_task(self._pump(channel))
        tasks = [pump, *(asyncio.create_task(work) for work in self._watchers(receive, channel))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError | TimeoutError):
                raise outcome
        await channel.end()

    def _watchers(self, receive: Receive, channel: "_Channel") -> list[Coroutine[Any, Any, None]]:
        watchers = [_until_disconnected(receive), _keep_alive(channel)]
        if self.seconds is not None:
            watchers.append(self._expire(self.seconds, channel))
        return watchers

    async def _pump(self, channel: "_Channel") -> None:
        async with aclosing(self.responses):
            async for response in self.responses:
                await channel.write(_event("next", response.payload()))
                # A long replay whose events are all there already must not keep others from their turn.
                await asyncio.sleep(0)
        await channel.write(_event("complete"))

    async def _expire(self, seconds: float, channel: "_Channel") -> None:
        await asyncio.sleep(max(seconds, 0.0))
        await channel.write(_event("next", self.expired.payload()) + _event("complete"))


class _Channel:
    """Writes one piece at a time, and not for ever to a client that does not read."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._writing = asyncio.Lock()

    async def write(self, data: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(_SEND_SECONDS), self._writing:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def end(self) -> None:
        try:
            await self.write(b"", more=False)
        except (OSError, TimeoutError):
            # The client is gone or does not read: the server drops the connection when this returns.
            return


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _keep_alive(channel: _Channel) -> None:
    while True:
        await asyncio.sleep(_KEEP_ALIVE_SECONDS)
        await channel.write(b":\n\n")


def _event(kind: str, payload: dict[str, Any] | None = None) -> bytes:
    # Frames end in LF: clients exist that do not find the end of one in CRLF.
    data = json_codec.dumps(payload) if payload is not None else b""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
