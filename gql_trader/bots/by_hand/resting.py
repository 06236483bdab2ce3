"""When and at what price an order by hand fills on paper. Pure.

The rules are the engine's for its own orders: a resting limit fills at its price, or at a better open,
without slippage and as a maker; a stop fills at its price, or at a worse open, with slippage and as a taker.
What is true of the market already when an order is placed fills it at once, at the last close, as a taker.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from gql_trader.bots.ledger.fills import Hit
from gql_trader.bots.types import OrderSide, OrderType
from gql_trader.core.money import to_exact, to_price
from gql_trader.engine.bars import Bars


@dataclass(frozen=True, slots=True)
class Resting:
    """An order that may fill.

    Attributes
    ----------
    price
        Its limit; None: it has none.
    stop_price
        Where it becomes active; None: it is from the start.
    triggered
        Whether its stop price was reached.
    tested_until
        Bars that open at or after this (Unix milliseconds) may fill it.
    """

    side: OrderSide
    type: OrderType
    price: Decimal | None
    stop_price: Decimal | None
    triggered: bool = False
    tested_until: int = 0

    def reaches(self, level: Decimal, price: float) -> bool:
        """Whether a price is at a limit of this order's, or better."""
        return price <= level if self.side is OrderSide.BUY else price >= level

    def slipped(self, price: float, slippage: float) -> Decimal:
        """Return a price moved against the trader, but not beyond the order's limit."""
        sign = 1.0 if self.side is OrderSide.BUY else -1.0
        moved = to_price(price * (1.0 + sign * slippage)) if slippage else to_exact(price)
        if self.price is None:
            return moved
        return min(moved, self.price) if self.side is OrderSide.BUY else max(moved, self.price)


def at_once(order: Resting, close: float, now: int, slippage: float) -> tuple[Hit | None, bool]:
    """Return how a new order fills at the last close, if it does, and whether its stop price is reached."""
    triggered = not order.type.has_stop
    if not triggered:
        assert order.stop_price is not None
        triggered = _beyond(order, order.stop_price, close)
    if not triggered or (order.price is not None and not order.reaches(order.price, close)):
        return None, triggered
    return Hit(now, order.slipped(close, slippage), maker=False), triggered


def within(order: Resting, bars: Bars, slippage: float) -> tuple[Hit | None, bool]:
    """Return the first fill of a waiting order on closed bars, if any, and whether its stop price is reached.

    Of a stop-limit order that is triggered inside a bar beyond its limit, the rest of that bar is not used:
    in which order the bar's prices came is not known.
    """
    start = int(np.searchsorted(bars.time, order.tested_until))
    bars = bars.slice(start, len(bars))
    if order.triggered or not order.type.has_stop:
        return _limit(order, bars), order.triggered
    assert order.stop_price is not None
    buys, stop = order.side is OrderSide.BUY, float(order.stop_price)
    found = np.flatnonzero(bars.high >= stop if buys else bars.low <= stop)
    if not len(found):
        return None, False
    at = int(found[0])
    opened = float(bars.open[at])
    gapped = _beyond(order, order.stop_price, opened)
    base = opened if gapped else stop
    if order.price is None or order.reaches(order.price, base):
        time = int(bars.time[at]) + (0 if gapped else bars.interval)
        price, volume = order.slipped(base, slippage), float(bars.volume[at])
        return Hit(time, price, False, gapped, int(bars.time[at]), volume), True
    return _limit(replace(order, triggered=True), bars.slice(at + 1, len(bars))), True


def _beyond(order: Resting, stop: Decimal, price: float) -> bool:
    return price >= stop if order.side is OrderSide.BUY else price <= stop


def _limit(order: Resting, bars: Bars) -> Hit | None:
    assert order.price is not None
    limit = float(order.price)
    found = np.flatnonzero(bars.low <= limit if order.side is OrderSide.BUY else bars.high >= limit)
    if not len(found):
        return None
    at = int(found[0])
    opened, time, volume = float(bars.open[at]), int(bars.time[at]), float(bars.volume[at])
    if order.reaches(order.price, opened):
        return Hit(time, to_exact(opened), True, True, time, volume)
    return Hit(time + bars.interval, order.price, True, False, time, volume)
