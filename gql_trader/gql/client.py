"""Where a request comes from: the client's address, behind as many proxies as the operator trusts."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_USER_AGENT_LENGTH = 300
_SCOPE_KEY = "client"


@dataclass(frozen=True, slots=True)
class Client:
    """The other end of a request.

    Attributes
    ----------
    address
        Its IP address; None if the transport has none, such as a unix socket.
    user_agent
        What it calls itself, cut to 300 characters; None if it says nothing.
    """

    address: str | None = None
    user_agent: str | None = None

    @property
    def network(self) -> str:
        """What limits are counted by: an IPv4 address, or an IPv6 network of 64 bits.

        A provider hands out at least that many bits, so that one client has 2**64 addresses to choose from.
        """
        address = _parse(self.address or "")
        if isinstance(address, IPv6Address):
            return str(ip_network((address, 64), strict=False))
        return self.address or "unknown"


class ClientMiddleware:
    """Leave the client of each request in its scope, and its address in the request's log records.

    Parameters
    ----------
    trusted_proxies
        How many proxies of ours a request passes through. Each appends the address that it was called
        from to X-Forwarded-For, so the client's is the one that many places from the right; everything
        before it is what the client wrote. 0: the header is ignored.
    """

    def __init__(self, app: ASGIApp, trusted_proxies: int = 0) -> None:
        self._app = app
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            client = _read(scope, headers, self._trusted_proxies)
            scope.setdefault("state", {})[_SCOPE_KEY] = client
            with structlog.contextvars.bound_contextvars(address=client.address):
                await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def client_of(scope: Scope) -> Client:
    """Return the client that the middleware left in the scope; without it, the connection's peer."""
    found = scope.get("state", {}).get(_SCOPE_KEY)
    return found if isinstance(found, Client) else _read(scope, Headers(scope=scope), 0)


def _read(scope: Scope, headers: Headers, trusted_proxies: int) -> Client:
    peer = scope.get("client")
    forwarded = headers.getlist("x-forwarded-for")
    agent = headers.get("user-agent", "").replace("\0", "").strip()
    return Client(
        client_address(peer[0] if peer else None, forwarded, trusted_proxies),
        agent[:_USER_AGENT_LENGTH] or None,
    )


def client_address(peer: str | None, forwarded: Sequence[str], trusted_proxies: int) -> str | None:
    """Return the address of the client; None if it has none.

    Parameters
    ----------
    peer
        The address that the connection comes from.
    forwarded
        The values of X-Forwarded-For, in order.

    Notes
    -----
    A request with fewer entries than there are proxies has not come through all of them, and an entry
    that is no address was not written by a proxy: both count as coming from the peer.
    """
    direct = _parse(peer or "")
    seen = str(direct) if direct else None
    if trusted_proxies == 0:
        return seen
    entries = [entry.strip() for value in forwarded for entry in value.split(",")]
    if len(entries) < trusted_proxies:
        return seen
    address = _parse(entries[-trusted_proxies])
    return str(address) if address else seen


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
