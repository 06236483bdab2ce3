"""The account behind a key: what is in it, and what may be set and moved there."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from gql_trader.core.clock import to_milliseconds
from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import AlreadySo, NotOffered
from gql_trader.infra.exchange.orders import (
    Balance,
    ExchangePosition,
    Fill,
    FundingPayment,
    MarginMode,
    Wallet,
)
from gql_trader.infra.exchange.reading import read_balances, read_fill, read_funding, read_position

# How exchanges call an order's id; ccxt has no name of its own for it in what it tells of liquidations.
_ORDER_IDS = ("orderId", "order_id", "ordId")

# Exchanges do not agree on the sign of a payment, and ccxt passes on what some say: Bybit's is positive if it
# was paid. Those whose payments were looked at:
_FUNDING_READ = frozenset({"binance", "binanceusdm"})


class AccountClient(ExchangeClient):
    """Looks after a key's account. Every method raises `ExchangeFailure`."""

    async def balances(self, wallet: Wallet = Wallet.SPOT) -> dict[str, Balance]:
        """Return what is in a wallet, by currency."""
        await self.markets()

        async def fetch() -> dict[str, Balance]:
            return read_balances(await self._ccxt.fetch_balance({"type": wallet.value}))

        return await self._asker.ask(fetch)

    async def positions(self, symbols: Sequence[str]) -> list[ExchangePosition]:
        """Return the open positions in some contracts."""
        sizes = {symbol: (await self.market(symbol)).contract_size for symbol in symbols}

        async def fetch() -> list[ExchangePosition]:
            found = await self._ccxt.fetch_positions(list(symbols))
            read = [read_position(each, sizes[each["symbol"]]) for each in found]
            return [each for each in read if each.amount]

        return await self._asker.ask(fetch)

    async def funding(self, symbol: str, since: datetime) -> list[FundingPayment]:
        """Return the funding payments for a contract since a moment, as many as the exchange sends at a time.

        Raises
        ------
        NotOffered
            If the exchange, or ccxt for it, does not tell them, or it is not certain with which sign.
        """
        await self._contract(symbol)
        if self.exchange not in _FUNDING_READ or not self._ccxt.has.get("fetchFundingHistory"):
            raise NotOffered(self.exchange, f"{self.name} does not tell funding payments.")

        async def fetch() -> list[FundingPayment]:
            found = await self._ccxt.fetch_funding_history(symbol, to_milliseconds(since))
            return [read_funding(each) for each in found]

        return await self._asker.ask(fetch)

    async def trades(self, symbol: str, since: datetime) -> list[Fill]:
        """Return the account's trades on a market since a moment, whoever has ordered them, oldest first."""
        rules = await self.market(symbol)

        async def fetch() -> list[Fill]:
            found = await self._ccxt.fetch_my_trades(symbol, to_milliseconds(since))
            return sorted(
                (read_fill(each, rules.contract_size) for each in found), key=lambda fill: fill.time
            )

        return await self._asker.ask(fetch)

    async def liquidations(self, symbol: str, since: datetime) -> frozenset[str]:
        """Return the ids of the orders by which the exchange has liquidated a contract's positions.

        Raises
        ------
        NotOffered
            If the exchange, or ccxt for it, does not tell them.
        """
        await self._contract(symbol)
        if not self._ccxt.has.get("fetchMyLiquidations"):
            raise NotOffered(self.exchange, f"{self.name} does not tell liquidations.")

        async def fetch() -> frozenset[str]:
            found = await self._ccxt.fetch_my_liquidations(symbol, to_milliseconds(since))
            named = (each["info"].get(name) for each in found for name in _ORDER_IDS)
            return frozenset(str(each) for each in named if each)

        return await self._asker.ask(fetch)

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Choose the leverage of a contract's positions."""
        await self._contract(symbol)
        await self._setting(lambda: self._ccxt.set_leverage(leverage, symbol))

    async def set_margin_mode(self, symbol: str, mode: MarginMode) -> None:
        """Choose what answers for a contract's positions."""
        await self._contract(symbol)
        await self._setting(lambda: self._ccxt.set_margin_mode(mode.value, symbol))

    async def transfer(self, currency: str, amount: Decimal, source: Wallet, target: Wallet) -> str | None:
        """Move funds between wallets of the account, once; return the exchange's id of that, if it tells.

        Raises
        ------
        OutcomeUnknown
            If they may have been moved or not: look at the `balances`.
        """
        await self.markets()

        async def send() -> str | None:
            done = await self._ccxt.transfer(currency, float(amount), source.value, target.value)
            identifier = done.get("id")
            return None if identifier is None else str(identifier)

        return await self._asker.ask(send, changes=True)

    async def _contract(self, symbol: str) -> None:
        if not (await self.market(symbol)).is_contract:
            raise NotOffered(self.exchange, f"{symbol} is traded without leverage.")

    async def _setting(self, request: Callable[[], Awaitable[Any]]) -> None:
        with suppress(AlreadySo):
            await self._asker.ask(request)
