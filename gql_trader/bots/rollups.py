"""The figures of sessions over time, kept up to date in the transactions that change them.

A row for each quarter of an hour holds where the session stood at its end, so that what was gained between
two moments is the difference of two rows, however much was traded between them. Quarters, since the days of
every time zone begin at one. A bar counts at its opening time.

Of a session that a strategy trades, a quarter's row is written when the next one's first bar is traded: a bar
that stays in its quarter costs nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy import Numeric, Text, and_, any_, cast, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from gql_trader.bots.models import SessionStateRow, TradeRow, TradingSessionRow
from gql_trader.bots.models_rollups import SessionRollupRow, SessionTotalsRow
from gql_trader.bots.quarters import QUARTER
from gql_trader.core.money import MONEY_DIGITS, to_decimal
from gql_trader.infra.bulk import array_of, insert_rows, rows_of
from gql_trader.infra.exact_columns import money_column
from gql_trader.infra.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    # The process that serves the API keeps figures of sessions by hand, and loads no compiled code.
    from gql_trader.bots.ticks.stepping import Step, Trade

_ROLLUPS = ("session_id", "time", "equity", "profit", "fees", "trades", "wins")
_TOTALS = ("session_id", "profit", "fees", "trades", "wins")
_STATES = SessionStateRow.__table__.c
_NOTHING = Decimal(0)


@dataclass(slots=True)
class Totals:
    """Sums over closed trades."""

    profit: Decimal = _NOTHING
    fees: Decimal = _NOTHING
    trades: int = 0
    wins: int = 0

    def add(self, profit: Decimal, fees: Decimal) -> None:
        """Count one more trade."""
        self.profit += profit
        self.fees += fees
        self.trades += 1
        self.wins += profit > 0


async def keep_left(uow: UnitOfWork, steps: "Sequence[Step]", fences: Sequence[int]) -> None:
    """Keep where sessions stood at the end of the quarters that their steps leave behind.

    To be called before the steps are written. What another worker has written meanwhile is left alone.
    """
    names = (_STATES.session_id, _STATES.revision, _STATES.fence)
    leaving = [
        (step.standing.session_id, step.standing.revision - 1, fence)
        for step, fence in zip(steps, fences, strict=True)
        if step.leaves_quarter
    ]
    if not leaving:
        return
    given, totals, kept = rows_of(names, leaving), SessionTotalsRow.__table__.c, SessionRollupRow.__table__.c
    last = (
        select(kept.equity, kept.trades)
        .where(kept.session_id == _STATES.session_id)
        .order_by(kept.time.desc())
        .limit(1)
        .lateral("last")
    )
    # The shortest text of a float is its exact figure; a plain cast keeps fifteen digits.
    equity = func.round(cast(cast(_STATES.equity, Text), Numeric), MONEY_DIGITS)
    trades = func.coalesce(totals.trades, 0)
    statement = upsert(SessionRollupRow).from_select(
        _ROLLUPS,
        select(
            _STATES.session_id,
            _quarter_of(_STATES.last_bar_time),
            equity,
            func.coalesce(totals.profit, 0),
            func.coalesce(totals.fees, 0),
            trades,
            func.coalesce(totals.wins, 0),
        )
        .select_from(SessionStateRow)
        .join(given, and_(*(column == given.c[column.name] for column in names)))
        .outerjoin(SessionTotalsRow, totals.session_id == _STATES.session_id)
        .outerjoin(last, true())
        .where(
            # Many hold nothing for days.
            or_(last.c.equity.is_distinct_from(equity), last.c.trades.is_distinct_from(trades)),
        ),
    )
    await uow.session.execute(_replacing(statement))


def _quarter_of(column: Any) -> Any:
    return column - column % QUARTER


def _replacing(statement: Any) -> Any:
    changed = {name: statement.excluded[name] for name in _ROLLUPS[2:]}
    return statement.on_conflict_do_update(index_elements=["session_id", "time"], set_=changed)


async def keep_steps(uow: UnitOfWork, steps: "Sequence[Step]") -> None:
    """Keep the quarters that steps have passed through, and count the trades that they have closed.

    To be called of steps that were written in this transaction.
    """
    passing = [step for step in steps if step.quarters]
    if passing:
        before = await _totals(uow, [step.standing.session_id for step in passing])
        rows = [row for step in passing for row in _rows(step, before[step.standing.session_id])]
        await uow.session.execute(_replacing(insert_rows(SessionRollupRow, _ROLLUPS, rows)))
    counted = [(step.standing.session_id, _closed(step)) for step in steps if step.trades]
    await _count(uow, [(key, totals) for key, totals in counted if totals.trades])


async def keep_by_hand(
    uow: UnitOfWork, session_id: UUID, moment: int, equity: Decimal, closed: Sequence[UUID]
) -> None:
    """Keep where a session stands that is traded by hand, and count the trades that were closed.

    Parameters
    ----------
    moment
        Unix milliseconds.
    closed
        Trades that were closed in this transaction, and written.
    """
    if closed:
        # As they are kept: what was computed may have more digits.
        columns, more = TradeRow.__table__.c, Totals()
        rows = await uow.session.execute(
            select(columns.profit, columns.fees).where(columns.id.in_(closed)).order_by(columns.number)
        )
        for profit, fees in rows:
            more.add(profit, fees)
        await _count(uow, [(session_id, more)])
    totals = (await _totals(uow, [session_id]))[session_id]
    row = (session_id, moment // QUARTER * QUARTER, equity, *astuple(totals))
    await uow.session.execute(_replacing(insert_rows(SessionRollupRow, _ROLLUPS, [row])))


async def note_summed(uow: UnitOfWork, session_ids: Sequence[UUID]) -> None:
    """Note that reports have sessions in their sums: they are over, and nothing of them will change."""
    await uow.session.execute(
        update(TradingSessionRow)
        .where(TradingSessionRow.id == any_(array_of(TradingSessionRow.__table__.c.id, session_ids)))
        .values(is_summed=True)
        .execution_options(synchronize_session=False)
    )


async def correct(uow: UnitOfWork, session_id: UUID, more: Totals) -> None:
    """Count what closed trades turn out to have gained besides; with the next row that is kept it is told."""
    if more.profit or more.wins:
        await _count(uow, [(session_id, more)])


async def _totals(uow: UnitOfWork, session_ids: Sequence[UUID]) -> dict[UUID, Totals]:
    columns = SessionTotalsRow.__table__.c
    statement = select(columns.session_id, *(columns[name] for name in _TOTALS[1:])).where(
        columns.session_id.in_(session_ids)
    )
    found = {row[0]: Totals(*row[1:]) for row in await uow.session.execute(statement)}
    return {key: found.get(key, Totals()) for key in session_ids}


async def _count(uow: UnitOfWork, more: Sequence[tuple[UUID, Totals]]) -> None:
    if not more:
        return
    # In the order of their keys, so that transactions do not wait for each other in a circle.
    rows = [(key, *astuple(totals)) for key, totals in sorted(more, key=lambda each: each[0])]
    statement = insert_rows(SessionTotalsRow, _TOTALS, rows)
    columns = SessionTotalsRow.__table__.c
    added = {name: columns[name] + statement.excluded[name] for name in _TOTALS[1:]}
    await uow.session.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_=added))


def _closed(step: "Step") -> Totals:
    totals = Totals()
    for trade in step.trades:
        _add(totals, trade)
    return totals


def _add(totals: Totals, trade: "Trade") -> None:
    if trade.exit is not None:
        totals.add(to_decimal(trade.exit.profit), to_decimal(trade.exit.fees))


def _rows(step: "Step", before: Totals) -> Iterator[tuple[Any, ...]]:
    totals, done = replace(before), 0
    equity = money_column(np.array([each.equity for each in step.quarters]))
    for quarter, amount in zip(step.quarters, equity, strict=True):
        for trade in step.trades[done : quarter.closed]:
            _add(totals, trade)
        done = quarter.closed
        yield (step.standing.session_id, quarter.time, amount, *astuple(totals))
