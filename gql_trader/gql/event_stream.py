"""GraphQL over server-sent events: one operation, one response that stays open.

The "distinct connections" mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, for
clients and proxies that do not speak WebSocket.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Send

from gql_trader.gql.api import Response
from gql_trader.gql.authentication import Credentials
from gql_trader.gql.revocation import RevocationWatch
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
class StreamCredentials:
    """The credentials that a stream was opened with.

    Attributes
    ----------
    first
        As they were judged then.
    judge
        Judges them anew.
    seconds
        How long they are good for; None: without end.
    watch
        Notices that they have ended before their time.
    refusal
        Returns the last response, given the reason why they are good no more.
    """

    first: Credentials
    judge: Callable[[], Awaitable[Credentials]]
    seconds: float | None
    watch: RevocationWatch
    refusal: Callable[[str], Response]


class EventStream:
    """The responses of an operation, to be sent as events until they or the credentials end."""

    def __init__(self, responses: AsyncGenerator[Response, None], credentials: StreamCredentials) -> None:
        self._responses = responses
        self._credentials = credentials
        self._revoked = asyncio.Event()

    @property
    def grant(self) -> Hashable | None:
        """What the credentials rest on."""
        return self._credentials.first.grant

    def refuse(self) -> None:
        """End the stream: its credentials are not good any more."""
        self._revoked.set()

    async def judge_again(self) -> None:
        """Judge the credentials anew, and end the stream if they are not the same any more."""
        if (await self._credentials.judge()).actor != self._credentials.first.actor:
            self.refuse()

    async def send(self, receive: Receive, send: Send) -> None:
        """Send the events until the stream ends or the client leaves; leave nothing running."""
        watch = self._credentials.watch
        if self._credentials.first.actor is not None:
            watch.add(self)
        try:
            await self._send(receive, send)
        finally:
            watch.remove(self)

    async def _send(self, receive: Receive, send: Send) -> None:
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
        watchers = [_until_disconnected(receive), _keep_alive(channel), self._end_when_revoked(channel)]
        if self._credentials.seconds is not None:
            watchers.append(self._expire(self._credentials.seconds, channel))
        return watchers

    async def _pump(self, channel: "_Channel") -> None:
        async with aclosing(self._responses):
            async for response in self._responses:
                await channel.write(_event("next", response.payload()))
                # A long replay whose events are all there already must not keep others from their turn.
                await asyncio.sleep(0)
        await channel.write(_event("complete"))

    async def _expire(self, seconds: float, channel: "_Channel") -> None:
        await asyncio.sleep(max(seconds, 0.0))
        await self._end(channel, "The access token has expired; log in again.")

    async def _end_when_revoked(self, channel: "_Channel") -> None:
        await self._revoked.wait()
        await self._end(channel, "The credentials were revoked; log in again.")

    async def _end(self, channel: "_Channel", reason: str) -> None:
        last = self._credentials.refusal(reason)
        await channel.write(_event("next", last.payload()) + _event("complete"))


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
