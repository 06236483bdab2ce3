"""Trading on one exchange with one key: orders that are never doubled, whatever happens on the way."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import structlog

from gql_trader.infra.exchange.client import ExchangeClient
from gql_trader.infra.exchange.errors import (
    AlreadySo,
    DuplicateOrder,
    ExchangeFailure,
    ExchangeUnavailable,
    NotOffered,
    OrderMissing,
    OrderRejected,
    OutcomeUnknown,
    RequestRefused,
)
from gql_trader.infra.exchange.orders import (
    Balance,
    ExchangeOrder,
    ExchangePosition,
    Fill,
    MarginMode,
    OrderName,
    OrderRequest,
    Side,
    Wallet,
)
from gql_trader.infra.exchange.reading import read_balances, read_fill, read_order, read_position

_log = structlog.get_logger(__name__)

# Binance refuses a request that arrives more than recvWindow (10 s as ccxt sends it) after its time: what it
# does not know some seconds after that will never come. Of others nothing of the kind is known.
_BINANCE_SETTLED = 15.0
_SETTLED = 60.0
_BINANCE = frozenset({"binance", "binanceusdm", "binanceus"})
_LOOK_AGAIN = 1.0


class TradingClient(ExchangeClient):
    """Acts for the owner of a key. Every method raises `ExchangeFailure`."""

    async def place(self, order: OrderRequest) -> ExchangeOrder:
        """Place an order, once.

        It is sent again only after the exchange has refused it without doing anything. If no answer comes,
        the exchange is asked for the order by its client order id, until it has it or can no longer get it.

        Raises
        ------
        OrderRejected, UnknownMarket
            If it was not taken; `InsufficientFunds` is one of these.
        ExchangeUnavailable
            If it was certainly not placed.
        DuplicateOrder
            If another order has its client order id.
        OutcomeUnknown
            If that could not be found out within the client's patience: `find` it before doing anything else.
        """
        rules = await self.market(order.symbol)
        problem = rules.problem(order)
        if problem is not None:
            raise OrderRejected(self.exchange, problem)
        waits = self._asker.waits
        give_up_at = waits.now() + self._asker.patience.seconds

        async def create() -> ExchangeOrder:
            return read_order(
                await self._ccxt.create_order(*self._arguments(order, rules.contract_size)),
                rules.contract_size,
            )

        try:
            return await self._asker.ask(create, changes=True)
        except (OutcomeUnknown, DuplicateOrder) as failure:
            _log.warning(
                "order_outcome_unknown",
                exchange=self.exchange,
                client_order_id=order.client_order_id,
                failure=type(failure).__name__,
            )
            return await self._reconcile(order, failure, give_up_at)

    async def find(self, name: OrderName) -> ExchangeOrder | None:
        """Return an order by its client order id; None if the exchange has none."""
        rules = await self.market(name.symbol)
        more = {"trigger": True} if name.waits_for_stop and rules.is_contract else {}

        async def fetch() -> ExchangeOrder:
            fetched = await self._ccxt.fetch_order_with_client_order_id(
                name.client_order_id, name.symbol, more
            )
            return read_order(fetched, rules.contract_size)

        try:
            found = await self._asker.ask(fetch)
        except OrderMissing:
            return None
        except RequestRefused:
            # Some exchanges are only asked by their own ids.
            return await self._search(name, rules.contract_size)
        return found if found.client_order_id in (None, name.client_order_id) else None

    async def cancel(self, name: OrderName) -> ExchangeOrder:
        """Cancel an order and return what has become of it: it may have been filled before.

        Asking twice does no harm.

        Raises
        ------
        OrderMissing
            If the exchange has no such order.
        """
        rules = await self.market(name.symbol)
        more = {"trigger": True} if name.waits_for_stop and rules.is_contract else {}
        # Filled, cancelled before, or never there: the order itself tells.
        with suppress(OrderMissing):
            await self._asker.ask(
                lambda: self._ccxt.cancel_order_with_client_order_id(name.client_order_id, name.symbol, more)
            )
        found = await self.find(name)
        if found is None:
            raise OrderMissing(self.exchange, f"{self.name} has no such order.")
        return found

    async def open_orders(self, symbol: str) -> list[ExchangeOrder]:
        """Return the orders on a market that may still be filled."""
        rules = await self.market(symbol)

        async def fetch() -> list[ExchangeOrder]:
            return [
                read_order(each, rules.contract_size) for each in await self._ccxt.fetch_open_orders(symbol)
            ]

        return await self._asker.ask(fetch)

    async def fills(self, order: ExchangeOrder) -> list[Fill]:
        """Return the trades of an order, the oldest first."""
        rules = await self.market(order.symbol)

        async def fetch() -> list[Fill]:
            if self._ccxt.has.get("fetchOrderTrades"):
                trades = await self._ccxt.fetch_order_trades(order.id, order.symbol)
            else:
                since = int(order.created_at.timestamp() * 1000) if order.created_at else None
                trades = await self._ccxt.fetch_my_trades(order.symbol, since)
            found = [read_fill(each, rules.contract_size) for each in trades]
            return sorted((each for each in found if each.order_id == order.id), key=lambda fill: fill.time)

        return await self._asker.ask(fetch)

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

    async def _reconcile(
        self, order: OrderRequest, failure: ExchangeFailure, give_up_at: float
    ) -> ExchangeOrder:
        waits = self._asker.waits
        settled_at = waits.now() + (_BINANCE_SETTLED if self.exchange in _BINANCE else _SETTLED)
        while True:
            asked_at = waits.now()
            try:
                found = await self.find(order.name)
            except ExchangeFailure as problem:
                raise OutcomeUnknown(self.exchange, problem.message) from failure
            if found is not None and (found.side, found.amount) != (order.side, order.amount):
                raise DuplicateOrder(self.exchange, f"{self.name} has another order of this name.")
            if found is not None:
                _log.info(
                    "order_found", exchange=self.exchange, client_order_id=order.client_order_id, id=found.id
                )
                return found
            if isinstance(failure, DuplicateOrder):
                # Open under this name, but not found by it: nothing that can be acted on.
                raise OutcomeUnknown(self.exchange, failure.message) from failure
            if asked_at >= settled_at:
                raise ExchangeUnavailable(
                    self.exchange, f"{self.name} did not answer, and has not got the order."
                ) from failure
            if waits.now() + _LOOK_AGAIN > give_up_at:
                raise OutcomeUnknown(self.exchange, failure.message) from failure
            await waits.sleep(_LOOK_AGAIN)

    async def _search(self, name: OrderName, contract_size: Decimal) -> ExchangeOrder | None:
        for offered, method in (
            ("fetchOpenOrders", "fetch_open_orders"),
            ("fetchClosedOrders", "fetch_closed_orders"),
            ("fetchCanceledOrders", "fetch_canceled_orders"),
        ):
            if not self._ccxt.has.get(offered):
                continue

            async def fetch(method: str = method) -> list[Any]:
                return list(await getattr(self._ccxt, method)(name.symbol))

            for each in await self._asker.ask(fetch):
                if each.get("clientOrderId") == name.client_order_id:
                    return read_order(each, contract_size)
        return None

    def _arguments(self, order: OrderRequest, contract_size: Decimal) -> tuple[Any, ...]:
        params: dict[str, Any] = {"clientOrderId": order.client_order_id}
        if order.stop_price is not None:
            params["triggerPrice"] = float(order.stop_price)
        if order.reduce_only:
            params["reduceOnly"] = True
        price = order.price
        if price is None and order.side is Side.BUY and self.exchange not in _BINANCE:
            # Binance would take amount times price for what to spend; some others have to be told that.
            price = order.reference_price
        return (
            order.symbol,
            "limit" if order.kind.has_limit else "market",
            order.side.value,
            float(order.amount / contract_size),
            None if price is None else float(price),
            params,
        )

    async def _contract(self, symbol: str) -> None:
        if not (await self.market(symbol)).is_contract:
            raise NotOffered(self.exchange, f"{symbol} is traded without leverage.")

    async def _setting(self, request: Any) -> None:
        with suppress(AlreadySo):
            await self._asker.ask(request)
