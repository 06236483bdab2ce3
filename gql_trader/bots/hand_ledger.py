"""The account of a session that is traded by hand on paper: exact decimals, one currency, long positions.

A fill that adds to a position makes it grow; one that reduces it closes that part as a trade of its own. So
capital and the profits of all closed trades are, exactly, the cash once nothing is held.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots import rollups
from gql_trader.bots.models import EquityPointRow, OrderRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.quotes import Quote
from gql_trader.bots.resting import Hit
from gql_trader.bots.types import (
    WAITING,
    OrderSide,
    OrderStatus,
    TradeStatus,
    equity_stream,
    trade_id,
    trade_stream,
)
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.money import MONEY_DIGITS, to_decimal, to_exact, to_float, to_price
from gql_trader.infra.unit_of_work import UnitOfWork

_CENT = Decimal(1).scaleb(-MONEY_DIGITS)
_NOTHING = Decimal(0)


def fee_of(notional: Decimal, rate: float) -> Decimal:
    """Return the fee of a fill, to eight places."""
    return (notional * Decimal(repr(rate))).quantize(_CENT)


@dataclass(slots=True)
class HandLedger:
    """A locked session with what it owns; what is done to it is written by `write`.

    Attributes
    ----------
    held
        Open trades by market.
    waiting
        Orders that may still fill, oldest first.
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

    @property
    def equity(self) -> Decimal:
        """Cash, and what is held at its last known price."""
        return self.cash + sum(
            (each.quantity * (each.mark_price or _NOTHING) for each in self.held.values()), _NOTHING
        )

    @property
    def balance(self) -> Decimal:
        """Capital and the profits that were realised."""
        return self.cash + sum(((each.cost or _NOTHING) + each.fees for each in self.held.values()), _NOTHING)

    def quantity(self, market_id: UUID) -> Decimal:
        """Return how much is held of a market's base asset."""
        trade = self.held.get(market_id)
        return trade.quantity if trade else _NOTHING

    def mark(self, market_id: UUID, quote: Quote) -> None:
        """Value what is held of a market at its last close."""
        trade = self.held.get(market_id)
        if trade is not None and quote.until > (trade.marked_until or 0):
            trade.mark_price, trade.marked_until = to_exact(quote.close), quote.until
            self.valued_at = max(self.valued_at or 0, quote.until)

    def fill(self, order: OrderRow, hit: Hit, rate: float, quote: Quote) -> None:
        """Fill an order, as far as the account allows; what it does not allow is cancelled with a reason.

        Parameters
        ----------
        rate
            The fee, of the notional.
        quote
            The market's last close, at which what is bought is valued.
        """
        assert order.market_id is not None
        quantity = order.quantity
        reason = None
        if order.side == OrderSide.SELL.value:
            quantity = min(quantity, self.quantity(order.market_id))
            if quantity < order.quantity:
                reason = "No more of it was held when its price was reached."
                if not order.reduce_only:
                    quantity = _NOTHING
        else:
            notional = quantity * hit.price
            if notional + fee_of(notional, rate) > self.cash:
                quantity, reason = _NOTHING, "There was not enough cash when its price was reached."
        if quantity:
            fee = fee_of(quantity * hit.price, rate)
            order.filled_quantity, order.average_price, order.fee = quantity, hit.price, fee
            order.filled_at = from_milliseconds(hit.time)
            if order.side == OrderSide.BUY.value:
                self._buy(order, hit, fee)
            else:
                self._sell(order, hit, fee)
            self.mark(order.market_id, quote)
        order.reason = reason
        order.status = (OrderStatus.CANCELLED if reason else OrderStatus.FILLED).value
        if order in self.waiting:
            self.waiting.remove(order)

    def _buy(self, order: OrderRow, hit: Hit, fee: Decimal) -> None:
        assert order.market_id is not None
        notional = order.filled_quantity * hit.price
        self.cash -= notional + fee
        trade = self.held.get(order.market_id)
        if trade is None:
            trade = self._new_trade(order.market_id, hit.time)
            self.held[order.market_id] = trade
        trade.quantity += order.filled_quantity
        trade.cost = (trade.cost or _NOTHING) + notional
        trade.fees += fee
        trade.entry_price = to_price(to_float(trade.cost / trade.quantity))
        self.told.append((trade.id, TradeStatus.OPEN))

    def _sell(self, order: OrderRow, hit: Hit, fee: Decimal) -> None:
        assert order.market_id is not None
        trade, quantity = self.held[order.market_id], order.filled_quantity
        self.cash += quantity * hit.price - fee
        assert trade.cost is not None
        if quantity < trade.quantity:
            part = self._new_trade(order.market_id, hit.time)
            share = quantity / trade.quantity
            part.entry_time, part.entry_price, part.quantity = trade.entry_time, trade.entry_price, quantity
            # What is taken here is missing there: the parts add up, however they are rounded.
            part.cost, part.fees = (trade.cost * share).quantize(_CENT), (trade.fees * share).quantize(_CENT)
            trade.quantity, trade.cost = trade.quantity - quantity, trade.cost - part.cost
            trade.fees -= part.fees
            self.told.append((trade.id, TradeStatus.OPEN))
        else:
            part = self.held.pop(order.market_id)
        assert part.cost is not None
        outlay = part.cost + part.fees
        part.fees += fee
        part.exit_time, part.exit_price = from_milliseconds(hit.time), hit.price
        part.profit = quantity * hit.price - fee - outlay
        part.profit_fraction = to_float(part.profit / outlay)
        part.equity_after = self.equity
        self.closed.append(part)
        self.told.append((part.id, TradeStatus.CLOSED))

    def _new_trade(self, market_id: UUID, time: int) -> TradeRow:
        self.trades += 1
        trade = TradeRow(
            id=trade_id(self.session.id, self.trades),
            session_id=self.session.id,
            user_id=self.session.user_id,
            number=self.trades,
            side="LONG",
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
    """Return a session, locked until the transaction ends, with its account if it is traded by hand.

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
    if session.market_id is not None:
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
        cash=session.capital + traded - fees,
        held={each.market_id: each for each in held if each.market_id is not None},
        waiting=list(waiting),
        orders=orders,
        trades=trades or 0,
    )


async def write_ledger(uow: UnitOfWork, ledger: HandLedger) -> None:
    """Write an account: its trades, its figures and a point of its equity; tell its followers."""
    now, session = uow.clock.now(), ledger.session
    moment = to_milliseconds(now)
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
        "cash": to_float(ledger.cash),
    }
    if ledger.valued_at is not None:
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
    about = {"sessionId": str(session.id), "botId": None}
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
