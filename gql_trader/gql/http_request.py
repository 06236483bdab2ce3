"""Reading GraphQL requests out of HTTP's, and refusing what is not one."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from gql_trader.gql import nul
from gql_trader.gql.api import MalformedRequestError, Request, read_request
from gql_trader.gql.negotiation import JSON, is_json_body

_BODY_SECONDS = 15.0


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


async def posted_request(headers: Headers, receive: Receive, maximum: int) -> Request:
    """Return the request in the body of a POST; `maximum` is the longest body, in bytes.

    Raises
    ------
    HttpRefusal
        400, 408, 413 or 415.
    """
    if not is_json_body(headers.get("content-type", "")):
        raise HttpRefusal(415, "UNSUPPORTED_MEDIA_TYPE", f"Content-Type must be {JSON}, in UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefusal(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Encoding is not supported.")
    body = await read_body(headers, receive, maximum)
    try:
        return read_request(nul.loads(body))
    except ValueError as error:
        raise _bad("The body is not JSON in UTF-8.") from error
    except (MalformedRequestError, nul.NulError) as error:
        raise _bad(str(error)) from error


async def read_body(headers: Headers, receive: Receive, maximum: int) -> bytes:
    """Return the body of a request; `maximum` is its longest, in bytes.

    Raises
    ------
    HttpRefusal
        400 if the client went away, 408 if it takes too long, 413.
    """
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await _body(headers, receive, maximum)
    except TimeoutError as error:
        closing = {"connection": "close"}
        raise HttpRefusal(408, "REQUEST_TIMEOUT", "The body did not arrive in time.", closing) from error


async def _body(headers: Headers, receive: Receive, maximum: int) -> bytes:
    too_large = HttpRefusal(
        413, "BODY_TOO_LARGE", f"The body may have {maximum} bytes at most.", {"connection": "close"}
    )
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > maximum:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _bad("The client went away before the request was complete.")
        body += message.get("body", b"")
        if len(body) > maximum:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def requested_in_url(scope: Scope, maximum: int) -> Request:
    """Return the request in the query string of a GET; `maximum` is its longest length, in bytes.

    Raises
    ------
    HttpRefusal
        400 or 414.
    """
    text: bytes = scope["query_string"]
    if len(text) > maximum:
        raise HttpRefusal(414, "URI_TOO_LONG", "The query string is too long; use POST.")
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise _bad("The query string is malformed.") from error
    # A parameter that is empty is as good as absent.
    parameters = {name: value for name, value in pairs if value}
    if any("\0" in value for value in parameters.values()):
        raise _bad(nul.REFUSAL)
    request: dict[str, Any] = dict(parameters)
    for key in ("variables", "extensions"):
        if key in parameters:
            try:
                request[key] = nul.loads(parameters[key])
            except ValueError as error:
                raise _bad(f"{key} is not JSON.") from error
            except nul.NulError as error:
                raise _bad(str(error)) from error
    try:
        return read_request(request)
    except MalformedRequestError as error:
        raise _bad(str(error)) from error


def _bad(message: str) -> HttpRefusal:
    return HttpRefusal(400, "BAD_REQUEST", message)
