"""GraphQL over HTTP: one ASGI endpoint for GET and POST, answering with JSON or with an event stream."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gql_trader.core.ids import uuid7
from gql_trader.gql.access_log import access_record
from gql_trader.gql.api import GraphQLApi, Operation, Request, Response
from gql_trader.gql.authentication import Authenticate, Credentials
from gql_trader.gql.client import client_of
from gql_trader.gql.context import Context, Services
from gql_trader.gql.event_stream import EventStream, StreamCredentials
from gql_trader.gql.http_request import HttpRefusal, posted_request, requested_in_url
from gql_trader.gql.masking import internal_error, refusal
from gql_trader.gql.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, HTML, JSON, accepted_types
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.infra import json_codec


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A finished page and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    media_type: str
    body: bytes
    headers: dict[str, str]

    async def send(self, _receive: Receive, send: Send) -> None:
        headers = {
            "content-type": f"{self.media_type}; charset=utf-8",
            "content-length": str(len(self.body)),
            "cache-control": "no-store",
            **self.headers,
        }
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [
                    (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
                ],
            }
        )
        await send({"type": "http.response.body", "body": self.body})


class HttpEndpoint:
    """Answers GraphQL requests over HTTP.

    Parameters
    ----------
    services
        Returns the services of the running process.
    max_body_bytes
        Longest request body, and longest query string.
    page
        The HTML page for browsers that come without a query; None if there is none.
    revocations
        Ends the event streams whose credentials have ended.
    """

    def __init__(
        self,
        api: GraphQLApi,
        services: Callable[[], Services],
        authenticate: Authenticate,
        max_body_bytes: int = 1_048_576,
        page: HtmlPage | None = None,
        revocations: RevocationWatch | None = None,
    ) -> None:
        self._api = api
        self._services = services
        self._authenticate = authenticate
        self._max_body_bytes = max_body_bytes
        self._page = page
        self._revocations = revocations or RevocationWatch(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        request_id = request_id_of(scope)
        answer: _Answer | EventStream
        try:
            answer = await self._answer(scope, headers, receive, request_id)
        except HttpRefusal as refused:
            answer = _refuse(refused, headers.get("accept"), request_id)
        except Exception as error:
            answer = _json(500, JSON, {"errors": [internal_error(error, request_id)]})
        await answer.send(receive, send)

    async def _answer(
        self, scope: Scope, headers: Headers, receive: Receive, request_id: str
    ) -> _Answer | EventStream:
        accepted = accepted_types(headers.get("accept"))
        method = scope["method"]
        if method == "GET" and self._page is not None and accepted[:1] == (HTML,):
            return _Answer(200, HTML, self._page.body, self._page.headers)
        request = await self._request(method, scope, headers, receive)
        media_type = next((kind for kind in accepted if kind in (GRAPHQL_RESPONSE, JSON)), None)
        if media_type is None and EVENT_STREAM not in accepted:
            raise HttpRefusal(406, "NOT_ACCEPTABLE", f"Accept must admit {GRAPHQL_RESPONSE} or {JSON}.")
        services, client = self._services(), client_of(scope)
        operation = await self._api.admit(request, services, client, request_id) or self._api.prepare(
            request, request_id
        )
        record = access_record(scope)
        if isinstance(operation, Response):
            record.of_errors(operation.errors)
            # What accepts nothing but a stream has no older clients to be polite to.
            return _graphql(operation, media_type or GRAPHQL_RESPONSE)
        record.of_operation(operation)
        if method == "GET" and not (operation.is_query or operation.is_subscription):
            raise HttpRefusal(405, "METHOD_NOT_ALLOWED", "Mutations need POST.", {"allow": "POST"})
        if operation.is_subscription and EVENT_STREAM not in accepted:
            raise HttpRefusal(
                400,
                "SUBSCRIPTION_NEEDS_STREAM",
                "A subscription needs a stream: connect to this address by WebSocket, with the subprotocol "
                f"graphql-transport-ws, or accept {EVENT_STREAM}.",
            )
        credentials = await self._authenticate(services, headers.get("authorization"))
        record.of_actor(credentials.actor)
        context = Context(services, request_id, credentials.actor, credentials.problem, client)
        # A client may list the event stream among other types; only a subscription needs it then.
        if operation.is_subscription or media_type is None:
            return self._stream(operation, context, headers.get("authorization"), credentials)
        response = await self._api.execute(operation, context)
        record.of_errors(response.errors)
        return _graphql(response, media_type)

    async def _request(self, method: str, scope: Scope, headers: Headers, receive: Receive) -> Request:
        match method:
            case "POST":
                return await posted_request(headers, receive, self._max_body_bytes)
            case "GET":
                return requested_in_url(scope, self._max_body_bytes)
            case _:
                raise HttpRefusal(405, "METHOD_NOT_ALLOWED", "Use POST or GET.", {"allow": "GET, POST"})

    def _stream(
        self, operation: Operation, context: Context, authorization: str | None, credentials: Credentials
    ) -> EventStream:
        seconds = None
        if credentials.expires_at is not None:
            seconds = (credentials.expires_at - context.services.clock.now()).total_seconds()

        def judge() -> Awaitable[Credentials]:
            return self._authenticate(context.services, authorization)

        def refused(reason: str) -> Response:
            error = refusal(GraphQLError(reason), "UNAUTHENTICATED", context.request_id)
            return Response(errors=[error], executed=False)

        opened = StreamCredentials(credentials, judge, seconds, self._revocations, refused)
        return EventStream(self._api.respond(operation, context), opened)


def request_id_of(scope: Scope) -> str:
    """Return the request's id, which middleware left in the scope."""
    found = scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else str(uuid7())


def _graphql(response: Response, media_type: str) -> _Answer:
    # application/json is what older clients and proxies know: there a well-formed answer is a 200.
    refused = not response.executed and media_type == GRAPHQL_RESPONSE
    return _json(400 if refused else 200, media_type, response.payload())


def _refuse(refused: HttpRefusal, accept: str | None, request_id: str) -> _Answer:
    wanted = next((kind for kind in accepted_types(accept) if kind in (GRAPHQL_RESPONSE, JSON)), JSON)
    error = {"message": refused.message, "extensions": {"code": refused.code, "requestId": request_id}}
    return _json(refused.status, wanted, {"errors": [error]}, refused.headers)


def _json(
    status: int, media_type: str, payload: dict[str, Any], headers: dict[str, str] | None = None
) -> _Answer:
    waits = [
        error["extensions"]["retryAfterSeconds"]
        for error in payload.get("errors", ())
        if error["extensions"].get("retryAfterSeconds") is not None
    ]
    retry = {"retry-after": str(max(waits))} if waits else {}
    return _Answer(status, media_type, json_codec.dumps(payload), {**retry, **(headers or {})})
