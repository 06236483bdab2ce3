"""What steps of sessions leave behind, written in bulk and at most once.

Every write names the revision that its step began from. A step that was taken twice, by two workers or by
one that was taken for dead, is written by the first and changes nothing the second time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Column, Table, func, select, update

from gql_trader.bots import rollups
from gql_trader.bots.announcing import announce
from gql_trader.bots.models import EquityPointRow, GuardRow, OrderRow, SessionStateRow, TradeRow
from gql_trader.bots.ticks.stepping import Step, Trade
from gql_trader.bots.types import (
    TYPES_OF_EXITS,
    BotState,
    OrderSide,
    OrderStatus,
    OrderType,
    TradeStatus,
    client_order_id,
    equity_stream,
    order_id,
    trade_id,
    trade_stream,
)
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import to_decimal, to_price
from gql_trader.engine.execution import Side
from gql_trader.infra.bulk import insert_rows, rows_of
from gql_trader.infra.unit_of_work import UnitOfWork

TOLD_TRADES = 100
"""Trades of one step that followers are told of, the latest; a replay makes thousands at a time."""

_TABLE = cast("Table", SessionStateRow.__table__)
_STATES = _TABLE.c
_HELD = (_STATES.session_id, _STATES.revision, _STATES.fence)
# What moves with every bar, by session.
_MOVED = (_STATES.balance, _STATES.equity, _STATES.cash, _STATES.state)
# What seldom changes, or is the same for all that trade the same bars.
_OTHERS = (
    _STATES.last_bar_time,
    _STATES.bars,
    _STATES.last_close,
    _STATES.day,
    _STATES.day_start_equity,
    _STATES.day_entries,
    _STATES.halted,
    _STATES.resting_bars,
    _STATES.peak_equity,
    _STATES.drawn_down,
)
_ROOTS = (_STATES.anchor_time, _STATES.signal_key)


@dataclass(frozen=True, slots=True)
class Booking:
    """A step to be written, by a worker that holds the session under a fencing token."""

    step: Step
    fence: int


async def book(uow: UnitOfWork, bookings: Sequence[Booking]) -> set[UUID]:
    """Write steps, each once; return the sessions whose steps were written.

    The others have been written, stopped or taken over meanwhile; of them nothing is changed.
    """
    await rollups.keep_left(uow, [each.step for each in bookings], [each.fence for each in bookings])
    lost = await _write_states(uow, bookings)
    steps = [each.step for each in bookings if each.step.standing.terms.session_id not in lost]
    await _write_trades(uow, steps)
    await _write_orders(uow, steps)
    await _write_points(uow, steps)
    await _write_guards(uow, steps)
    await rollups.keep_steps(uow, steps)
    _publish(uow, steps)
    return {step.standing.terms.session_id for step in steps}


async def _write_states(uow: UnitOfWork, bookings: Sequence[Booking]) -> set[UUID]:
    """Write where sessions stand now; return those that are not where their step began from any more."""
    # Most sessions of a tick have traded the same bars and differ in a few figures: what need not be sent and
    # taken apart for each of thousands is not.
    alike: dict[tuple[int | None, int, float | None], list[Booking]] = {}
    others: list[Booking] = []
    for each in bookings:
        step = each.step
        if step.standing.rooted and step.standing.guards == step.guards_before:
            alike.setdefault((step.standing.last_bar_time, step.bars, step.last_close), []).append(each)
        else:
            others.append(each)
    lost: set[UUID] = set()
    for (last_bar_time, bars, last_close), members in alike.items():
        rows = [_held(each) + _moved(each.step) for each in members]
        same = {"last_bar_time": last_bar_time, "bars": _STATES.bars + bars, "last_close": last_close}
        lost |= await _update(uow, _MOVED, rows, same)
    if others:
        rows = [_held(each) + _moved(each.step) + _all_else(each.step) for each in others]
        lost |= await _update(uow, _MOVED + _OTHERS + _ROOTS, rows, {})
    return lost


async def _update(
    uow: UnitOfWork,
    columns: Sequence[Column[Any]],
    rows: Sequence[tuple[Any, ...]],
    same: dict[str, Any],
) -> set[UUID]:
    given = rows_of((*_HELD, *columns), rows)
    values: dict[str, Any] = {column.name: given.c[column.name] for column in columns}
    if not same:
        # Once they are there they stay.
        values |= {column.name: func.coalesce(column, given.c[column.name]) for column in _ROOTS}
    written = (
        update(_TABLE)
        .where(*(column == given.c[column.name] for column in _HELD))
        .values(revision=_STATES.revision + 1, **values, **same)
        .returning(_STATES.session_id)
        .cte("written")
    )
    statement = select(given.c.session_id).where(given.c.session_id.not_in(select(written.c.session_id)))
    return set(await uow.session.scalars(statement))


def _held(booking: Booking) -> tuple[Any, ...]:
    standing = booking.step.standing
    return standing.terms.session_id, standing.revision - 1, booking.fence


def _moved(step: Step) -> tuple[Any, ...]:
    return step.balance, step.equity, step.cash, step.standing.state


def _all_else(step: Step) -> tuple[Any, ...]:
    standing, guards = step.standing, step.standing.guards
    return (
        standing.last_bar_time,
        standing.bars,
        step.last_close,
        guards.day,
        guards.day_start_equity,
        guards.day_entries,
        guards.halted,
        guards.resting_bars,
        guards.peak_equity,
        guards.drawn_down,
        step.anchor_time,
        standing.signal_key,
    )


_TRADE_COLUMNS = (
    "id",
    "session_id",
    "user_id",
    "number",
    "side",
    "quantity",
    "entry_time",
    "entry_price",
    "exit_time",
    "exit_price",
    "exit_reason",
    "profit",
    "profit_fraction",
    "fees",
    "funding",
    "bars",
    "max_favorable",
    "max_adverse",
    "equity_after",
    "changed_at",
)


async def _write_trades(uow: UnitOfWork, steps: Iterable[Step]) -> None:
    now = uow.clock.now()
    rows = []
    for step in steps:
        for trade in step.trades:
            end = trade.exit
            rows.append(
                (
                    trade_id(step.standing.session_id, trade.number),
                    step.standing.session_id,
                    step.standing.terms.user_id,
                    trade.number,
                    trade.side.value,
                    to_price(trade.quantity),
                    from_milliseconds(trade.entry_time),
                    to_price(trade.entry_price),
                    from_milliseconds(end.time) if end else None,
                    to_price(end.price) if end else None,
                    end.reason.value if end else None,
                    to_decimal(end.profit) if end else None,
                    end.profit_fraction if end else None,
                    to_decimal(end.fees if end else trade.entry_fee),
                    to_decimal(end.funding) if end else None,
                    end.bars if end else None,
                    end.max_favorable if end else None,
                    end.max_adverse if end else None,
                    to_decimal(end.equity_after) if end else None,
                    now,
                )
            )
    if not rows:
        return
    statement = insert_rows(TradeRow, _TRADE_COLUMNS, rows)
    changed = {name: statement.excluded[name] for name in _TRADE_COLUMNS[8:]}
    await uow.session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


_ORDER_COLUMNS = (
    "id",
    "user_id",
    "session_id",
    "number",
    "client_order_id",
    "side",
    "type",
    "status",
    "reduce_only",
    "quantity",
    "filled_quantity",
    "price",
    "stop_price",
    "average_price",
    "fee",
    "exit_reason",
    "created_at",
    "filled_at",
)


async def _write_orders(uow: UnitOfWork, steps: Iterable[Step]) -> None:
    rows = [row for step in steps for trade in step.trades for row in _orders(step, trade)]
    if rows:
        await uow.session.execute(insert_rows(OrderRow, _ORDER_COLUMNS, rows))


def _orders(step: Step, trade: Trade) -> Iterable[tuple[Any, ...]]:
    entry, exit_ = (
        (OrderSide.BUY, OrderSide.SELL) if trade.side is Side.LONG else (OrderSide.SELL, OrderSide.BUY)
    )
    if trade.opened:
        yield _order(
            step,
            2 * trade.number - 1,
            entry,
            OrderType.MARKET,
            trade.quantity,
            trade.entry_price,
            trade.entry_fee,
            None,
            trade.entry_time,
        )
    if (end := trade.exit) is not None:
        yield _order(
            step,
            2 * trade.number,
            exit_,
            TYPES_OF_EXITS[end.reason],
            trade.quantity,
            end.price,
            end.fees - trade.entry_fee,
            end.reason.value,
            end.time,
        )


def _order(
    step: Step,
    number: int,
    side: OrderSide,
    kind: OrderType,
    quantity: float,
    price: float,
    fee: float,
    exit_reason: str | None,
    time: int,
) -> tuple[Any, ...]:
    session_id = step.standing.session_id
    at, amount, filled_at = from_milliseconds(time), to_price(quantity), to_price(price)
    return (
        order_id(session_id, number),
        step.standing.terms.user_id,
        session_id,
        number,
        client_order_id(session_id, number),
        side.value,
        kind.value,
        OrderStatus.FILLED.value,
        exit_reason is not None,
        amount,
        amount,
        filled_at if kind is OrderType.LIMIT else None,
        None,
        filled_at,
        to_decimal(fee),
        exit_reason,
        at,
        at,
    )


async def _write_points(uow: UnitOfWork, steps: Iterable[Step]) -> None:
    rows = [(step.standing.session_id, time, equity) for step in steps for time, equity in step.points]
    if rows:
        statement = insert_rows(EquityPointRow, ("session_id", "time", "equity"), rows)
        await uow.session.execute(
            statement.on_conflict_do_update(
                index_elements=["session_id", "time"], set_={"equity": statement.excluded.equity}
            )
        )


async def _write_guards(uow: UnitOfWork, steps: Iterable[Step]) -> None:
    rows = []
    for step in steps:
        standing, guards = step.standing, step.standing.guards
        # Only of sessions that are explained, and only when something has changed.
        if guards != step.guards_before and standing.signal_key is not None:
            rows.append((standing.session_id, standing.last_bar_time, *astuple(guards), step.equity))
    if rows:
        statement = insert_rows(GuardRow, _GUARD_COLUMNS, rows)
        await uow.session.execute(statement.on_conflict_do_nothing())


_GUARD_COLUMNS = (
    "session_id",
    "time",
    "day",
    "day_start_equity",
    "day_entries",
    "halted",
    "resting_bars",
    "peak_equity",
    "drawn_down",
    "equity",
)


def _publish(uow: UnitOfWork, steps: Iterable[Step]) -> None:
    marks: dict[UUID, list[dict[str, Any]]] = {}
    for step in steps:
        standing, terms = step.standing, step.standing.terms
        about = {
            "sessionId": str(terms.session_id),
            "botId": None if terms.bot_id is None else str(terms.bot_id),
        }
        if standing.last_bar_time is not None:
            mark = {**about, "time": standing.last_bar_time, "equity": step.equity}
            marks.setdefault(terms.user_id, []).append(mark)
        if step.tripped and terms.bot_id is not None:
            announce(uow, terms.user_id, terms.bot_id, BotState.RUNNING)
        for trade in step.trades[-TOLD_TRADES:]:
            status = TradeStatus.CLOSED if trade.exit else TradeStatus.OPEN
            told = str(trade_id(terms.session_id, trade.number))
            uow.publish(trade_stream(terms.user_id), {**about, "tradeId": told, "status": status.value})
    for user_id, found in marks.items():
        # One event for all of a user's bots: a stream holds a number of events, however large.
        uow.publish(equity_stream(user_id), {"marks": found})
