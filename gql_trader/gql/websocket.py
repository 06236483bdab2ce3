"""GraphQL over WebSocket: graphql-transport-ws, one endpoint for any number of sockets."""

from collections import Counter
from collections.abc import Callable, Collection

import structlog
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gql_trader.gql.api import GraphQLApi
from gql_trader.gql.authentication import Authenticate
from gql_trader.gql.client import client_of
from gql_trader.gql.context import Services
from gql_trader.gql.origins import is_own_origin
from gql_trader.gql.revocation import RevocationWatch
from gql_trader.gql.websocket_connection import Socket, SocketOptions, close
from gql_trader.gql.websocket_messages import SUBPROTOCOL, CloseCode

_log = structlog.get_logger(__name__)

ABORT_EXTENSION = "gql_trader.abort"
"""An ASGI extension whose ``abort`` drops the connection with all that waits to be sent."""


class WebSocketEndpoint:
    """Answers GraphQL operations over WebSocket.

    Parameters
    ----------
    services
        Returns the services of the running process.
    allowed_origins
        Web origins whose pages may connect; the server's own always may, and so may whatever sends no
        Origin, since that is no browser.
    revocations
        Closes the sockets whose credentials have ended.
    """

    def __init__(
        self,
        api: GraphQLApi,
        services: Callable[[], Services],
        authenticate: Authenticate,
        allowed_origins: Collection[str] = (),
        options: SocketOptions | None = None,
        revocations: RevocationWatch | None = None,
    ) -> None:
        self._api = api
        self._services = services
        self._authenticate = authenticate
        self._allowed_origins = frozenset(allowed_origins)
        self._options = options or SocketOptions()
        self._revocations = revocations or RevocationWatch(services)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side closes it."""
        headers = Headers(scope=scope)
        await receive()
        if not self._is_allowed(headers):
            _log.warning("credentials_refused", kind="origin", reason="The Origin is not allowed.")
            # Before it is accepted, closing answers the handshake with 403.
            await close(send, CloseCode.FORBIDDEN, "Origin not allowed")
            return
        network = client_of(scope).network
        if self._options.maximum_sockets is not None and self._open[network] >= self._options.maximum_sockets:
            _log.warning("rate_limited", limit="sockets_network")
            # Accepted first: what else the handshake is answered with, pages in a browser never learn.
            subprotocol = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            await close(send, CloseCode.TOO_MANY_SOCKETS, "There are too many sockets from your address")
            return
        self._open[network] += 1
        try:
            await self._serve(scope, headers, receive, send)
        finally:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if SUBPROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await close(send, CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, f"Use the subprotocol {SUBPROTOCOL}")
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        connection = Socket(
            self._api,
            self._services(),
            self._authenticate,
            self._options,
            self._revocations,
            receive,
            send,
            client_of(scope),
            headers.get("authorization"),
            (scope.get("extensions") or {}).get(ABORT_EXTENSION, {}).get("abort"),
        )
        await connection.serve()

    def _is_allowed(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or "*" in self._allowed_origins or origin in self._allowed_origins:
            return True
        return is_own_origin(origin, headers.get("host"))
