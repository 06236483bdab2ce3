"""Orders of the simulated exchange: taken or not, filled, cancelled, and found again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.factories.exchange_simulator.accounts import Account, Rejection
from tests.factories.exchange_simulator.markets import SimulatedMarket

Params = Mapping[str, str]

COMMISSION = Decimal("0.001")
_FILLED = {"FILLED", "CANCELED", "EXPIRED", "REJECTED"}


@dataclass
class SimulatedOrder:
    """One order."""

    id: int
    account: Account
    market: SimulatedMarket
    client_id: str
    side: str
    kind: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    time: int
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    triggered: bool = True

    @property
    def is_open(self) -> bool:
        """Whether it may still be filled."""
        return self.status not in _FILLED

    @property
    def remaining(self) -> Decimal:
        """What is not filled."""
        return self.quantity - self.executed

    def told(self) -> dict[str, Any]:
        """Return the order as Binance tells it."""
        return {
            "symbol": self.market.symbol,
            "orderId": self.id,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "transactTime": self.time,
            "time": self.time,
            "updateTime": self.time,
            "workingTime": self.time,
            "price": str(self.price),
            "origQty": str(self.quantity),
            "executedQty": str(self.executed),
            "cummulativeQuoteQty": str(self.cost),
            "status": self.status,
            "timeInForce": "GTC",
            "type": self.kind,
            "side": self.side,
            "stopPrice": str(self.stop_price),
            "isWorking": self.triggered,
        }


@dataclass
class Orders:
    """Everybody's orders and trades.

    Attributes
    ----------
    liquidity
        The most that one order is filled with when it arrives; None: all of it.
    fee
        What each fill costs, an amount and its asset; None: a part of what it brings.
    refused_sales
        Types of orders to sell that are not taken.
    hidden
        Whether no order is found.
    """

    orders: list[SimulatedOrder] = field(default_factory=list)
    trades: list[tuple[SimulatedOrder, dict[str, Any]]] = field(default_factory=list)
    liquidity: Decimal | None = None
    fee: tuple[Decimal, str] | None = None
    refused_sales: frozenset[str] = frozenset()
    hidden: bool = False

    def place(self, account: Account, market: SimulatedMarket, params: Params, now: int) -> dict[str, Any]:
        """Take an order, or refuse it."""
        if not account.trading:
            raise Rejection(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        order = SimulatedOrder(
            id=len(self.orders) + 1,
            account=account,
            market=market,
            client_id=params["newClientOrderId"],
            side=params["side"],
            kind=params["type"],
            quantity=Decimal(params["quantity"]),
            price=Decimal(params.get("price", "0")),
            stop_price=Decimal(params.get("stopPrice", "0")),
            time=now,
            triggered="stopPrice" not in params,
        )
        if any(each.is_open and each.client_id == order.client_id for each in self._of(account)):
            raise Rejection(-2010, "Duplicate order sent.")
        _check_filters(order)
        if order.side == "SELL" and order.kind in self.refused_sales:
            raise Rejection(-2010, "This action is disabled on this account.")
        self._lock(order)
        self.orders.append(order)
        before = len(self.trades)
        if order.triggered:
            self._match(order, self.liquidity)
        fills = [_fill(trade) for _, trade in self.trades[before:]]
        return {**order.told(), "fills": fills}

    def find(self, account: Account, params: Params) -> SimulatedOrder:
        """Return an order by either of its ids, the last one if there are several."""
        for each in [] if self.hidden else reversed(self._of(account)):
            if params.get("origClientOrderId") == each.client_id or params.get("orderId") == str(each.id):
                return each
        raise Rejection(-2013, "Order does not exist.")

    def cancel(self, account: Account, params: Params) -> dict[str, Any]:
        """Cancel an open order."""
        try:
            order = self.find(account, params)
        except Rejection:
            raise Rejection(-2011, "Unknown order sent.") from None
        if not order.is_open:
            raise Rejection(-2011, "Unknown order sent.")
        self._end(order, "CANCELED")
        return {**order.told(), "origClientOrderId": order.client_id}

    def open_orders(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return the account's open orders."""
        return [each.told() for each in self._of(account) if each.is_open and _on(each, params)]

    def all_orders(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return the account's orders, also those that have ended."""
        return [each.told() for each in self._of(account) if _on(each, params)]

    def own_trades(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return the account's trades, as many as are asked for."""
        found = [
            trade
            for order, trade in self.trades
            if order.account is account
            and _on(order, params)
            and params.get("orderId", str(order.id)) == str(order.id)
        ]
        return found[: int(params.get("limit", "500"))]

    def trade(self, market: SimulatedMarket, price: Decimal, quantity: Decimal | None = None) -> None:
        """Let the market trade at a price: stops are triggered, and resting orders filled by a quantity."""
        market.price = price
        for order in [each for each in self.orders if each.market is market and each.is_open]:
            if not order.triggered:
                rising = order.side == "BUY"
                order.triggered = price >= order.stop_price if rising else price <= order.stop_price
            if order.triggered:
                self._match(order, quantity)

    def _of(self, account: Account) -> list[SimulatedOrder]:
        return [each for each in self.orders if each.account is account]

    def _match(self, order: SimulatedOrder, liquidity: Decimal | None) -> None:
        limited = order.kind in ("LIMIT", "STOP_LOSS_LIMIT")
        at = order.market.price
        if limited and (at > order.price if order.side == "BUY" else at < order.price):
            return
        quantity = order.remaining if liquidity is None else min(liquidity, order.remaining)
        if quantity:
            self._execute(order, quantity, at)
        if not order.remaining:
            self._end(order, "FILLED")
        elif limited:
            order.status = "PARTIALLY_FILLED" if order.executed else "NEW"
        else:
            # Nobody was left to trade with.
            self._end(order, "EXPIRED")

    def _execute(self, order: SimulatedOrder, quantity: Decimal, price: Decimal) -> None:
        account, market, cost = order.account, order.market, quantity * price
        order.executed += quantity
        order.cost += cost
        if order.side == "BUY":
            held, gained, got = order.price * quantity if order.price else cost, quantity, market.base
            _move(account, market.quote, locked=-held, free=held - cost)
        else:
            gained, got = cost, market.quote
            _move(account, market.base, locked=-quantity)
        _move(account, got, free=gained)
        commission, asset = self.fee or (gained * COMMISSION, got)
        _move(account, asset, free=-commission)
        self.trades.append(
            (
                order,
                {
                    "symbol": market.symbol,
                    "id": len(self.trades) + 1,
                    "orderId": order.id,
                    "price": str(price),
                    "qty": str(quantity),
                    "quoteQty": str(cost),
                    "commission": str(commission),
                    "commissionAsset": asset,
                    "time": order.time + len(self.trades),
                    "isBuyer": order.side == "BUY",
                    "isMaker": order.kind == "LIMIT" and order.status != "NEW",
                    "isBestMatch": True,
                },
            )
        )

    def _lock(self, order: SimulatedOrder) -> None:
        asset, amount = _held(order, order.quantity)
        if order.account.free.get(asset, Decimal(0)) < amount:
            raise Rejection(-2010, "Account has insufficient balance for requested action.")
        _move(order.account, asset, free=-amount, locked=amount)

    def _end(self, order: SimulatedOrder, status: str) -> None:
        asset, amount = _held(order, order.remaining)
        _move(order.account, asset, free=amount, locked=-amount)
        order.status = status


def _held(order: SimulatedOrder, quantity: Decimal) -> tuple[str, Decimal]:
    if order.side == "SELL":
        return order.market.base, quantity
    return order.market.quote, quantity * (order.price or order.stop_price or order.market.price)


def _move(account: Account, asset: str, *, free: Decimal = Decimal(0), locked: Decimal = Decimal(0)) -> None:
    account.free[asset] = account.free.get(asset, Decimal(0)) + free
    account.locked[asset] = account.locked.get(asset, Decimal(0)) + locked


def _check_filters(order: SimulatedOrder) -> None:
    market = order.market
    if order.quantity < market.minimum_quantity or order.quantity % market.step:
        raise Rejection(-1013, "Filter failure: LOT_SIZE")
    if order.price % market.tick or order.stop_price % market.tick:
        raise Rejection(-1013, "Filter failure: PRICE_FILTER")
    if order.quantity * (order.price or market.price) < market.minimum_notional:
        raise Rejection(-1013, "Filter failure: NOTIONAL")


def _fill(trade: Mapping[str, Any]) -> dict[str, Any]:
    names = ("price", "qty", "commission", "commissionAsset")
    return {**{name: trade[name] for name in names}, "tradeId": trade["id"]}


def _on(order: SimulatedOrder, params: Params) -> bool:
    return params.get("symbol", order.market.symbol) == order.market.symbol
