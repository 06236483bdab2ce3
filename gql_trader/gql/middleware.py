"""What every HTTP answer carries: the request's id and the security headers."""

import re

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gql_trader.core.ids import uuid7

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")

_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]

# For every answer that is no page of ours: if a browser shows it all the same, it does nothing.
_POLICY = (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
_TWO_YEARS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class RequestIdMiddleware:
    """Give every request an id: in its scope, its log records and its answer's X-Request-Id.

    A well-formed X-Request-Id that came with the request, from a proxy say, is kept.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _sent_id(scope) or str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


def _sent_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return None


class SecurityHeadersMiddleware:
    """Add the headers that keep a browser from guessing types, framing the page or leaking addresses.

    Parameters
    ----------
    transport_security
        Tell browsers to come back by HTTPS only; for servers that are reached by HTTPS.
    """

    def __init__(self, app: ASGIApp, *, transport_security: bool = False) -> None:
        self._app = app
        self._always = [*_SECURITY_HEADERS, *([_TWO_YEARS] if transport_security else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                own_policy = any(name.lower() == _POLICY[0] for name, _ in given)
                message["headers"] = [*given, *self._always, *([] if own_policy else [_POLICY])]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
