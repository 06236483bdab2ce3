"""One exchange, asked on behalf of nobody or of one key, about what changes nothing."""

from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any

import structlog

from gql_trader.core.intervals import Interval
from gql_trader.infra.exchange.asking import Asker
from gql_trader.infra.exchange.candles import CandlePage
from gql_trader.infra.exchange.errors import AnswerUnreadable, NotOffered, PermissionMissing, UnknownMarket
from gql_trader.infra.exchange.markets import MarketRules
from gql_trader.infra.exchange.numbers import exact
from gql_trader.infra.exchange.pacing import STREAMING, Patience
from gql_trader.infra.exchange.permissions import READERS
from gql_trader.infra.exchange.reading import read_candles
from gql_trader.infra.exchange.records import Credentials, ExchangePermission, KeyPermissions
from gql_trader.infra.exchange.venue import Venue

_log = structlog.get_logger(__name__)

LONGEST_PAGE = 1000
"""Candles that may be asked for at a time; many exchanges send fewer."""
_UNTOLD_PAGE = 100


class ExchangeClient:
    """Asks an exchange. Every method raises `ExchangeFailure`.

    Parameters
    ----------
    ccxt
        An instance of ccxt's class, with the credentials in it.
    """

    def __init__(self, ccxt: Any, venue: Venue, credentials: Credentials | None, patience: Patience) -> None:
        self._ccxt = ccxt
        self._venue = venue
        self._asker = Asker(ccxt, credentials, venue.gate, venue.skew, venue.waits, patience)

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return self._asker.exchange

    @property
    def name(self) -> str:
        """The exchange's name for people."""
        return self._asker.name

    async def permissions(self) -> KeyPermissions:
        """Return what the key may do; where the exchange does not tell, that it may read the balance.

        Raises
        ------
        CredentialsRefused
            If the exchange does not take the key at all, or not from here.
        PermissionMissing
            If the exchange tells nothing of the key, and does not show it the balance.
        """
        reader = READERS.get(self.exchange)
        if reader is not None:

            async def read() -> KeyPermissions:
                return KeyPermissions(reader.read(await getattr(self._ccxt, reader.method)()), complete=True)

            try:
                return await self._asker.ask(read)
            except (NotOffered, PermissionMissing, AnswerUnreadable) as failure:
                # A test net without this function, or a key that may not look at itself.
                _log.info("key_permissions_untold", exchange=self.exchange, reason=type(failure).__name__)
        await self.markets()
        await self._asker.ask(self._ccxt.fetch_balance)
        return KeyPermissions(frozenset({ExchangePermission.READ}), complete=False)

    async def markets(self) -> Mapping[str, MarketRules]:
        """Return the spot markets and the contracts settled in the quote currency, by ccxt's symbols."""
        return await self._venue.give_markets(self._ccxt, self._asker.patience)

    async def market(self, symbol: str) -> MarketRules:
        """Return one market.

        Raises
        ------
        UnknownMarket
            If there is none with this symbol.
        """
        found = (await self.markets()).get(symbol)
        if found is None:
            raise UnknownMarket(self.exchange, f"{self.name} has no market {symbol}.")
        return found

    async def candles(
        self, symbol: str, interval: Interval, start: int, limit: int = LONGEST_PAGE
    ) -> CandlePage:
        """Return a page of closed candles from a start on; the exchange decides how many of them.

        Parameters
        ----------
        start
            Opening time of the first wanted, Unix ms.

        Raises
        ------
        UnknownMarket
            If there is no such market.
        NotOffered
            If the exchange has no candles of this length.
        """
        await self.market(symbol)
        if interval.value not in (self._ccxt.timeframes or {}):
            raise NotOffered(self.exchange, f"{self.name} has no candles of {interval.value}.")

        async def read() -> CandlePage:
            # What closes while the answer is under way is in it unclosed: the time is taken before.
            now = self.time()
            rows = await self._ccxt.fetch_ohlcv(symbol, interval.value, start, limit)
            return read_candles(rows, interval, start, now)

        return await self._asker.ask(read)

    async def last_price(self, symbol: str) -> Decimal:
        """Return what a market was traded at last.

        Raises
        ------
        UnknownMarket
            If there is no such market.
        """
        await self.market(symbol)

        async def read() -> Decimal:
            return exact((await self._ccxt.fetch_ticker(symbol))["last"])

        return await self._asker.ask(read)

    async def holds_stops(self, symbol: str) -> bool:
        """Return whether the exchange, as far as ccxt knows, keeps orders of a market that wait for a stop.

        Raises
        ------
        UnknownMarket
            If there is no such market.
        """
        await self.market(symbol)
        return bool(self._ccxt.feature_value(symbol, "createOrder", "triggerPrice", False))

    @property
    def candle_page(self) -> int:
        """How many candles the exchange sends at a time, as far as ccxt knows; at most `LONGEST_PAGE`."""
        spot = (self._ccxt.features or {}).get("spot") or {}
        told = (spot.get("fetchOHLCV") or {}).get("limit")
        return min(LONGEST_PAGE, int(told or _UNTOLD_PAGE))

    def time(self) -> int:
        """Return the exchange's time, Unix ms: ours, less how far it is known to be ahead."""
        return int(self._ccxt.milliseconds()) - self._venue.skew.milliseconds

    async def forming(self, symbol: str, interval: Interval) -> AsyncGenerator[CandlePage, None]:
        """Yield a market's newest candle each time that the exchange's stream tells of it, over or not.

        Parameters
        ----------
        symbol
            The market's, as ccxt writes it.

        Returns
        -------
        AsyncGenerator
            Pages of one candle; close it to end the stream. What it says of a candle that is over may differ
            from what `candles` returns, which is what counts.

        Raises
        ------
        NotOffered
            If the exchange, or ccxt for it, does not stream candles.
        ExchangeUnavailable
            If the stream cannot be opened, or breaks.
        """
        rules = await self.market(symbol)
        ccxt = await self._venue.streaming()
        asker = Asker(ccxt, None, self._venue.gate, self._venue.skew, self._venue.waits, STREAMING)
        try:
            if not ccxt.has.get("watchOHLCV") or interval.value not in (ccxt.timeframes or {}):
                raise NotOffered(self.exchange, f"{self.name} does not stream candles of {interval.value}.")
            await self._venue.give_markets(ccxt, self._asker.patience)

            async def read() -> CandlePage:
                rows = await ccxt.watch_ohlcv(rules.symbol, interval.value)
                newest = int(rows[-1][0])
                # Whether it is over is not said; nothing is left out for that.
                return read_candles(rows[-1:], interval, newest, newest + interval.milliseconds)

            while True:
                yield await asker.ask(read)
        finally:
            await ccxt.close()

    @property
    def skew(self) -> float:
        """Seconds by which our clock is ahead of the exchange's, as far as is known."""
        return self._venue.skew.milliseconds / 1000

    async def set_clock(self, fresh: float = 0.0) -> None:
        """Learn how far our clock is ahead of the exchange's.

        A request that is signed finds out by itself that the clock is wrong; who follows candles has to ask.

        Parameters
        ----------
        fresh
            Do nothing if this process has asked within so many seconds.
        """
        asked = self._venue.skew.asked_at
        now = self._venue.waits.now()
        if asked is None or now - asked >= fresh:
            await self._asker.set_clock()
            self._venue.skew.asked_at = now
