"""Logins of browsers by cookie, for pages of this server, and what keeps other sites from using them.

A cookie counts only if the browser shows that a page of this server asked: it is SameSite=Strict, an
Origin that came along has to be this server's, and HTTP requests need a header that no other page can
send, since browsers ask first (CORS), and only for headers that this server allows. Programs never need
a cookie.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.api import Request as GraphQLRequest
from gql_trader.gql.api import Response as GraphQLResponse
from gql_trader.gql.client import client_of
from gql_trader.gql.context import Context, Services
from gql_trader.gql.http import request_id_of
from gql_trader.gql.http_request import HttpRefusal, read_body
from gql_trader.gql.negotiation import is_json_body
from gql_trader.gql.origins import is_own_origin
from gql_trader.infra import json_codec

CSRF_HEADER = "x-csrf-protection"
"""Has to come, with any value, along with a cookie that is to count."""
SESSION_SCHEME = "Session"

_LONGEST_BODY = 16_384
_LONGEST_COOKIE = 200
# Browsers keep no cookie longer; when the login ends is for the server to say.
_REMEMBERED_SECONDS = 400 * 86_400
_FIELDS = {"login": str, "password": str, "rememberMe": bool, "totpCode": str}
_LOGIN = """mutation BrowserLogin($input: LoginInput!) {
  login(input: $input) { refreshToken user { id username role } errors { code message path } }
}"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BrowserCookie:
    """The cookie and who may use it.

    Attributes
    ----------
    secure
        Whether browsers send it over HTTPS only; everywhere but on one's own machine.
    """

    secure: bool

    @property
    def name(self) -> str:
        """Its name; by the prefix, browsers make sure that this very host has set it, over HTTPS."""
        return "__Host-gql_trader_session" if self.secure else "gql_trader_session"

    def read(self, headers: Headers) -> str | None:
        """Return what the cookie of a request says; None if there is none."""
        for line in headers.getlist("cookie"):
            if self.name not in line:
                continue
            try:
                morsel = SimpleCookie(line).get(self.name)
            except CookieError:
                continue
            if morsel is not None and 0 < len(morsel.value) <= _LONGEST_COOKIE and morsel.value.isascii():
                return morsel.value
        return None

    def put(self, response: Response, value: str, *, remembered: bool) -> None:
        """Set the cookie, until the browser is closed or for as long as browsers keep any."""
        response.set_cookie(
            self.name,
            value,
            max_age=_REMEMBERED_SECONDS if remembered else None,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

    def remove(self, response: Response) -> None:
        """Have the browser forget the cookie."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="strict")

    def is_foreign(self, headers: Headers) -> bool:
        """Return whether a browser says that a page of another origin sends this."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        return (origin is not None and not self.is_own(headers)) or site in ("cross-site", "same-site")

    def is_own(self, headers: Headers) -> bool:
        """Return whether a browser says that a page of this server sends this."""
        schemes = ("https",) if self.secure else ("https", "http")
        return is_own_origin(headers.get("origin", ""), headers.get("host"), schemes)


class BrowserSessionMiddleware:
    """Let a browser's cookie stand for an Authorization header, where no other site can be behind it.

    An Authorization header that came along goes before the cookie. An HTTP request of another origin that
    has the cookie is refused. What lacks the proof otherwise is answered as if it had no cookie, as is a
    WebSocket of another origin: such as an address that somebody opens, or a page that needs no login.
    """

    def __init__(self, app: ASGIApp, cookie: BrowserCookie) -> None:
        self._app = app
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if "cookie" in headers and "authorization" not in headers:
                token = self._cookie.read(headers)
                if token is not None and scope["type"] == "http" and self._cookie.is_foreign(headers):
                    await _cross_site(request_id_of(scope))(scope, receive, send)
                    return
                if token is not None and self._proves(scope, headers):
                    named = (b"authorization", f"{SESSION_SCHEME} {token}".encode())
                    scope = {**scope, "headers": [*scope["headers"], named]}
        await self._app(scope, receive, send)

    def _proves(self, scope: Scope, headers: Headers) -> bool:
        if scope["type"] == "websocket":
            # Browsers send an Origin with every WebSocket, and pages cannot add a header.
            return self._cookie.is_own(headers)
        return CSRF_HEADER in headers


Adopt = Callable[[Services, str], Awaitable[str]]
"""Turns the login that a refresh token belongs to into a browser's; returns what the cookie has to say."""
End = Callable[[Services, str], Awaitable[None]]
"""Ends the login that a cookie stands for."""


class BrowserSessionEndpoint:
    """POST logs a browser in, DELETE logs it out.

    To log in is to run the mutation `login`, with all its limits and checks; its tokens stay here.
    """

    def __init__(
        self,
        api: GraphQLApi,
        services: Callable[[], Services],
        cookie: BrowserCookie,
        adopt: Adopt,
        end: End,
    ) -> None:
        self._api = api
        self._services = services
        self._cookie = cookie
        self._adopt = adopt
        self._end = end

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        request_id = request_id_of(request.scope)
        if CSRF_HEADER not in request.headers or self._cookie.is_foreign(request.headers):
            return _cross_site(request_id)
        if request.method == "DELETE":
            return await self._log_out(request)
        return await self._log_in(request, request_id)

    async def _log_out(self, request: Request) -> Response:
        token = self._cookie.read(request.headers)
        if token is not None:
            await self._end(self._services(), token)
        response = Response(status_code=204)
        self._cookie.remove(response)
        return response

    async def _log_in(self, request: Request, request_id: str) -> Response:
        if not is_json_body(request.headers.get("content-type", "")):
            message = "Content-Type must be application/json."
            return _refusal(415, "UNSUPPORTED_MEDIA_TYPE", message, request_id)
        try:
            given = await _credentials(request)
        except HttpRefusal as refused:
            return _refusal(refused.status, refused.code, refused.message, request_id, refused.headers)
        if given is None:
            message = f"Send a JSON object with login and password, and no more than {', '.join(_FIELDS)}."
            return _refusal(400, "BAD_REQUEST", message, request_id)
        services = self._services()
        operation = self._api.prepare(GraphQLRequest(_LOGIN, variables={"input": given}), request_id)
        if isinstance(operation, GraphQLResponse):
            return JSONResponse({"errors": operation.errors}, 400)
        context = Context(services, request_id, client=client_of(request.scope))
        result = await self._api.execute(operation, context)
        if result.errors or result.data is None:
            return _failed(result)
        payload = result.data["login"]
        if payload["errors"]:
            return JSONResponse({"errors": payload["errors"]}, 401)
        token = await self._adopt(services, payload["refreshToken"])
        response = JSONResponse({"user": payload["user"]})
        response.headers["cache-control"] = "no-store"
        self._cookie.put(response, token, remembered=given.get("rememberMe", False) is True)
        return response


async def _credentials(request: Request) -> dict[str, str | bool] | None:
    """Return what was sent for logging in; None if it is malformed."""
    body = await read_body(request.headers, request.receive, _LONGEST_BODY)
    try:
        given = json_codec.loads(body)
    except ValueError:
        return None
    if not isinstance(given, dict) or not {"login", "password"} <= given.keys() <= _FIELDS.keys():
        return None
    return given if all(isinstance(value, _FIELDS[name]) for name, value in given.items()) else None


def _failed(result: GraphQLResponse) -> Response:
    waits = [error["extensions"].get("retryAfterSeconds") for error in result.errors]
    longest = max((wait for wait in waits if wait is not None), default=None)
    if longest is None:
        internal = any(error["extensions"].get("code") == "INTERNAL" for error in result.errors)
        return JSONResponse({"errors": result.errors}, 500 if internal else 400)
    return JSONResponse({"errors": result.errors}, 429, {"retry-after": str(longest)})


def _cross_site(request_id: str) -> Response:
    _log.warning("cross_site_cookie_refused")
    message = f"A cookie counts for pages of this server only, with the header {CSRF_HEADER}."
    return _refusal(403, "CROSS_SITE_REQUEST", message, request_id)


def _refusal(
    status: int, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
) -> Response:
    error = {"message": message, "extensions": {"code": code, "requestId": request_id}}
    return JSONResponse({"errors": [error]}, status, headers)
