"""The simulated exchange's contracts: one perpetual market, its settings, positions and transfers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.factories.exchange_simulator.accounts import Account, Rejection

Params = Mapping[str, str]

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
class Futures:
    """Settings and wallets of the contracts' side, by key.

    Attributes
    ----------
    positions
        Amounts, negative for short.
    """

    leverage: dict[str, int] = field(default_factory=dict)
    margin: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    wallets: dict[str, Decimal] = field(default_factory=dict)
    transfers: list[tuple[str, Decimal]] = field(default_factory=list)

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
