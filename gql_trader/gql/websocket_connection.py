"""One socket of GraphQL over WebSocket: what it is told, what it answers, and how it ends."""

import asyncio
from collections.abc import Callable, Hashable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from starlette.types import Receive, Send

from gql_trader.core.actor import Actor
from gql_trader.core.ids import uuid7
from gql_trader.gql.access_log import AccessRecord
from gql_trader.gql.api import GraphQLApi, Operation, Request, Response
from gql_trader.gql.authentication import Authenticate
from gql_trader.gql.client import Client
from gql_trader.gql.context import Context, Services
from gql_trader.gql.masking import internal_error
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.gql.scalars import format_datetime
from gql_trader.gql.websocket_messages import (
    CloseCode,
    Complete,
    ConnectionInit,
    Ping,
    ProtocolError,
    Subscribe,
    read_message,
    write_message,
)

_log = structlog.get_logger(__name__)

_CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Bounds on one socket.

    Attributes
    ----------
    init_seconds
        How long the client may wait with connection_init.
    ping_seconds
        How often the server asks whether the client is there; a client that has not sent anything
        for as long again is dropped.
    send_seconds
        How long one message may wait for a client that does not read.
    maximum_operations
        Operations at a time.
    maximum_message
        Characters of one message.
    maximum_sockets
        Sockets that one network may have open at this process; None: any number.
    """

    init_seconds: float = 10.0
    ping_seconds: float = 20.0
    send_seconds: float = 10.0
    maximum_operations: int = 100
    maximum_message: int = 1_048_576
    maximum_sockets: int | None = None


class Socket:
    """One socket. Its tasks (reader, watchdog, operations) end it by calling `_end`; `serve` cleans up."""

    def __init__(
        self,
        api: GraphQLApi,
        services: Services,
        authenticate: Authenticate,
        options: SocketOptions,
        revocations: RevocationWatch,
        receive: Receive,
        send: Send,
        client: Client,
        authorization: str | None,
        abort: Callable[[], None] | None,
    ) -> None:
        self._api = api
        self._services = services
        self._authenticate = authenticate
        self._options = options
        self._revocations = revocations
        self._receive = receive
        self._transmit = send
        self._client = client
        self._abort = abort
        # Clients that can set headers may authenticate by the handshake's instead of the payload.
        self._authorization = authorization
        self._initialised = asyncio.Event()
        self._received = 0
        self._sending = asyncio.Lock()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[ProtocolError | None] = asyncio.get_running_loop().create_future()
        self._expiry: asyncio.TimerHandle | None = None
        self._actor: Actor | None = None
        self.grant: Hashable | None = None

    async def serve(self) -> None:
        """Serve until the client leaves or the socket has to be closed; leave nothing running."""
        self._spawn(self._read())
        self._spawn(self._watch())
        try:
            reason = await self._ended
        finally:
            self._revocations.remove(self)
            if self._expiry is not None:
                self._expiry.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if reason is None:
            return
        if reason.code is CloseCode.TOO_SLOW and self._abort is not None:
            # What waits for this client would keep an orderly close waiting too.
            self._abort()
        else:
            await close(self._transmit, reason.code, reason.reason)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ProtocolError):
            self._end(error)
        elif error is not None:
            _log.error("socket_failed", exc_info=error)
            self._end(ProtocolError(CloseCode.INTERNAL, "Internal error"))

    def _end(self, reason: ProtocolError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    # ---- reading ----

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._end(None)
                return
            text = message.get("text")
            if text is None:
                raise ProtocolError(CloseCode.BAD_REQUEST, "Binary frames are not part of the protocol.")
            if len(text) > self._options.maximum_message:
                raise ProtocolError(CloseCode.TOO_BIG, "Message too big")
            self._received += 1
            await self._handle(text)

    async def _handle(self, text: str) -> None:
        match read_message(text):
            case ConnectionInit(authorization):
                await self._initialise(authorization)
            case Ping():
                await self._send("pong")
            case Subscribe(identifier, request):
                await self._subscribe(identifier, request)
            case Complete(identifier):
                # Unknown ids are no error: the operation may have ended while the message was on its way.
                task = self._operations.pop(identifier, None)
                if task is not None:
                    task.cancel()
            case _:
                pass

    async def _initialise(self, authorization: str | None) -> None:
        if self._initialised.is_set():
            raise ProtocolError(CloseCode.TOO_MANY_INITIALISATIONS, "Too many initialisation requests")
        if authorization is not None:
            self._authorization = authorization
        credentials = await self._authenticate(self._services, self._authorization)
        if credentials.problem is not None:
            raise ProtocolError(CloseCode.FORBIDDEN, credentials.problem)
        self._initialised.set()
        if credentials.actor is not None:
            self._actor, self.grant = credentials.actor, credentials.grant
            self._revocations.add(self)
        expires_at = credentials.expires_at
        if expires_at is not None:
            self._close_at(expires_at)
        await self._send(
            "connection_ack", payload={"expiresAt": format_datetime(expires_at) if expires_at else None}
        )

    def refuse(self) -> None:
        """Close the socket: its credentials are not good any more."""
        self._end(ProtocolError(CloseCode.FORBIDDEN, "The credentials were revoked; log in again."))

    async def judge_again(self) -> None:
        """Judge the credentials anew, and close the socket if they are not good any more."""
        # A user with another role is another one: what was begun with the old rights must end.
        if (await self._authenticate(self._services, self._authorization)).actor != self._actor:
            self.refuse()

    def _close_at(self, moment: datetime) -> None:
        seconds = (moment - self._services.clock.now()).total_seconds()
        expired = ProtocolError(CloseCode.FORBIDDEN, "The access token has expired; log in again.")
        self._expiry = asyncio.get_running_loop().call_later(max(seconds, 0), self._end, expired)

    async def _subscribe(self, identifier: str, request: Request) -> None:
        if not self._initialised.is_set():
            raise ProtocolError(CloseCode.UNAUTHORIZED, "Unauthorized: send connection_init first")
        if identifier in self._operations:
            raise ProtocolError(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {identifier} already exists")
        if len(self._operations) >= self._options.maximum_operations:
            error = {
                "message": f"A socket may have {self._options.maximum_operations} operations at a time.",
                "extensions": {"code": "TOO_MANY_OPERATIONS", "requestId": str(uuid7())},
            }
            await self._send("error", identifier, [error])
            return
        self._operations[identifier] = self._spawn(self._operate(identifier, request))

    # ---- operations ----

    async def _operate(self, identifier: str, request: Request) -> None:
        request_id = str(uuid7())
        structlog.contextvars.bind_contextvars(request_id=request_id)
        refused: list[dict[str, Any]] | None
        record = AccessRecord()
        status = "stopped"
        try:
            operation = await self._api.admit(
                request, self._services, self._client, request_id
            ) or self._api.prepare(request, request_id)
            if isinstance(operation, Response):
                refused = operation.errors
                record.of_errors(refused)
            else:
                record.of_operation(operation)
                refused = await self._respond(identifier, operation, request_id, record)
            status = "complete" if refused is None else "error"
        except ProtocolError:
            status = "closed"
            raise
        except Exception as error:
            refused = [internal_error(error, request_id)]
            status = "error"
            record.of_errors(refused)
        finally:
            record.write("operation", status)
        # The id is free before the client learns that the operation is over, so that it may use it again.
        if self._operations.pop(identifier, None) is not None:
            if refused is None:
                await self._send("complete", identifier)
            else:
                await self._send("error", identifier, refused)

    async def _respond(
        self, identifier: str, operation: Operation, request_id: str, record: AccessRecord
    ) -> list[dict[str, Any]] | None:
        """Send each result; return the errors if the operation was refused before it began."""
        # Asked anew for each operation: the user may have been disabled since the socket was opened.
        credentials = await self._authenticate(self._services, self._authorization)
        if credentials.problem is not None:
            raise ProtocolError(CloseCode.FORBIDDEN, credentials.problem)
        record.of_actor(credentials.actor)
        context = Context(self._services, request_id, credentials.actor, client=self._client)
        async with aclosing(self._api.respond(operation, context)) as responses:
            async for response in responses:
                record.of_errors(response.errors)
                if not response.executed:
                    return response.errors
                await self._send("next", identifier, response.payload())
                # A long replay whose events are all there already must not keep others from their turn.
                await asyncio.sleep(0)
        return None

    # ---- sending and watching ----

    async def _send(self, kind: str, identifier: str | None = None, payload: Any = None) -> None:
        text = write_message(kind, identifier, payload)
        try:
            # The server's send waits while the client does not read, and an operation takes its next
            # event only after its last one is sent: nothing piles up here.
            async with asyncio.timeout(self._options.send_seconds), self._sending:
                await self._transmit({"type": "websocket.send", "text": text})
        except TimeoutError as error:
            raise ProtocolError(CloseCode.TOO_SLOW, "The client reads too slowly.") from error
        except OSError:
            # The connection broke; the reader learns of it too, and that is not worth a log entry.
            self._end(None)

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(self._options.init_seconds):
                await self._initialised.wait()
        except TimeoutError as error:
            raise ProtocolError(
                CloseCode.INITIALISATION_TIMEOUT, "Connection initialisation timeout"
            ) from error
        while True:
            received = self._received
            await asyncio.sleep(self._options.ping_seconds)
            if self._received != received:
                continue
            await self._send("ping")
            await asyncio.sleep(self._options.ping_seconds)
            if self._received == received:
                raise ProtocolError(CloseCode.SHUTTING_DOWN, "No answer to ping")


async def close(send: Send, code: CloseCode, reason: str) -> None:
    """Close a socket, with as much of the reason as fits."""
    # A reason has 123 bytes at most, by RFC 6455. The client may be gone already, or not reading.
    cut = reason.encode()[:123].decode(errors="ignore")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await send({"type": "websocket.close", "code": int(code), "reason": cut})
