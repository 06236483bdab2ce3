"""The account of a session by hand, or live: exact decimals, one currency; of contracts short positions too.

A fill that adds to a position makes it grow; one that reduces it closes that part as a trade of its own. So
capital and the profits of all closed trades are, exactly, the cash once nothing is held. What a short
position was sold for is in the cash until it is bought back.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots import rollups
from gql_trader.bots.models import EquityPointRow, OrderRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import FundingRow, LiveSessionRow, OrderFillRow
from gql_trader.bots.quotes import Quote
from gql_trader.bots.resting import Hit
from gql_trader.bots.types import (
    WAITING,
    OrderRequest,
    OrderSide,
    OrderStatus,
    TradeStatus,
    client_order_id,
    equity_stream,
    order_id,
    trade_id,
    trade_stream,
)
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.money import MONEY_DIGITS, to_decimal, to_exact, to_float, to_price
from gql_trader.engine.execution import Side
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.types import SessionMode

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


def fee_of(notional: Decimal, rate: float) -> Decimal:
    """Return the fee of a fill, to eight places."""
    return (notional * Decimal(repr(rate))).quantize(_CENT)


@dataclass(frozen=True, slots=True)
class Filled:
    """A fill of an order, whole or of a part.

    Attributes
    ----------
    time
        Unix milliseconds.
    fee
        In the quote currency.
    base_fee
        Taken from what is bought, in the base currency.
    """

    quantity: Decimal
    price: Decimal
    time: int
    fee: Decimal = _NOTHING
    base_fee: Decimal = _NOTHING

    @property
    def base_fee_worth(self) -> Decimal:
        """What was taken in the base currency, in the quote currency."""
        return (self.base_fee * self.price).quantize(_CENT) if self.base_fee else _NOTHING


def sign_of(trade: TradeRow) -> int:
    """Return 1 for a long position, −1 for a short one."""
    return 1 if trade.side == Side.LONG.value else -1


def opening_order(side: Side) -> OrderSide:
    """Return the side of the orders that open a position; the others close it."""
    return OrderSide.BUY if side is Side.LONG else OrderSide.SELL


def closing_order(side: Side) -> OrderSide:
    """Return the side of the orders that close a position."""
    return OrderSide.SELL if side is Side.LONG else OrderSide.BUY


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


async def lock_ledger(
    uow: UnitOfWork, session_id: UUID, user_id: UUID | None = None
) -> tuple[TradingSessionRow, HandLedger | None] | None:
    """Return a session, locked until the transaction ends, with its account if it has one here.

    It has one if it is traded by hand, or live: then the exchange's fills say what is left of the capital.

    Parameters
    ----------
    user_id
        Whose session it has to be; None: anybody's, for workers.
    """
    statement = select(TradingSessionRow).where(TradingSessionRow.id == session_id).with_for_update()
    if user_id is not None:
        statement = statement.where(TradingSessionRow.user_id == user_id)
    session = await uow.session.scalar(statement.execution_options(populate_existing=True))
    if session is None:
        return None
    is_live = session.mode == SessionMode.LIVE.value
    if session.market_id is not None and not is_live:
        return session, None
    sign = case((OrderRow.side == OrderSide.BUY.value, -1), else_=1)
    traded, fees, orders = (
        await uow.session.execute(
            select(
                func.coalesce(func.sum(sign * OrderRow.filled_quantity * OrderRow.average_price), 0),
                func.coalesce(func.sum(OrderRow.fee), 0),
                func.coalesce(func.max(OrderRow.number), 0),
            ).where(OrderRow.session_id == session_id)
        )
    ).one()
    change: Decimal = traded - fees
    leverage: int | None = None
    if is_live:
        leverage = await uow.session.scalar(
            select(LiveSessionRow.leverage).where(LiveSessionRow.session_id == session_id)
        )
        booked = select(func.sum(OrderFillRow.cash)).where(OrderFillRow.session_id == session_id)
        paid = select(func.sum(FundingRow.amount)).where(FundingRow.session_id == session_id)
        change = await uow.session.scalar(booked) or _NOTHING
        change += await uow.session.scalar(paid) or _NOTHING
    held = await uow.session.scalars(
        select(TradeRow).where(TradeRow.session_id == session_id, TradeRow.exit_time.is_(None))
    )
    waiting = await uow.session.scalars(
        select(OrderRow)
        .where(OrderRow.session_id == session_id, OrderRow.status.in_([each.value for each in WAITING]))
        .order_by(OrderRow.number)
    )
    trades = await uow.session.scalar(
        select(func.coalesce(func.max(TradeRow.number), 0)).where(TradeRow.session_id == session_id)
    )
    return session, HandLedger(
        session=session,
        cash=session.capital + change,
        held={each.market_id: each for each in held if each.market_id is not None},
        waiting=list(waiting),
        orders=orders,
        trades=trades or 0,
        leverage=leverage or 1,
        contracts=leverage is not None,
    )


def add_order(
    uow: UnitOfWork,
    ledger: HandLedger,
    request: OrderRequest,
    market_id: UUID,
) -> OrderRow:
    """Add an order to a session; what becomes of it is its broker's to say."""
    ledger.orders += 1
    session = ledger.session
    order = OrderRow(
        id=order_id(session.id, ledger.orders),
        user_id=session.user_id,
        session_id=session.id,
        number=ledger.orders,
        client_order_id=client_order_id(session.id, ledger.orders),
        side=request.side.value,
        type=request.type.value,
        status=OrderStatus.NEW.value,
        reduce_only=request.reduce_only,
        quantity=request.quantity,
        filled_quantity=Decimal(0),
        price=request.price,
        stop_price=request.stop_price,
        fee=Decimal(0),
        created_at=uow.clock.now(),
        market_id=market_id,
        triggered=False,
    )
    uow.session.add(order)
    return order


async def write_ledger(uow: UnitOfWork, ledger: HandLedger) -> None:
    """Write an account: its trades, its figures and a point of its equity; tell its followers."""
    now, session = uow.clock.now(), ledger.session
    # What is told after its end belongs to its end.
    moment = to_milliseconds(min(now, session.ended_at or now))
    changed = {key for key, _ in ledger.told}
    for trade in (*ledger.held.values(), *ledger.closed, *ledger.added):
        if trade.id in changed:
            trade.changed_at = now
    uow.session.add_all(ledger.added)
    equity = to_float(ledger.equity)
    values: dict[str, Any] = {
        "revision": SessionStateRow.revision + 1,
        "balance": to_float(ledger.balance),
        "equity": equity,
        "cash": to_float(ledger.free_cash),
    }
    if ledger.late:
        values["cash"] = SessionStateRow.cash + to_float(ledger.late)
        ledger.late = _NOTHING
    # A bot notes itself which bars it has traded.
    if ledger.valued_at is not None and session.market_id is None:
        values["last_bar_time"] = func.greatest(
            func.coalesce(SessionStateRow.last_bar_time, 0), ledger.valued_at
        )
    await uow.session.flush()
    valued_at = await uow.session.scalar(
        update(SessionStateRow)
        .where(SessionStateRow.session_id == session.id)
        .values(**values)
        .returning(SessionStateRow.last_bar_time)
        .execution_options(synchronize_session=False)
    )
    await _note_equity(uow, ledger, moment, equity)
    closed = [each.id for each in ledger.closed]
    await rollups.keep_by_hand(uow, session.id, moment, to_decimal(equity), closed)
    # Should it be written again in this transaction, they are counted already.
    ledger.closed.clear()
    about = {"sessionId": str(session.id), "botId": str(session.bot_id) if session.bot_id else None}
    time = to_milliseconds(session.trade_from) if valued_at is None else valued_at
    mark = {**about, "time": time, "equity": equity}
    uow.publish(equity_stream(session.user_id), {"marks": [mark]})
    for key, status in ledger.told:
        told = {**about, "tradeId": str(key), "status": status.value}
        uow.publish(trade_stream(session.user_id), told)


async def _note_equity(uow: UnitOfWork, ledger: HandLedger, moment: int, equity: float) -> None:
    session_id, every = ledger.session.id, ledger.session.equity_every * 60_000
    if not ledger.told:
        # Between fills a point is kept now and then.
        noted = select(EquityPointRow.time).where(
            EquityPointRow.session_id == session_id, EquityPointRow.time >= moment // every * every
        )
        if await uow.session.scalar(noted.limit(1)) is not None:
            return
    point = insert(EquityPointRow).values(session_id=session_id, time=moment, equity=equity)
    await uow.session.execute(
        point.on_conflict_do_update(
            index_elements=["session_id", "time"], set_={"equity": point.excluded.equity}
        )
    )
