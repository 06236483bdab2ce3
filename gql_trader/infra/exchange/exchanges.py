"""The exchanges, as the process reaches them: opened when one is first needed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gql_trader.infra.exchange.catalogue import Catalogue
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.loading import load_exchange
from gql_trader.infra.exchange.pacing import PATIENT, Patience, Waits
from gql_trader.infra.exchange.records import Credentials, KnownExchange
from gql_trader.infra.exchange.trading import TradingClient
from gql_trader.infra.exchange.venue import Venue

if TYPE_CHECKING:
    from gql_trader.infra.exchange.transport import Connections


class Exchanges:
    """Makes clients of exchanges. They share connections, limits, markets, and what was learnt of clocks.

    Nothing is loaded or opened before the first client is asked for.

    Parameters
    ----------
    urls
        By the exchange's id, the origin to send its requests to instead of its own.
    proxy
        HTTP proxy for all requests.
    timeout
        Seconds that one request may take.
    directory
        Where to keep the list of exchanges.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        proxy: str | None,
        timeout: float,
        directory: Path,
        waits: Waits | None = None,
    ) -> None:
        self._urls = urls
        self._proxy = proxy
        self._timeout = timeout
        self._waits = waits or Waits()
        self._catalogue = Catalogue(directory)
        self._connections: Connections | None = None
        self._venues: dict[str, Venue] = {}

    async def known(self) -> Mapping[str, KnownExchange]:
        """Return the exchanges whose keys can be held, by id."""
        return await self._catalogue.exchanges()

    async def public(self, exchange: str, patience: Patience = PATIENT) -> ExchangeClient:
        """Return a client for what is public; it stays open until the process ends.

        Raises
        ------
        LookupError
            If there is no such exchange.
        """
        venue = await self._venue(exchange)
        return ExchangeClient(venue.public, venue, None, patience)

    @asynccontextmanager
    async def client(
        self, exchange: str, credentials: Credentials, patience: Patience = PATIENT
    ) -> AsyncIterator[TradingClient]:
        """Open a client that acts for the owner of a key, and close it at the end of the block.

        Raises
        ------
        LookupError
            If there is no such exchange.
        """
        venue = await self._venue(exchange)
        ccxt = venue.instance(credentials)
        try:
            yield TradingClient(ccxt, venue, credentials, patience)
        finally:
            await ccxt.close()

    async def close(self) -> None:
        """Close the connections."""
        for venue in self._venues.values():
            await venue.close()
        if self._connections is not None:
            await self._connections.close()

    async def _venue(self, exchange: str) -> Venue:
        found = self._venues.get(exchange)
        if found is None:
            kind = await asyncio.to_thread(load_exchange, exchange)
            # It needs aiohttp, which has come with ccxt now and would be for nothing before.
            from gql_trader.infra.exchange.transport import Connections

            if self._connections is None:
                self._connections = Connections(self._proxy)
            # Somebody else may have made it meanwhile.
            found = self._venues.get(exchange) or Venue(
                kind, exchange, self._connections, self._urls.get(exchange), self._timeout, self._waits
            )
            self._venues[exchange] = found
        return found
