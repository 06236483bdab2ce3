"""What an exchange says of a market: in what steps and from what size on orders are taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from gql_trader.infra.exchange.numbers import decimal, positive
from gql_trader.infra.exchange.orders import OrderRequest, Side

# ccxt's ways to state a precision.
_DECIMAL_PLACES, _SIGNIFICANT_DIGITS, _TICK_SIZE = 2, 3, 4


@dataclass(frozen=True, slots=True)
class MarketRules:
    """A market of an exchange; None where the exchange has no such limit or does not tell.

    Attributes
    ----------
    symbol
        ccxt's, such as ``BTC/USDT``, or ``BTC/USDT:USDT`` for a contract settled in USDT.
    settle
        What a contract is settled in; None on spot markets.
    price_tick, amount_step
        Prices and amounts are multiples of these; amounts in the base currency.
    minimum_cost
        Least amount times price.
    contract_size
        Of the base currency in one contract; 1 on spot markets.
    maker_fee, taker_fee
        Fractions, as listed for everybody.
    """

    symbol: str
    base: str
    quote: str
    settle: str | None
    active: bool
    price_tick: Decimal | None
    amount_step: Decimal | None
    minimum_amount: Decimal | None
    maximum_amount: Decimal | None
    minimum_cost: Decimal | None
    contract_size: Decimal
    maker_fee: Decimal | None
    taker_fee: Decimal | None

    @property
    def is_contract(self) -> bool:
        """Whether it trades contracts instead of the currency itself."""
        return self.settle is not None

    def amount(self, wanted: Decimal) -> Decimal:
        """Return the largest amount that the exchange takes and that is not more than wanted."""
        return _to_step(wanted, self.amount_step, ROUND_FLOOR)

    def limit(self, side: Side, wanted: Decimal) -> Decimal:
        """Return the price nearest to a limit that is not worse for its owner."""
        return _to_step(wanted, self.price_tick, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)

    def stop(self, side: Side, wanted: Decimal) -> Decimal:
        """Return the price nearest to a stop that is not reached later than wanted."""
        return _to_step(wanted, self.price_tick, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)

    def problem(self, order: OrderRequest) -> str | None:
        """Return why the exchange would not take an order, a sentence; None if nothing is known to speak
        against it."""
        if not self.active:
            return f"{self.symbol} is not traded at present."
        if self.minimum_amount is not None and order.amount < self.minimum_amount:
            return f"An order on {self.symbol} is at least {self.minimum_amount:f} {self.base}."
        if self.maximum_amount is not None and order.amount > self.maximum_amount:
            return f"An order on {self.symbol} is at most {self.maximum_amount:f} {self.base}."
        if order.amount != self.amount(order.amount):
            return f"Amounts on {self.symbol} are multiples of {self.amount_step:f}."
        for price in (order.price, order.stop_price):
            if price is not None and price != _to_step(price, self.price_tick, ROUND_FLOOR):
                return f"Prices on {self.symbol} are multiples of {self.price_tick:f}."
        price = order.price or order.stop_price or order.reference_price
        # What only closes a position may be worth less.
        if (
            price is not None
            and not order.reduce_only
            and self.minimum_cost is not None
            and order.amount * price < self.minimum_cost
        ):
            return f"An order on {self.symbol} is worth at least {self.minimum_cost:f} {self.quote}."
        return None


def read_market(market: Mapping[str, Any], precision_mode: int) -> MarketRules:
    """Return a market from ccxt's form of it.

    Raises
    ------
    LookupError, TypeError, ValueError
        If it does not have that form.
    """
    size = positive(market.get("contractSize")) or Decimal(1)
    limits, precision = market["limits"], market["precision"]
    amounts = limits.get("amount") or {}
    contract = bool(market["contract"])

    def in_base(value: Decimal | None) -> Decimal | None:
        # ccxt counts contracts; an amount of ours is of the base currency.
        return value * size if value is not None and contract else value

    return MarketRules(
        symbol=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        settle=market["settle"] if contract else None,
        active=market["active"] is not False,
        price_tick=_step(precision.get("price"), precision_mode),
        amount_step=in_base(_step(precision.get("amount"), precision_mode)),
        minimum_amount=in_base(positive(amounts.get("min"))),
        maximum_amount=in_base(positive(amounts.get("max"))),
        minimum_cost=positive((limits.get("cost") or {}).get("min")),
        contract_size=size,
        maker_fee=decimal(market.get("maker")),
        taker_fee=decimal(market.get("taker")),
    )


def _step(precision: Any, mode: int) -> Decimal | None:
    value = decimal(precision)
    if value is None or mode == _SIGNIFICANT_DIGITS:
        # No fixed step: ccxt cuts the digits when the order is sent.
        return None
    return Decimal(1).scaleb(-int(value)) if mode == _DECIMAL_PLACES else value or None


def _to_step(value: Decimal, step: Decimal | None, rounding: str) -> Decimal:
    if step is None:
        return value
    return (value / step).to_integral_value(rounding) * step
