"""Uvicorn's WebSocket protocol, with one thing that ASGI lacks: dropping a client that does not read."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gql_trader.gql.websocket import ABORT_EXTENSION


class AbortableWebSocketProtocol(WebSocketsSansIOProtocol):
    """Give applications a way to abort the connection; pass it to uvicorn as ``ws``.

    An orderly close waits until everything before it is sent, which a client that never reads can put
    off for ever, and with it a file descriptor and the buffer.
    """

    def handle_connect(self, event: Request) -> None:
        """Accept the handshake, and leave the way to abort in the scope."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions = self.scope.get("extensions")
            if extensions is not None:
                extensions[ABORT_EXTENSION] = {"abort": self.transport.abort}
