"""An HTTP client that is made when it is first needed."""

import httpx

from gql_trader.infra.tls import trusted


class LazyHttp:
    """Makes an `httpx.AsyncClient` at its first use; redirects are not followed.

    Parameters
    ----------
    seconds
        Time-out of each step of a request.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        """The client."""
        if self._client is None:
            self._client = httpx.AsyncClient(verify=trusted(), timeout=self._seconds, follow_redirects=False)
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
