"""The account of a session by hand, or live: exact decimals, one currency; of contracts short positions too.

A fill that adds to a position makes it grow; one that reduces it closes that part as a trade of its own. So
capital and the profits of all closed trades are, exactly, the cash once nothing is held. What a short
position was sold for is in the cash until it is bought back.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from gql_trader.bots.ledger.fills import Filled, Hit, closing_order, fee_of, sign_of
from gql_trader.bots.models import OrderRow, TradeRow, TradingSessionRow
from gql_trader.bots.quotes import Quote
from gql_trader.bots.types import OrderSide, OrderStatus, TradeStatus, trade_id
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import MONEY_DIGITS, to_exact, to_float, to_price
from gql_trader.engine.execution import Side

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


@dataclass(slots=True)
class HandLedger:
    """A locked session with what it owns; what is done to it is written by `write_ledger`.

    Attributes
    ----------
    held
        Open trades by market.
    waiting
        Orders that may still fill, oldest first.
    leverage
        1 unless contracts are traded.
    contracts
        Whether they are; only of them positions may be short.
    late
        What was paid for contracts, and is booked after the session has ended: its leverage is not known any
        more then.
    """

    session: TradingSessionRow
    cash: Decimal
    held: dict[UUID, TradeRow]
    waiting: list[OrderRow]
    orders: int
    trades: int
    added: list[TradeRow] = field(default_factory=list)
    closed: list[TradeRow] = field(default_factory=list)
    told: list[tuple[UUID, TradeStatus]] = field(default_factory=list)
    valued_at: int | None = None
    leverage: int = 1
    contracts: bool = False
    late: Decimal = _NOTHING

    @property
    def free_cash(self) -> Decimal:
        """Cash that no position binds: one binds its cost over the leverage."""
        cost = sum((each.cost or _NOTHING for each in self.held.values()), _NOTHING)
        bound = cost if self.leverage == 1 else (cost / self.leverage).quantize(_CENT)
        return self.cash + self._outlay - bound

    @property
    def equity(self) -> Decimal:
        """Cash, and what is held at its last known price; what is sold short is owed."""
        return self.cash + sum(
            (sign_of(each) * each.quantity * (each.mark_price or _NOTHING) for each in self.held.values()),
            _NOTHING,
        )

    @property
    def balance(self) -> Decimal:
        """Capital and the profits that were realised."""
        paid = (each.fees + (each.funding or _NOTHING) for each in self.held.values())
        return self.cash + self._outlay + sum(paid, _NOTHING)

    @property
    def _outlay(self) -> Decimal:
        """What was paid for what is held; what short positions were sold for counts as less than nothing."""
        return sum((sign_of(each) * (each.cost or _NOTHING) for each in self.held.values()), _NOTHING)

    def quantity(self, market_id: UUID) -> Decimal:
        """Return how much is held of a market's base asset, or owed of it."""
        trade = self.held.get(market_id)
        return trade.quantity if trade else _NOTHING

    def closes(self, order: OrderRow) -> bool:
        """Whether an order that waits makes a position smaller; of contracts either side may."""
        if not self.contracts:
            return order.side == OrderSide.SELL.value
        trade = self.held.get(order.market_id) if order.market_id else None
        return order.reduce_only or (
            trade is not None and order.side == closing_order(Side(trade.side)).value
        )

    def mark(self, market_id: UUID, quote: Quote) -> None:
        """Value what is held of a market at its last close."""
        trade = self.held.get(market_id)
        if trade is not None and quote.until > (trade.marked_until or 0):
            trade.mark_price, trade.marked_until = to_exact(quote.close), quote.until
            self.valued_at = max(self.valued_at or 0, quote.until)

    def fill(self, order: OrderRow, hit: Hit, rate: float, quote: Quote, most: Decimal | None = None) -> None:
        """Fill an order, as far as the account allows; what it does not allow is cancelled with a reason.

        Parameters
        ----------
        rate
            The fee, of the notional.
        quote
            The market's last close, at which what is bought is valued.
        most
            What can be filled at a time; the rest goes on waiting. None: all of it.
        """
        assert order.market_id is not None
        left = order.quantity - order.filled_quantity
        wanted = left if most is None else min(left, most)
        if not wanted:
            return
        quantity, reason = wanted, None
        if order.side == OrderSide.SELL.value:
            quantity = min(wanted, self.quantity(order.market_id))
            if quantity < wanted:
                reason = "No more of it was held when its price was reached."
                if not order.reduce_only:
                    quantity = _NOTHING
        else:
            notional = quantity * hit.price
            if notional + fee_of(notional, rate) > self.cash:
                quantity, reason = _NOTHING, "There was not enough cash when its price was reached."
        if quantity:
            fee = fee_of(quantity * hit.price, rate)
            self.book(order, Filled(quantity, hit.price, hit.time, fee))
            self.mark(order.market_id, quote)
        order.reason = reason
        if reason is None and wanted < left:
            order.status = OrderStatus.PARTIALLY_FILLED.value
            return
        order.status = (OrderStatus.CANCELLED if reason else OrderStatus.FILLED).value
        if order in self.waiting:
            self.waiting.remove(order)

    def book(self, order: OrderRow, fill: Filled) -> Decimal:
        """Book a fill of an order, whole or of a part; return what it changes the cash by.

        What becomes of the order besides, its status, is the caller's to say.
        """
        filled = order.filled_quantity + fill.quantity
        if not order.filled_quantity:
            order.average_price = fill.price
        else:
            assert order.average_price is not None
            cost = order.average_price * order.filled_quantity + fill.price * fill.quantity
            order.average_price = to_price(to_float(cost / filled))
        order.filled_quantity = filled
        order.fee += fill.fee + fill.base_fee_worth
        order.filled_at = from_milliseconds(fill.time)
        assert order.market_id is not None
        change = fill.quantity * fill.price
        change = -change if order.side == OrderSide.BUY.value else change
        self.cash += change - fill.fee
        trade = self.held.get(order.market_id)
        side = Side.LONG if order.side == OrderSide.BUY.value else Side.SHORT
        if trade is not None and trade.side != side.value:
            first, rest = self._split(fill, trade)
            self._close(order, trade, first)
            if rest is not None:
                self._open(order.market_id, side, rest)
        elif side is Side.LONG or self.contracts:
            self._open(order.market_id, side, fill)
        # Of a currency only an exchange sells what is not held; the cash is what it says.
        return change - fill.fee

    def _split(self, fill: Filled, trade: TradeRow) -> tuple[Filled, Filled | None]:
        """Return what of a fill closes a position, and what opens one of the other side, if anything does."""
        if not self.contracts or fill.quantity <= trade.quantity:
            return fill, None
        # Nothing that is sent asks for this; should the exchange do it all the same, it is what it says.
        fee = (fill.fee * trade.quantity / fill.quantity).quantize(_CENT)
        first = replace(fill, quantity=trade.quantity, fee=fee)
        return first, replace(fill, quantity=fill.quantity - trade.quantity, fee=fill.fee - fee)

    def _open(self, market_id: UUID, side: Side, fill: Filled) -> None:
        trade = self.held.get(market_id)
        if trade is None:
            trade = self._new_trade(market_id, side, fill.time)
            trade.mark_price = fill.price
            self.held[market_id] = trade
        trade.quantity += fill.quantity - fill.base_fee
        trade.cost = (trade.cost or _NOTHING) + fill.quantity * fill.price - fill.base_fee_worth
        trade.fees += fill.fee + fill.base_fee_worth
        trade.entry_price = to_price(to_float(trade.cost / trade.quantity))
        self.told.append((trade.id, TradeStatus.OPEN))

    def _close(self, order: OrderRow, trade: TradeRow, fill: Filled) -> None:
        assert order.market_id is not None
        quantity = min(fill.quantity + fill.base_fee, trade.quantity)
        assert trade.cost is not None
        if quantity < trade.quantity:
            part = self._new_trade(order.market_id, Side(trade.side), fill.time)
            share = quantity / trade.quantity
            part.entry_time, part.entry_price, part.quantity = trade.entry_time, trade.entry_price, quantity
            # What is taken here is missing there: the parts add up, however they are rounded.
            part.cost, part.fees = (trade.cost * share).quantize(_CENT), (trade.fees * share).quantize(_CENT)
            trade.quantity, trade.cost = trade.quantity - quantity, trade.cost - part.cost
            trade.fees -= part.fees
            if trade.funding:
                part.funding = (trade.funding * share).quantize(_CENT)
                trade.funding -= part.funding
            self.told.append((trade.id, TradeStatus.OPEN))
        else:
            part = self.held.pop(order.market_id)
        assert part.cost is not None
        outlay = part.cost + part.fees
        gain = sign_of(part) * (fill.quantity * fill.price - part.cost)
        part.profit = gain - part.fees - fill.fee - (part.funding or _NOTHING)
        part.fees += fill.fee
        part.exit_time, part.exit_price = from_milliseconds(fill.time), fill.price
        part.exit_reason = order.exit_reason
        part.profit_fraction = to_float(part.profit / outlay)
        part.equity_after = self.equity
        self.closed.append(part)
        self.told.append((part.id, TradeStatus.CLOSED))

    def _new_trade(self, market_id: UUID, side: Side, time: int) -> TradeRow:
        self.trades += 1
        trade = TradeRow(
            id=trade_id(self.session.id, self.trades),
            session_id=self.session.id,
            user_id=self.session.user_id,
            number=self.trades,
            side=side.value,
            quantity=_NOTHING,
            entry_time=from_milliseconds(time),
            entry_price=_NOTHING,
            fees=_NOTHING,
            market_id=market_id,
            cost=_NOTHING,
        )
        self.added.append(trade)
        return trade
