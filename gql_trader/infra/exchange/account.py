"""The account behind a key: what is in it, and what may be set and moved there."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import AlreadySo, NotOffered
from gql_trader.infra.exchange.orders import Balance, ExchangePosition, MarginMode, Wallet
from gql_trader.infra.exchange.reading import read_balances, read_position


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
