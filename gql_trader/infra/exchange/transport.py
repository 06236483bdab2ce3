"""HTTP for ccxt: one pool of connections, addresses that the operator replaced, and refusals seen."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import yarl

from gql_trader.infra.exchange.pacing import Gate
from gql_trader.infra.tls import trusted_by_mozilla

Response = AbstractAsyncContextManager[aiohttp.ClientResponse]

_TOO_MANY_REQUESTS = frozenset({418, 429})
_LONGEST_REFUSAL = 3 * 86_400.0


class Connections:
    """The process's connections to all exchanges. It keeps no cookies: its users have nothing in common.

    Parameters
    ----------
    proxy
        HTTP proxy for all of them.
    """

    def __init__(self, proxy: str | None) -> None:
        self.context = trusted_by_mozilla()
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self.context, limit=0, limit_per_host=50),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
        )

    async def close(self) -> None:
        """Close them."""
        await self.session.close()
        # Connections under TLS are closed by callbacks of the loop.
        await asyncio.sleep(0)


class Transport:
    """What a ccxt instance takes for its session: it sends each request, to another host if so told.

    ccxt itself keeps to the exchange's own addresses, by which it tells the meaning of errors.

    Parameters
    ----------
    origin
        Scheme, host and port to send to, instead of the exchange's; None: the exchange's.
    """

    def __init__(self, connections: Connections, gate: Gate, origin: str | None) -> None:
        self._connections = connections
        self._gate = gate
        self._origin = yarl.URL(origin).origin() if origin else None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that every request has; ccxt asks."""
        return self._connections.session.headers

    def get(self, url: yarl.URL, **options: Any) -> Response:
        """Send a GET request."""
        return self._send("GET", url, options)

    def post(self, url: yarl.URL, **options: Any) -> Response:
        """Send a POST request."""
        return self._send("POST", url, options)

    def put(self, url: yarl.URL, **options: Any) -> Response:
        """Send a PUT request."""
        return self._send("PUT", url, options)

    def patch(self, url: yarl.URL, **options: Any) -> Response:
        """Send a PATCH request."""
        return self._send("PATCH", url, options)

    def delete(self, url: yarl.URL, **options: Any) -> Response:
        """Send a DELETE request."""
        return self._send("DELETE", url, options)

    def ws_connect(self, url: str, **options: Any) -> Any:
        """Open a WebSocket."""
        target = self._reroute(yarl.URL(url, encoded=True))
        return self._connections.session.ws_connect(target, **options)

    @asynccontextmanager
    async def _send(
        self, method: str, url: yarl.URL, options: dict[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        # What is signed goes over the wire as it is: no redirects to elsewhere, no second encoding.
        target = self._reroute(url)
        sending = self._connections.session.request(method, target, allow_redirects=False, **options)
        async with sending as response:
            if response.status in _TOO_MANY_REQUESTS:
                self._gate.close(retry_after(response.headers.get("Retry-After"), datetime.now(UTC)))
            yield response

    def _reroute(self, url: yarl.URL) -> yarl.URL:
        if self._origin is None:
            return url
        return yarl.URL(f"{self._origin}{url.raw_path_qs}", encoded=True)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds in a Retry-After header, which has seconds or a date; None if there are none."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return min(float(header), _LONGEST_REFUSAL)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_REFUSAL)
