"""GraphQL over HTTP: one ASGI endpoint for GET and POST."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gql_trader.core.ids import uuid7
from gql_trader.gql.access_log import access_record
from gql_trader.gql.api import GraphQLApi, MalformedRequestError, Operation, Request, Response, read_request
from gql_trader.gql.authentication import Authenticate
from gql_trader.gql.client import client_of
from gql_trader.gql.context import Context, Services
from gql_trader.gql.masking import internal_error
from gql_trader.gql.negotiation import GRAPHQL_RESPONSE, HTML, JSON, accepted_types, is_json_body
from gql_trader.infra import json_codec

# PostgreSQL stores no U+0000, and no text that people write has one.
_NUL = re.compile(rb"\\u(?:0000|\{0+\})|\x00")


class HttpRefusal(Exception):
    """The request is not one that GraphQL can answer.

    Parameters
    ----------
    status
        HTTP status of the answer.
    code
        ``extensions.code`` of its error.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    media_type: str
    body: bytes
    headers: dict[str, str]


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
    """

    def __init__(
        self,
        api: GraphQLApi,
        services: Callable[[], Services],
        authenticate: Authenticate,
        max_body_bytes: int = 1_048_576,
        page: "HtmlPage | None" = None,
    ) -> None:
        self._api = api
        self._services = services
        self._authenticate = authenticate
        self._max_body_bytes = max_body_bytes
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        request_id = request_id_of(scope)
        try:
            answer = await self._answer(scope, headers, receive, request_id)
        except HttpRefusal as refused:
            answer = _refuse(refused, headers.get("accept"), request_id)
        except Exception as error:
            answer = _json(500, JSON, {"errors": [internal_error(error, request_id)]})
        await _send(send, answer)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, request_id: str) -> _Answer:
        accepted = accepted_types(headers.get("accept"))
        method = scope["method"]
        if method == "POST":
            request = await self._posted(headers, receive)
        elif method == "GET":
            parameters = self._query_parameters(scope)
            if self._page is not None and HTML in accepted[:1]:
                return _Answer(200, f"{HTML}; charset=utf-8", self._page.body, self._page.headers)
            request = _request_in_url(parameters)
        else:
            raise HttpRefusal(405, "METHOD_NOT_ALLOWED", "Use POST or GET.", {"allow": "GET, POST"})
        media_type = next((kind for kind in accepted if kind in (GRAPHQL_RESPONSE, JSON)), None)
        if media_type is None:
            raise HttpRefusal(406, "NOT_ACCEPTABLE", f"Accept must admit {GRAPHQL_RESPONSE} or {JSON}.")
        operation = self._api.prepare(request, request_id)
        record = access_record(scope)
        if isinstance(operation, Response):
            record.of_errors(operation.errors)
            return _graphql(operation, media_type)
        record.of_operation(operation)
        if operation.is_subscription:
            raise HttpRefusal(
                400,
                "SUBSCRIPTION_NEEDS_STREAM",
                "A subscription needs a stream: connect to this address by WebSocket, with the subprotocol "
                "graphql-transport-ws.",
            )
        if method == "GET" and not operation.is_query:
            raise HttpRefusal(405, "METHOD_NOT_ALLOWED", "Mutations need POST.", {"allow": "POST"})
        return _graphql(await self._execute(operation, scope, headers, request_id), media_type)

    async def _execute(
        self, operation: Operation, scope: Scope, headers: Headers, request_id: str
    ) -> Response:
        services = self._services()
        credentials = await self._authenticate(services, headers.get("authorization"))
        record = access_record(scope)
        record.of_actor(credentials.actor)
        context = Context(services, request_id, credentials.actor, credentials.problem, client_of(scope))
        response = await self._api.execute(operation, context)
        record.of_errors(response.errors)
        return response

    async def _posted(self, headers: Headers, receive: Receive) -> Request:
        if not is_json_body(headers.get("content-type", "")):
            raise HttpRefusal(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {JSON}, in UTF-8.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise HttpRefusal(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding is not supported.")
        body = await self._body(headers, receive)
        if _NUL.search(body):
            raise HttpRefusal(400, "BAD_REQUEST", "The character U+0000 is not allowed.")
        try:
            return read_request(json_codec.loads(body))
        except ValueError as error:
            raise HttpRefusal(400, "BAD_REQUEST", "The body is not JSON in UTF-8.") from error
        except MalformedRequestError as error:
            raise HttpRefusal(400, "BAD_REQUEST", str(error)) from error

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        too_large = HttpRefusal(
            413,
            "BODY_TOO_LARGE",
            f"The body may have {self._max_body_bytes} bytes at most.",
            {"connection": "close"},
        )
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self._max_body_bytes:
            raise too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HttpRefusal(400, "BAD_REQUEST", "The client went away before the request was complete.")
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)

    def _query_parameters(self, scope: Scope) -> dict[str, str]:
        text: bytes = scope["query_string"]
        if len(text) > self._max_body_bytes:
            raise HttpRefusal(414, "URI_TOO_LONG", "The query string is too long; use POST.")
        try:
            pairs = parse_qsl(
                text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
            )
        except ValueError as error:
            raise HttpRefusal(400, "BAD_REQUEST", "The query string is malformed.") from error
        return dict(pairs)


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A finished page and the headers that go with it."""

    body: bytes
    headers: dict[str, str]


def request_id_of(scope: Scope) -> str:
    """Return the request's id, which middleware left in the scope."""
    found = scope.get("state", {}).get("request_id")
    return found if isinstance(found, str) else str(uuid7())


def _request_in_url(parameters: dict[str, str]) -> Request:
    value: dict[str, Any] = dict(parameters)
    for key in ("variables", "extensions"):
        if parameters.get(key):
            try:
                value[key] = json_codec.loads(parameters[key])
            except ValueError as error:
                raise HttpRefusal(400, "BAD_REQUEST", f"{key} is not JSON.") from error
        else:
            value.pop(key, None)
    if not value.get("operationName"):
        value.pop("operationName", None)
    if any(_NUL.search(each.encode()) for each in parameters.values()):
        raise HttpRefusal(400, "BAD_REQUEST", "The character U+0000 is not allowed.")
    try:
        return read_request(value)
    except MalformedRequestError as error:
        raise HttpRefusal(400, "BAD_REQUEST", str(error)) from error


def _graphql(response: Response, media_type: str) -> _Answer:
    # application/json is what older clients and proxies know: there a well-formed answer is a 200.
    refused = not response.executed and media_type == GRAPHQL_RESPONSE
    return _json(400 if refused else 200, media_type, response.payload())


def _refuse(refused: HttpRefusal, accept: str | None, request_id: str) -> _Answer:
    wanted = next((kind for kind in accepted_types(accept) if kind in (GRAPHQL_RESPONSE, JSON)), JSON)
    error = {"message": refused.message, "extensions": {"code": refused.code, "requestId": request_id}}
    answer = _json(refused.status, wanted, {"errors": [error]})
    return _Answer(answer.status, answer.media_type, answer.body, {**answer.headers, **refused.headers})


def _json(status: int, media_type: str, payload: dict[str, Any]) -> _Answer:
    headers = {}
    waits = [
        error["extensions"]["retryAfterSeconds"]
        for error in payload.get("errors", ())
        if error["extensions"].get("retryAfterSeconds") is not None
    ]
    if waits:
        headers["retry-after"] = str(max(waits))
    return _Answer(status, f"{media_type}; charset=utf-8", json_codec.dumps(payload), headers)


async def _send(send: Send, answer: _Answer) -> None:
    headers = {
        "content-type": answer.media_type,
        "content-length": str(len(answer.body)),
        "cache-control": "no-store",
        **answer.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
