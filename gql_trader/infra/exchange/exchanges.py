"""The exchanges, as the process reaches them: opened when one is first needed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gql_trader.infra.exchange.catalogue import Catalogue
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.loading import load_exchange
from gql_trader.infra.exchange.pacing import PATIENT, Gate, Patience, Waits
from gql_trader.infra.exchange.records import Credentials, KnownExchange
from gql_trader.infra.exchange.translation import CannotSign

if TYPE_CHECKING:
    from gql_trader.infra.exchange.transport import Connections

# Markets need neither a signature nor options and coin-margined futures.
_BINANCE = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot", "linear"]}}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"binance": _BINANCE}


class Exchanges:
    """Makes clients of exchanges. They share connections, limits, and what was learnt of clocks.

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
        self._gates: dict[str, Gate] = {}
        self._throttlers: dict[str, Any] = {}
        self._skews: dict[str, int] = {}

    async def known(self) -> Mapping[str, KnownExchange]:
        """Return the exchanges whose keys can be held, by id."""
        return await self._catalogue.exchanges()

    @asynccontextmanager
    async def client(
        self, exchange: str, credentials: Credentials | None = None, patience: Patience = PATIENT
    ) -> AsyncIterator[ExchangeClient]:
        """Open a client, and close it at the end of the block.

        Parameters
        ----------
        credentials
            On whose behalf to ask; None: nobody's, for what is public.

        Raises
        ------
        LookupError
            If there is no such exchange.
        """
        kind = await asyncio.to_thread(load_exchange, exchange)
        gate = self._gates.setdefault(exchange, Gate(self._waits))
        ccxt = self._instance(kind, exchange, credentials, gate)
        client = ExchangeClient(ccxt, credentials, gate, self._waits, patience)
        try:
            yield client
        finally:
            self._skews[exchange] = client.clock_skew
            await ccxt.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._connections is not None:
            await self._connections.close()

    def _instance(self, kind: type[Any], exchange: str, credentials: Credentials | None, gate: Gate) -> Any:
        # They need aiohttp, which has come with ccxt now and would be for nothing before.
        from gql_trader.infra.exchange.transport import Connections, Transport

        if self._connections is None:
            self._connections = Connections(self._proxy)
        ccxt = kind(
            {
                "asyncio_loop": asyncio.get_running_loop(),
                "session": Transport(self._connections, gate, self._urls.get(exchange)),
                "ssl_context": self._connections.context,
                "enableRateLimit": True,
                "timeout": int(self._timeout * 1000),
                "options": {**_OPTIONS.get(exchange, {}), **self._clock(exchange)},
            }
        )
        # The session is not the instance's own: there is nothing to wait for when it is closed.
        ccxt.timeout_on_exit = 0
        # An exchange counts requests by address, whoever's they are.
        ccxt.throttler = self._throttlers.setdefault(exchange, ccxt.throttler)
        if credentials is not None:
            for name, value in credentials.for_ccxt(_needs(ccxt)).items():
                setattr(ccxt, name, value)
            ccxt.sign = _telling_bad_secrets(ccxt.sign)
        return ccxt

    def _clock(self, exchange: str) -> dict[str, int]:
        skew = self._skews.get(exchange)
        return {"timeDifference": skew} if skew else {}


def _needs(ccxt: Any) -> frozenset[str]:
    return frozenset(name for name, needed in ccxt.requiredCredentials.items() if needed)


def _telling_bad_secrets(sign: Any) -> Any:
    """Return a signing function that tells a secret of the wrong form from a bug."""

    def signed(*positional: Any, **named: Any) -> Any:
        try:
            return sign(*positional, **named)
        except (ValueError, TypeError, IndexError) as error:
            # The cause may have the secret in its text.
            raise CannotSign(type(error).__name__) from None

    return signed
