"""Trading on one exchange with one key: orders that are never doubled, whatever happens on the way."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from gql_trader.core.clock import to_milliseconds
from gql_trader.infra.exchange.account import AccountClient
from gql_trader.infra.exchange.errors import (
    DuplicateOrder,
    ExchangeFailure,
    ExchangeUnavailable,
    OrderForgotten,
    OrderMissing,
    OrderRejected,
    OutcomeUnknown,
    RequestRefused,
)
from gql_trader.infra.exchange.numbers import decimal, positive
from gql_trader.infra.exchange.orders import (
    ExchangeOrder,
    Fill,
    OrderName,
    OrderRequest,
    OrderState,
    Side,
)
from gql_trader.infra.exchange.reading import read_fill, read_order

_log = structlog.get_logger(__name__)

# Binance refuses a request that arrives more than recvWindow (10 s as ccxt sends it) after its time: what it
# does not know some seconds after that will never come. Of others nothing of the kind is known.
_BINANCE_SETTLED = 15.0
_SETTLED = 60.0
_BINANCE = frozenset({"binance", "binanceusdm", "binanceus"})
_LOOK_AGAIN = 1.0
_CLOCKS_DIFFER = timedelta(minutes=1)

# ccxt asks these for an order by our id, and has them cancel it, also while it waits for a stop. It drops our
# id at others, or sends it as another one: "not found" says nothing there.
_ASKED_BY_OUR_ID = _BINANCE | {"okx", "myokx", "okxus"}


class TradingClient(AccountClient):
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
        """Return an order by its client order id; None if the exchange has none.

        Raises
        ------
        ExchangeFailure
            Also if that cannot be told: most exchanges are asked by their own ids only, and may have an order
            whose own id is not known although they do not list it.
        """
        rules = await self.market(name.symbol)
        if self.exchange not in _ASKED_BY_OUR_ID:
            return await self._find_by_its_id(name, rules.contract_size)
        try:
            found = await self._asker.ask(lambda: self._fetch(name, rules.contract_size))
        except OrderMissing:
            return None
        except RequestRefused:
            # Some exchanges are only asked by their own ids.
            return await self._search(name, rules.contract_size)
        return found if found.client_order_id in (None, name.client_order_id) else None

    async def cancel(self, name: OrderName) -> ExchangeOrder:
        """Cancel an order and return what has become of it: it may have been filled before, or may still
        be open on exchanges that cancel later than they answer.

        Asking twice does no harm.

        Raises
        ------
        OrderMissing
            If the exchange has no such order; `OrderForgotten` if it has cancelled it, but does not tell of
            it: Binance forgets orders without a fill that were placed some days before they ended.
        """
        size = (await self.market(name.symbol)).contract_size
        if self.exchange in _ASKED_BY_OUR_ID:
            cancelled = await self._called_off(
                lambda: self._ccxt.cancel_order_with_client_order_id(
                    name.client_order_id, name.symbol, self._where(name)
                )
            )
        else:
            if name.exchange_id is None and (listed := await self.find(name)) is not None:
                name = replace(name, exchange_id=listed.id)
            cancelled = await self._called_off(
                lambda: self._ccxt.cancel_order(name.exchange_id, name.symbol, self._where(name))
            )
        found = await self.find(name)
        if found is not None and found.state in {OrderState.OPEN, OrderState.PARTIALLY_FILLED}:
            # Its stop was reached: it goes by another name now.
            identifier = found.id
            called_off = await self._called_off(lambda: self._ccxt.cancel_order(identifier, name.symbol))
            cancelled = called_off or cancelled
            found = await self.find(name)
        if found is not None:
            return found
        if cancelled is None:
            raise OrderMissing(self.exchange, f"{self.name} has no such order.")
        filled = decimal(cancelled.get("filled"))
        raise OrderForgotten(
            self.exchange,
            f"{self.name} has cancelled the order, and does not tell of it.",
            None if filled is None else filled * size,
        )

    async def _called_off(self, request: Callable[[], Awaitable[Any]]) -> Mapping[str, Any] | None:
        """Return how an exchange confirms a cancellation; None if there was nothing to cancel."""
        try:
            answer = await self._asker.ask(request)
        except RequestRefused:
            # Filled, cancelled before, or never there: the order itself tells.
            return None
        return answer if isinstance(answer, Mapping) and answer.get("status") != "rejected" else None

    async def open_orders(self, symbol: str) -> list[ExchangeOrder]:
        """Return the orders on a market that may still be filled, those that wait for a stop included."""
        rules = await self.market(symbol)
        kept = [{}, {"trigger": True}] if self._keeps_stops_apart(symbol) else [{}]
        found: dict[str, ExchangeOrder] = {}
        for where in kept:

            async def fetch(where: dict[str, Any] = where) -> list[ExchangeOrder]:
                orders = await self._ccxt.fetch_open_orders(symbol, None, None, where)
                return [read_order(each, rules.contract_size) for each in orders]

            found |= {each.id: each for each in await self._asker.ask(fetch)}
        return list(found.values())

    async def fills(self, order: ExchangeOrder) -> list[Fill]:
        """Return the trades of an order, the oldest first."""
        return await self.trades_of(order.symbol, order.id, order.created_at)

    async def trades_of(self, symbol: str, order_id: str, created_at: datetime | None) -> list[Fill]:
        """Return the trades of an order by the exchange's id of it, the oldest first.

        Parameters
        ----------
        created_at
            Some exchanges tell the trades since then only; None: as many as they like.
        """
        rules = await self.market(symbol)
        # Binance tells half as many unless it is asked for more.
        limit = 1000 if self.exchange in _BINANCE else None

        async def fetch() -> list[Fill]:
            if rules.is_contract and self.exchange in _BINANCE:
                # ccxt asks for the trades of one order on spot markets only.
                trades = await self._ccxt.fetch_my_trades(symbol, None, limit, {"orderId": order_id})
            elif self._ccxt.has.get("fetchOrderTrades"):
                trades = await self._ccxt.fetch_order_trades(order_id, symbol, None, limit)
            else:
                since = to_milliseconds(created_at - _CLOCKS_DIFFER) if created_at else None
                trades = await self._ccxt.fetch_my_trades(symbol, since)
            found = [read_fill(each, rules.contract_size) for each in trades]
            return sorted((each for each in found if each.order_id == order_id), key=lambda fill: fill.time)

        return await self._asker.ask(fetch)

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

    async def _find_by_its_id(self, name: OrderName, contract_size: Decimal) -> ExchangeOrder | None:
        if name.exchange_id is None:
            if (listed := await self._search(name, contract_size)) is not None:
                return listed
            raise ExchangeFailure(
                self.exchange, f"{self.name} does not list the order, and cannot be asked for it by our id."
            )

        async def fetch() -> ExchangeOrder:
            found = await self._ccxt.fetch_order(name.exchange_id, name.symbol, self._where(name))
            return read_order(found, contract_size)

        try:
            return await self._asker.ask(fetch)
        except RequestRefused:
            # Some are not asked for one order at all, or not for one that waits for a stop.
            return await self._search(name, contract_size)

    async def _fetch(self, name: OrderName, contract_size: Decimal) -> ExchangeOrder:
        fetched = await self._ccxt.fetch_order_with_client_order_id(
            name.client_order_id, name.symbol, self._where(name)
        )
        # What waits for a stop on Binance's contracts becomes another order when it is reached; ccxt calls
        # the first one closed then, filled or not.
        actual = fetched["info"].get("actualOrderId") if isinstance(fetched.get("info"), dict) else None
        if not actual:
            return read_order(fetched, contract_size)
        order = read_order(await self._ccxt.fetch_order(str(actual), name.symbol), contract_size)
        return replace(
            order, client_order_id=name.client_order_id, stop_price=positive(fetched.get("triggerPrice"))
        )

    def _where(self, name: OrderName) -> dict[str, Any]:
        apart = name.waits_for_stop and self._keeps_stops_apart(name.symbol)
        return {"trigger": True} if apart else {}

    def _keeps_stops_apart(self, symbol: str) -> bool:
        return bool(self._ccxt.feature_value(symbol, "fetchOpenOrders", "trigger", False))

    async def _search(self, name: OrderName, contract_size: Decimal) -> ExchangeOrder | None:
        for offered, method in (
            ("fetchOpenOrders", "fetch_open_orders"),
            ("fetchClosedOrders", "fetch_closed_orders"),
            ("fetchCanceledOrders", "fetch_canceled_orders"),
        ):
            if not self._ccxt.has.get(offered):
                continue

            async def fetch(method: str = method) -> list[Any]:
                where = self._where(name)
                return list(await getattr(self._ccxt, method)(name.symbol, None, None, where))

            for each in await self._asker.ask(fetch):
                if each.get("clientOrderId") == name.client_order_id or each["id"] == name.exchange_id:
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
