"""Markets of the simulated exchange, with the filters that orders have to pass."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Candle = tuple[int, str, str, str, str, str]
"""Opening time (Unix ms), open, high, low, close, volume."""


@dataclass
class SimulatedMarket:
    """A spot market.

    Attributes
    ----------
    price
        What the next market order is filled at.
    """

    base: str
    quote: str
    price: Decimal
    tick: Decimal = Decimal("0.01")
    step: Decimal = Decimal("0.00001")
    minimum_quantity: Decimal = Decimal("0.00001")
    minimum_notional: Decimal = Decimal("5")
    candles: dict[str, list[Candle]] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """As Binance writes it."""
        return f"{self.base}{self.quote}"

    def ticker(self, now: int) -> dict[str, Any]:
        """Return what has happened within a day, as far as anybody asks."""
        return {"symbol": self.symbol, "lastPrice": str(self.price), "closeTime": now}

    def information(self) -> dict[str, Any]:
        """Return the market as `exchangeInfo` tells it."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": str(self.tick),
                    "maxPrice": "1000000.00",
                    "tickSize": str(self.tick),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": str(self.minimum_quantity),
                    "maxQty": "9000.00000",
                    "stepSize": str(self.step),
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": str(self.minimum_notional),
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
            ],
            "permissions": ["SPOT"],
            "permissionSets": [["SPOT"]],
        }

    def klines(self, interval: str, start: int | None, end: int | None, limit: int) -> list[list[Any]]:
        """Return candles in Binance's form: the first ones from a start, else the last ones."""
        chosen = [
            candle
            for candle in self.candles.get(interval, [])
            if (start is None or candle[0] >= start) and (end is None or candle[0] <= end)
        ]
        page = chosen[:limit] if start is not None else chosen[-limit:]
        return [[time, o, h, low, c, v, time, "0", 0, "0", "0", "0"] for time, o, h, low, c, v in page]


def BTC_USDT() -> SimulatedMarket:
    """Return a market like Binance's BTC/USDT."""
    return SimulatedMarket("BTC", "USDT", Decimal("50000.00"))
