"""The web application: routes, lifespan, middleware."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from gql_trader.accounts import browser_sessions, external_identity, sessions, webhooks
from gql_trader.accounts import service as accounts
from gql_trader.accounts.api_tokens import is_api_token
from gql_trader.accounts.types import Authenticated, Grant
from gql_trader.backtests.schema_exports import EXPORT_ROUTE, find_export
from gql_trader.bots.schema_exports import TRADES_ROUTE, find_trades
from gql_trader.config import Settings
from gql_trader.gql.access_log import AccessLogMiddleware
from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.authentication import Credentials
from gql_trader.gql.browser_session import (
    SESSION_SCHEME,
    BrowserCookie,
    BrowserSessionEndpoint,
    BrowserSessionMiddleware,
)
from gql_trader.gql.client import ClientMiddleware
from gql_trader.gql.context import Services
from gql_trader.gql.downloads import download_endpoint
from gql_trader.gql.graphiql import graphiql_page, static_files
from gql_trader.gql.http import HtmlPage, HttpEndpoint
from gql_trader.gql.limits import Limits
from gql_trader.gql.middleware import RequestIdMiddleware, SecurityHeadersMiddleware
from gql_trader.gql.page import PAGE_FILES, live_page, page_files
from gql_trader.gql.reset_password import reset_password_page
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.gql.webhook import webhook_endpoint
from gql_trader.gql.websocket import WebSocketEndpoint
from gql_trader.gql.websocket_connection import SocketOptions
from gql_trader.infra.collector import tune_collector
from gql_trader.infra.webhook_signatures import WebhookSignatures
from gql_trader.market_data.schema_exports import CANDLES_ROUTE, find_candles
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.schema import create_schema

_READY_SECONDS = 3.0

_DOWNLOADS = {EXPORT_ROUTE: find_export, CANDLES_ROUTE: find_candles, TRADES_ROUTE: find_trades}

_log = structlog.get_logger(__name__)


class _Process:
    """The runtime of this process, once it is open."""

    def __init__(self, runtime: Runtime | None) -> None:
        self.runtime = runtime

    def services(self) -> Runtime:
        if self.runtime is None:
            raise RuntimeError("the application has not started")
        return self.runtime


def create_app(settings: Settings, runtime: Runtime | None = None) -> Starlette:
    """Return the application.

    Parameters
    ----------
    runtime
        An open runtime to use, which its owner closes; None: the application opens its own when it
        starts and closes it when it stops.
    """
    process = _Process(runtime)
    api = GraphQLApi(
        create_schema(),
        Limits(
            depth=settings.max_query_depth,
            aliases=settings.max_query_aliases,
            tokens=settings.max_query_tokens,
        ),
        introspection=settings.allows_introspection,
        suggestions=settings.allows_introspection,
        timeout=settings.request_timeout_seconds,
        max_cost=settings.max_query_cost,
    )

    revocations = RevocationWatch(process.services, _ended_grants)
    cookie = BrowserCookie(secure=not settings.is_local)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if process.runtime is not None:
            yield
            return
        async with open_runtime(settings) as opened:
            process.runtime = opened
            tune_collector()
            try:
                yield
            finally:
                process.runtime = None

    async def ready(_request: Request) -> Response:
        return await _readiness(process.services())

    app = Starlette(
        routes=[
            Route("/", _page(live_page()) if settings.page else _to_graphql),
            Route(
                "/graphql",
                HttpEndpoint(
                    api,
                    process.services,
                    _authenticate,
                    settings.max_body_bytes,
                    graphiql_page() if settings.serves_graphiql else None,
                    revocations,
                ),
                methods=None,
            ),
            WebSocketRoute(
                "/graphql",
                WebSocketEndpoint(
                    api,
                    process.services,
                    _authenticate,
                    settings.allowed_origins,
                    SocketOptions(
                        maximum_operations=settings.max_operations_per_socket,
                        maximum_message=settings.max_body_bytes,
                        maximum_sockets=settings.sockets_per_network,
                    ),
                    revocations,
                ),
            ),
            *(
                []
                if settings.password_reset_url
                else [Route("/reset-password", _page(reset_password_page()))]
            ),
            Route("/healthz", _health),
            *(
                Route(route, download_endpoint(process.services, find), methods=["GET"])
                for route, find in _DOWNLOADS.items()
            ),
            *_webhooks(settings, process.services),
            Route("/session", _browser_sessions(api, process.services, cookie), methods=["POST", "DELETE"]),
            Route("/readyz", ready),
            *([Mount(PAGE_FILES, page_files())] if settings.page else []),
            *([Mount("/static", static_files())] if settings.serves_graphiql else []),
        ],
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(ClientMiddleware, trusted_proxies=settings.trusted_proxies),
            Middleware(AccessLogMiddleware),
            Middleware(SecurityHeadersMiddleware, transport_security=not settings.is_local),
            *_cors(settings),
            Middleware(BrowserSessionMiddleware, cookie=cookie),
        ],
        lifespan=lifespan,
    )
    # The address that a redirection would name is whatever the client has written in Host.
    app.router.redirect_slashes = False
    return app


def _cors(settings: Settings) -> list[Middleware]:
    if not settings.allowed_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
            max_age=3600,
        )
    ]


def _browser_sessions(
    api: GraphQLApi, services: Callable[[], Services], cookie: BrowserCookie
) -> Callable[[Request], Awaitable[Response]]:
    async def adopt(running: Services, refresh_token: str) -> str:
        async with running.unit_of_work() as uow:
            return await browser_sessions.adopt(uow, refresh_token)

    async def end(running: Services, token: str) -> None:
        async with running.unit_of_work() as uow:
            await browser_sessions.end(uow, token)

    return BrowserSessionEndpoint(api, services, cookie, adopt, end).answer


def _webhooks(settings: Settings, services: Callable[[], Services]) -> list[Route]:
    secret, issuer = settings.auth_webhook_secret.get_secret_value(), settings.auth_issuer
    if not secret or not issuer:
        return []

    async def receive(running: Services, message_id: str, body: bytes) -> None:
        async with running.unit_of_work() as uow:
            approval = settings.signup_approval
            await webhooks.receive(uow, issuer, approval, message_id, body)

    endpoint = webhook_endpoint(services, WebhookSignatures(secret), receive)
    return [Route("/webhooks/identity", endpoint, methods=["POST"])]


async def _authenticate(services: Services, header: str | None) -> Credentials:
    if header is None:
        return Authenticated()
    found = await _judge(services, header)
    if found.problem is not None:
        _log.warning("credentials_refused", kind=_kind(services, header), reason=found.problem)
    return found


def _kind(services: Services, header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme == SESSION_SCHEME:
        return "browser_session"
    if is_api_token(token):
        return "api_token"
    if services.identity is not None and services.identity.is_issuer_of(token):
        return "identity_token"
    return "access_token"


async def _judge(services: Services, header: str) -> Authenticated:
    scheme, _, token = header.partition(" ")
    async with services.unit_of_work() as uow:
        if scheme == SESSION_SCHEME:
            return await browser_sessions.authenticate(uow, token)
        if services.identity is not None:
            approval = services.settings.signup_approval
            external = await external_identity.authenticate(uow, services.identity, approval, header)
            if external is not None:
                return external
        return await accounts.authenticate(uow, services.tokens, header)


async def _ended_grants(services: Services, grants: Collection[Hashable]) -> Collection[Hashable]:
    ours = [grant for grant in grants if isinstance(grant, Grant)]
    async with services.unit_of_work() as uow:
        return await sessions.ended(uow, ours)


def _page(page: HtmlPage) -> Callable[[Request], Awaitable[Response]]:
    async def show(_request: Request) -> Response:
        return Response(page.body, media_type="text/html", headers=page.headers)

    return show


async def _to_graphql(_request: Request) -> Response:
    return RedirectResponse("/graphql", status_code=307)


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _readiness(runtime: Runtime) -> Response:
    """Answer 200 if PostgreSQL and Redis answer, else 503 with what does not."""

    async def database() -> None:
        async with runtime.database.session() as session:
            await session.execute(text("SELECT 1"))

    names = ("database", "redis")
    results = await asyncio.gather(
        *(asyncio.wait_for(check(), _READY_SECONDS) for check in (database, runtime.queue.ping)),
        return_exceptions=True,
    )
    state = {
        name: "ok" if not isinstance(result, BaseException) else type(result).__name__
        for name, result in zip(names, results, strict=True)
    }
    healthy = all(value == "ok" for value in state.values())
    return JSONResponse({"status": "ok" if healthy else "unavailable", **state}, 200 if healthy else 503)
