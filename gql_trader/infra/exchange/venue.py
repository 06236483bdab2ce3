"""What all clients of one exchange share: its limits, its markets, and what was learnt of its clock."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from gql_trader.infra.exchange.asking import Asker
from gql_trader.infra.exchange.errors import ExchangeFailure, ExchangeUnavailable, NotOffered
from gql_trader.infra.exchange.loading import load_streaming
from gql_trader.infra.exchange.markets import MarketRules, read_market
from gql_trader.infra.exchange.pacing import Gate, Patience, Skew, Spacing, Waits
from gql_trader.infra.exchange.records import Credentials
from gql_trader.infra.exchange.translation import CannotSign

if TYPE_CHECKING:
    from gql_trader.infra.exchange.transport import Connections

_log = structlog.get_logger(__name__)

MARKETS_FRESH = 3600.0
"""Markets older than this many seconds are read again."""

# Markets need neither a signature nor options and coin-margined futures.
_BINANCE = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot", "linear"]}}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {"binance": _BINANCE}


class Venue:
    """One exchange, as the process knows it.

    Parameters
    ----------
    kind
        ccxt's class of it.
    origin
        Where to send requests instead of its own address; None: its own.
    timeout
        Seconds that one request may take.
    """

    def __init__(
        self,
        kind: type[Any],
        exchange: str,
        connections: "Connections",
        origin: str | None,
        timeout: float,
        waits: Waits,
    ) -> None:
        self.gate = Gate(waits)
        self.skew = Skew()
        self.waits = waits
        self._kind = kind
        self._exchange = exchange
        self._connections = connections
        self._origin = origin
        self._timeout = timeout
        self._spacing: Spacing | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read_at: float | None = None
        self._rules: Mapping[str, MarketRules] = {}
        self.public = self.instance(None)

    async def streaming(self) -> Any:
        """Return a new instance of ccxt's class that also streams; whoever asks for it closes it.

        Raises
        ------
        NotOffered
            If ccxt has none for this exchange.
        """
        kind = await asyncio.to_thread(load_streaming, self._exchange)
        if kind is None:
            raise NotOffered(self._exchange, f"{self.public.name} is not followed by a stream.")
        return self.instance(None, kind)

    def instance(self, credentials: Credentials | None, kind: type[Any] | None = None) -> Any:
        """Return a new instance of ccxt's class; whoever asks for it closes it."""
        from gql_trader.infra.exchange.transport import Transport

        ccxt = (kind or self._kind)(
            {
                "asyncio_loop": asyncio.get_running_loop(),
                "session": Transport(self._connections, self.gate, self._origin),
                "ssl_context": self._connections.context,
                "enableRateLimit": True,
                "timeout": int(self._timeout * 1000),
                "options": {
                    **_OPTIONS.get(self._exchange, {}),
                    "warnOnFetchOpenOrdersWithoutSymbol": False,
                },
            }
        )
        # The session is not the instance's own: there is nothing to wait for when it is closed.
        ccxt.timeout_on_exit = 0
        self._spacing = self._spacing or Spacing(self.waits, ccxt.rateLimit / 1000)
        ccxt.throttler = self._spacing
        if credentials is not None:
            needs = frozenset(name for name, needed in ccxt.requiredCredentials.items() if needed)
            for name, value in credentials.for_ccxt(needs).items():
                setattr(ccxt, name, value)
            ccxt.sign = _telling_bad_secrets(ccxt.sign)
        return ccxt

    async def give_markets(self, ccxt: Any, patience: Patience) -> Mapping[str, MarketRules]:
        """Let an instance know the markets, and return them by ccxt's symbols; one for all reads them.

        Who comes while they are being read waits for that, no longer than `patience` has it, and shares its
        failure.

        Raises
        ------
        ExchangeFailure
            If they were never read, and cannot be.
        """
        if self._read_at is None or self.waits.now() - self._read_at > MARKETS_FRESH:
            await self._shared_reading(patience)
        if ccxt is not self.public and ccxt.markets is not self.public.markets:
            ccxt.set_markets_from_exchange(self.public)
        return self._rules

    async def close(self) -> None:
        """End whatever is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self.public.close()

    async def _shared_reading(self, patience: Patience) -> None:
        if self._reading is None:
            # A task of its own: whoever was first may leave before it ends.
            self._reading = asyncio.create_task(self._read_markets(patience))
            self._reading.add_done_callback(self._reading_ended)
        try:
            async with asyncio.timeout(patience.seconds):
                await asyncio.shield(self._reading)
        except TimeoutError:
            message = f"{self.public.name} did not answer in time; try again later."
            raise ExchangeUnavailable(self._exchange, message) from None

    def _reading_ended(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            # Nobody may be waiting for it any more; an exception is not to be reported as forgotten then.
            reading.exception()

    async def _read_markets(self, patience: Patience) -> None:
        asker = Asker(self.public, None, self.gate, self.skew, self.waits, patience)

        async def read() -> dict[str, MarketRules]:
            found = await self.public.load_markets(True)
            return _read_all(found, self.public.precisionMode, self._exchange)

        try:
            self._rules = await asker.ask(read)
        except ExchangeFailure as failure:
            if self._read_at is None:
                raise
            _log.warning("markets_not_read_again", exchange=self._exchange, failure=type(failure).__name__)
            return
        self._read_at = self.waits.now()


def _read_all(found: Mapping[str, Any], precision_mode: int, exchange: str) -> dict[str, MarketRules]:
    rules, unreadable = {}, []
    for symbol, each in found.items():
        try:
            if _is_ours(each):
                rules[symbol] = read_market(each, precision_mode)
        except (LookupError, TypeError, ValueError):
            # One odd market does not keep the others from being traded.
            unreadable.append(symbol)
    if unreadable:
        _log.warning("markets_unreadable", exchange=exchange, count=len(unreadable), symbols=unreadable[:10])
    return rules


def _is_ours(market: Mapping[str, Any]) -> bool:
    # Contracts that are counted in the quote currency have no amount in the base currency.
    return bool(market["spot"]) or (bool(market["swap"]) and bool(market["linear"]))


def _telling_bad_secrets(sign: Any) -> Any:
    """Return a signing function that tells a secret of the wrong form from a bug."""

    def signed(*positional: Any, **named: Any) -> Any:
        try:
            return sign(*positional, **named)
        except (ValueError, TypeError, IndexError) as error:
            # The cause may have the secret in its text.
            raise CannotSign(type(error).__name__) from None

    return signed
