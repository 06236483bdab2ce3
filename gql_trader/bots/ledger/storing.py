"""Accounts as they are stored: read under the lock of their sessions, written with what fills have done."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots import rollups
from gql_trader.bots.ledger.account import HandLedger
from gql_trader.bots.models import EquityPointRow, OrderRow, SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_live import FundingRow, LiveSessionRow, OrderFillRow
from gql_trader.bots.types import (
    WAITING,
    OrderRequest,
    OrderSide,
    OrderStatus,
    client_order_id,
    equity_stream,
    order_id,
    trade_stream,
)
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.money import to_decimal, to_float
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.settings.types import SessionMode

_NOTHING = Decimal(0)


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
    statement = select(TradingSessionRow).where(TradingSessionRow.id == session_id)
    # Rows that refer to it may be written meanwhile, such as those of a day that is kept.
    statement = statement.with_for_update(key_share=True)
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
    assert not session.is_summed, "reports have it in their sums, which would not change"
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
