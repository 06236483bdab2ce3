"""ccxt's dictionaries as our records."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.infra.exchange.candles import CandlePage
from gql_trader.infra.exchange.numbers import decimal, exact, positive
from gql_trader.infra.exchange.orders import (
    Balance,
    ExchangeOrder,
    ExchangePosition,
    Fee,
    Fill,
    FundingPayment,
    MarginMode,
    OrderState,
    Side,
)

_STATES = {
    "open": OrderState.OPEN,
    "closed": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "canceling": OrderState.OPEN,
    "expired": OrderState.CANCELLED,
    "rejected": OrderState.REJECTED,
}


def read_order(order: Mapping[str, Any], contract_size: Decimal) -> ExchangeOrder:
    """Return an order from ccxt's form of it.

    Raises
    ------
    LookupError, TypeError, ValueError
        If it does not have that form, or not all that an order must have.
    """
    filled = (decimal(order.get("filled")) or Decimal(0)) * contract_size
    state = _state(order["status"], filled, exact(order["amount"]) * contract_size)
    return ExchangeOrder(
        id=str(order["id"]),
        client_order_id=order.get("clientOrderId"),
        symbol=order["symbol"],
        side=Side(order["side"]),
        state=state,
        amount=exact(order["amount"]) * contract_size,
        filled=filled,
        # ccxt gives market orders the mean price for theirs.
        price=None if order.get("type") == "market" else positive(order.get("price")),
        stop_price=positive(order.get("triggerPrice") or order.get("stopPrice")),
        average=positive(order.get("average")),
        fees=tuple(fee for each in order.get("fees") or () if (fee := _fee(each)) is not None),
        created_at=_time(order.get("timestamp")),
    )


def read_fill(trade: Mapping[str, Any], contract_size: Decimal) -> Fill:
    """Return a fill from ccxt's form of it; see `read_order`."""
    maker = trade.get("takerOrMaker")
    return Fill(
        id=str(trade["id"]),
        order_id=str(trade["order"]),
        symbol=trade["symbol"],
        side=Side(trade["side"]),
        price=exact(trade["price"]),
        amount=exact(trade["amount"]) * contract_size,
        fee=_fee(trade.get("fee")),
        maker=None if maker is None else maker == "maker",
        time=from_milliseconds(trade["timestamp"]),
    )


def read_funding(payment: Mapping[str, Any]) -> FundingPayment:
    """Return a funding payment from ccxt's form of it; see `read_order`."""
    time = int(payment["timestamp"])
    return FundingPayment(
        # There is one for a contract at a time.
        id=str(payment.get("id") or f"{payment['symbol']} {time}"),
        symbol=payment["symbol"],
        amount=exact(payment["amount"]),
        currency=payment["code"],
        time=from_milliseconds(time),
    )


def read_balances(balances: Mapping[str, Any]) -> dict[str, Balance]:
    """Return what is in the account, by currency; only currencies of which there is any."""
    found = {}
    for currency, total in balances["total"].items():
        if decimal(total):
            each = balances[currency]
            free = decimal(each.get("free"))
            locked = decimal(each.get("used"))
            known = exact(total)
            # Some exchanges tell two of the three.
            free = free if free is not None else known - (locked or Decimal(0))
            found[currency] = Balance(free, locked if locked is not None else known - free)
    return found


def read_position(position: Mapping[str, Any], contract_size: Decimal) -> ExchangePosition:
    """Return a position from ccxt's form of it; see `read_order`."""
    amount = exact(position["contracts"]) * contract_size
    mode = position.get("marginMode")
    return ExchangePosition(
        symbol=position["symbol"],
        amount=-amount if position["side"] == "short" else amount,
        entry_price=positive(position.get("entryPrice")),
        unrealised_profit=decimal(position.get("unrealizedPnl")),
        leverage=positive(position.get("leverage")),
        margin_mode=MarginMode(mode) if mode else None,
        liquidation_price=positive(position.get("liquidationPrice")),
    )


def read_candles(rows: Sequence[Sequence[Any]], interval: Interval, start: int, now: int) -> CandlePage:
    """Return the closed candles of a page of ccxt's, from a start on.

    Parameters
    ----------
    start
        Opening time of the first wanted, Unix ms; exchanges may send earlier ones.
    now
        The exchange's time, Unix ms: what has not closed by then is left out.

    Raises
    ------
    LookupError, TypeError, ValueError
        If a row has no price, or a time that no candle of this interval opens at.
    """
    closed = {
        int(row[0]): row
        for row in rows
        if start <= int(row[0]) and int(row[0]) + interval.milliseconds <= now
    }
    times = sorted(closed)
    for time in times:
        if interval.floor(time) != time:
            raise ValueError(f"no candle of {interval.value} opens at {time}")
    columns = np.array(
        [[float(value) for value in closed[time][1:5]] + [float(closed[time][5] or 0.0)] for time in times]
    ).reshape(len(times), 5)
    if not np.isfinite(columns).all():
        raise ValueError("a candle has no price")
    return CandlePage(np.array(times, dtype=np.int64), *np.ascontiguousarray(columns.T))


def _state(status: str, filled: Decimal, amount: Decimal) -> OrderState:
    state = _STATES[status]
    if state is OrderState.OPEN and filled:
        return OrderState.PARTIALLY_FILLED
    if state is OrderState.FILLED and not filled:
        raise ValueError("an order is closed, and nothing is said of its being filled")
    if state is OrderState.FILLED and filled < amount:
        # Closed with a rest that nobody took.
        return OrderState.CANCELLED
    return state


def _fee(fee: Mapping[str, Any] | None) -> Fee | None:
    amount = decimal(fee.get("cost")) if fee else None
    if fee is None or amount is None or fee.get("currency") is None:
        return None
    return Fee(amount, fee["currency"])


def _time(milliseconds: Any) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
