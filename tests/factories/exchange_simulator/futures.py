"""The simulated exchange's contracts: one perpetual market, its settings, positions and transfers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.factories.exchange_simulator.accounts import Account, Rejection

Params = Mapping[str, str]

COMMISSION = Decimal("0.0005")

_PERPETUAL = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "deliveryDate": 4_133_404_800_000,
    "onboardDate": 1_569_398_400_000,
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "underlyingType": "COIN",
    "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET"],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.10", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}


@dataclass
class ContractOrder:
    """An order on the perpetual; while it waits for a stop it is none of the exchange's matching engine.

    Attributes
    ----------
    becomes
        The order that it became when its stop was reached.
    """

    id: int
    account: Account
    client_id: str
    params: Params
    time: int
    status: str = "NEW"
    executed: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    becomes: "ContractOrder | None" = None

    @property
    def quantity(self) -> Decimal:
        """What is to be traded."""
        return Decimal(self.params["quantity"])

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.params["side"] == "BUY"

    @property
    def only_reduces(self) -> bool:
        """Whether it may do no more than close what is held."""
        return self.params.get("reduceOnly") == "true"

    @property
    def is_conditional(self) -> bool:
        """Whether it waits for a stop."""
        return "clientAlgoId" in self.params

    def told(self) -> dict[str, Any]:
        """Return the order as Binance tells it."""
        shared = {
            "symbol": "BTCUSDT",
            "side": self.params["side"],
            "positionSide": "BOTH",
            "reduceOnly": self.only_reduces,
        }
        if self.is_conditional:
            return {
                **shared,
                "algoId": self.id,
                "clientAlgoId": self.client_id,
                "algoType": "CONDITIONAL",
                "orderType": self.params["type"],
                "quantity": str(self.quantity),
                "algoStatus": self.status,
                "actualOrderId": str(self.becomes.id) if self.becomes else "",
                "triggerPrice": self.params["triggerPrice"],
                "price": self.params.get("price", "0"),
                "createTime": self.time,
                "updateTime": self.time,
            }
        return {
            **shared,
            "orderId": self.id,
            "clientOrderId": self.client_id,
            "status": self.status,
            "type": self.params["type"],
            "origQty": str(self.quantity),
            "executedQty": str(self.executed),
            "price": self.params.get("price", "0"),
            "avgPrice": str(self.price),
            "cumQuote": str(self.executed * self.price),
            "stopPrice": "0",
            "timeInForce": "GTC",
            "time": self.time,
            "updateTime": self.time,
        }


@dataclass
class Futures:
    """Settings and wallets of the contracts' side, by key.

    Attributes
    ----------
    positions
        Amounts, negative for short.
    income
        Funding payments, by key.
    forced
        Orders by which positions were liquidated.
    untold
        States of orders that it does not tell of, as Binance does not of old ones.
    ahead
        Milliseconds by which the clock that fills are noted with is ahead of that of the requests.
    """

    leverage: dict[str, int] = field(default_factory=dict)
    margin: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    wallets: dict[str, Decimal] = field(default_factory=dict)
    transfers: list[tuple[str, Decimal]] = field(default_factory=list)
    orders: list[ContractOrder] = field(default_factory=list)
    trades: list[tuple[ContractOrder, dict[str, Any]]] = field(default_factory=list)
    price: Decimal = Decimal(50_000)
    income: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    forced: list[ContractOrder] = field(default_factory=list)
    untold: frozenset[str] = frozenset()
    ahead: int = 0

    def pay(self, account: Account, amount: Decimal, time: int) -> None:
        """Pay funding to an account, or take it if the amount is negative, at a time in Unix ms."""
        payment = {
            "symbol": "BTCUSDT",
            "incomeType": "FUNDING_FEE",
            "income": str(amount),
            "asset": "USDT",
            "time": time,
            "info": "FUNDING_FEE",
            "tranId": 4_480_321_991_774_044_580 + len(self.income),
            "tradeId": "",
        }
        self.income.append((account.api_key, payment))
        self.wallets[account.api_key] = self.wallets.get(account.api_key, Decimal(0)) + amount

    def payments(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return what was paid to an account, or taken from it."""
        since = int(params.get("startTime", "0"))
        return [paid for key, paid in self.income if key == account.api_key and paid["time"] >= since]

    def close(
        self,
        account: Account,
        price: Decimal,
        time: int,
        quantity: Decimal | None = None,
        *,
        forced: bool = True,
    ) -> None:
        """Close a position, or part of it, as the exchange does in a liquidation, or else its owner."""
        held = self.positions[account.api_key]
        quantity = abs(held) if quantity is None else quantity
        side, number = "SELL" if held > 0 else "BUY", len(self.orders) + 1
        params = {"side": side, "type": "LIMIT", "quantity": str(quantity), "price": str(price)}
        name = f"{'autoclose' if forced else 'web'}-{number}"
        order = ContractOrder(number, account, name, params, time, "FILLED", quantity, price)
        self.orders.append(order)
        self._note(order)
        self.positions[account.api_key] = held + (quantity if side == "BUY" else -quantity)
        if forced:
            self.forced.append(order)

    def liquidations(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return the orders by which an account was liquidated."""
        since = int(params.get("startTime", "0"))
        return [each.told() for each in self.forced if each.account is account and each.time >= since]

    def place(self, account: Account, params: Params) -> dict[str, Any]:
        """Take an order; at the market it is filled, otherwise it rests or waits."""
        client_id = params.get("clientAlgoId") or params["newClientOrderId"]
        open_ids = {each.client_id for each in self.orders if each.status == "NEW"}
        if client_id in open_ids:
            raise Rejection(-4116, "ClientOrderId is duplicated.")
        order = ContractOrder(len(self.orders) + 1, account, client_id, params, int(params["timestamp"]))
        if order.only_reduces and not order.is_conditional and not self._reducible(order):
            raise Rejection(-2022, "ReduceOnly Order is rejected.")
        self.orders.append(order)
        self._match(order)
        return order.told()

    def find(self, account: Account, params: Params) -> dict[str, Any]:
        """Return an order by one of its ids."""
        order = self._find(account, params)
        if order.status in self.untold:
            raise Rejection(-2013, "Order does not exist.")
        return order.told()

    def cancel(self, account: Account, params: Params) -> dict[str, Any]:
        """Cancel an open order."""
        try:
            order = self._find(account, params)
        except Rejection:
            raise Rejection(-2011, "Unknown order sent.") from None
        if order.status != "NEW":
            raise Rejection(-2011, "Unknown order sent.")
        order.status = "CANCELED"
        if order.is_conditional:
            return {"algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}
        return order.told()

    def open_orders(self, account: Account, *, conditional: bool) -> list[dict[str, Any]]:
        """Return the account's open orders, of the matching engine or of those that wait."""
        return [
            each.told()
            for each in self.orders
            if each.account is account and each.status == "NEW" and each.is_conditional == conditional
        ]

    def trade(self, price: Decimal) -> None:
        """Let the market trade at a price."""
        self.price = price
        for order in [each for each in self.orders if each.status == "NEW"]:
            if order.is_conditional:
                self._trigger(order)
            else:
                self._match(order)

    def _find(self, account: Account, params: Params) -> ContractOrder:
        conditional = "clientAlgoId" in params or "algoId" in params
        wanted = (
            params.get("origClientOrderId") or params.get("clientAlgoId"),
            params.get("orderId") or params.get("algoId"),
        )
        for each in reversed(self.orders):
            named = each.client_id == wanted[0] or str(each.id) == wanted[1]
            if each.account is account and each.is_conditional == conditional and named:
                return each
        raise Rejection(-2013, "Order does not exist.")

    def _trigger(self, order: ContractOrder) -> None:
        stop = Decimal(order.params["triggerPrice"])
        if self.price < stop if order.is_buy else self.price > stop:
            return
        kind = "MARKET" if order.params["type"] == "STOP_MARKET" else "LIMIT"
        params = {**order.params, "type": kind}
        del params["clientAlgoId"]
        name = f"triggered_{order.id}"
        order.becomes = ContractOrder(len(self.orders) + 1, order.account, name, params, order.time)
        self.orders.append(order.becomes)
        order.status = "TRIGGERED"
        self._match(order.becomes)

    def _reducible(self, order: ContractOrder) -> Decimal:
        """Return how much of the position an order can close."""
        held = self.positions.get(order.account.api_key, Decimal(0))
        return max(Decimal(0), -held if order.is_buy else held)

    def _match(self, order: ContractOrder) -> None:
        if order.is_conditional:
            return
        buys = order.is_buy
        if order.params["type"] == "LIMIT":
            limit = Decimal(order.params["price"])
            if self.price > limit if buys else self.price < limit:
                return
        quantity = min(order.quantity, self._reducible(order)) if order.only_reduces else order.quantity
        if not quantity:
            order.status = "EXPIRED"
            return
        order.status = "FILLED" if quantity == order.quantity else "EXPIRED"
        order.executed, order.price = quantity, self.price
        self._note(order)
        held = self.positions.get(order.account.api_key, Decimal(0))
        self.positions[order.account.api_key] = held + (quantity if buys else -quantity)

    def _note(self, order: ContractOrder) -> None:
        trade = {
            "symbol": "BTCUSDT",
            "id": len(self.trades) + 1,
            "orderId": order.id,
            "side": order.params["side"],
            "positionSide": "BOTH",
            "price": str(order.price),
            "qty": str(order.executed),
            "quoteQty": str(order.executed * order.price),
            "realizedPnl": "0",
            "commission": str(order.executed * order.price * COMMISSION),
            "commissionAsset": "USDT",
            "buyer": order.is_buy,
            "maker": order.params["type"] == "LIMIT",
            "time": order.time + self.ahead + len(self.trades),
        }
        self.trades.append((order, trade))

    def own_trades(self, account: Account, params: Params) -> list[dict[str, Any]]:
        """Return the account's trades, of one order if it is named."""
        return [
            trade
            for order, trade in self.trades
            if order.account is account and params.get("orderId", str(order.id)) == str(order.id)
        ]

    def information(self) -> dict[str, Any]:
        """Return the contracts as `exchangeInfo` tells them."""
        return {"symbols": [_PERPETUAL]}

    def set_leverage(self, account: Account, params: Params) -> dict[str, Any]:
        """Choose the leverage."""
        self.leverage[account.api_key] = int(params["leverage"])
        return {"symbol": params["symbol"], "leverage": int(params["leverage"]), "maxNotionalValue": "1"}

    def set_margin(self, account: Account, params: Params) -> dict[str, Any]:
        """Choose the margin mode; choosing it again is an error, as at Binance."""
        if self.margin.get(account.api_key, "CROSSED") == params["marginType"]:
            raise Rejection(-4046, "No need to change margin type.")
        self.margin[account.api_key] = params["marginType"]
        return {"code": 200, "msg": "success"}

    def risk(self, account: Account, _params: Params) -> list[dict[str, Any]]:
        """Return the open positions."""
        amount = self.positions.get(account.api_key, Decimal(0))
        if not amount:
            return []
        isolated = self.margin.get(account.api_key) == "ISOLATED"
        return [
            {
                "symbol": "BTCUSDT",
                "positionSide": "BOTH",
                "positionAmt": str(amount),
                "entryPrice": "49000.0",
                "breakEvenPrice": "49010.0",
                "markPrice": "50000.0",
                "unRealizedProfit": str(amount * 1000),
                "liquidationPrice": "25000.0",
                "isolatedMargin": "100" if isolated else "0",
                "notional": str(amount * 50000),
                "marginAsset": "USDT",
                "isolatedWallet": "100" if isolated else "0",
                "initialMargin": "100",
                "maintMargin": "10",
                "positionInitialMargin": "100",
                "openOrderInitialMargin": "0",
                "adl": 2,
                "bidNotional": "0",
                "askNotional": "0",
                "updateTime": 0,
            }
        ]

    def brackets(self, _account: Account, _params: Params) -> list[dict[str, Any]]:
        """Return how much margin positions need; ccxt asks before it reads any."""
        bracket = {"bracket": 1, "initialLeverage": 125, "notionalCap": 1e9, "notionalFloor": 0}
        return [{"symbol": "BTCUSDT", "brackets": [{**bracket, "maintMarginRatio": 0.004, "cum": 0.0}]}]

    def wallet(self, account: Account, _params: Params) -> dict[str, Any]:
        """Return the contracts' wallet."""
        amount = str(self.wallets.get(account.api_key, Decimal(0)))
        asset = {"asset": "USDT", "walletBalance": amount, "availableBalance": amount, "initialMargin": "0"}
        return {"assets": [{**asset, "marginBalance": amount}], "positions": []}

    def transfer(self, account: Account, params: Params) -> dict[str, Any]:
        """Move funds between the spot and the contracts' wallet."""
        if not account.transferring:
            raise Rejection(-1002, "You are not authorized to execute this request.", 401)
        amount, asset = Decimal(params["amount"]), params["asset"]
        into = {"MAIN_UMFUTURE": True, "UMFUTURE_MAIN": False}[params["type"]]
        moved = amount if into else -amount
        if account.free.get(asset, Decimal(0)) < moved:
            raise Rejection(-5013, "Asset transfer failed: insufficient balance")
        account.free[asset] = account.free.get(asset, Decimal(0)) - moved
        self.wallets[account.api_key] = self.wallets.get(account.api_key, Decimal(0)) + moved
        self.transfers.append((params["type"], amount))
        return {"tranId": len(self.transfers)}
