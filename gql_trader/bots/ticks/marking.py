"""Between the closes of bars: positions of bots at the newest price, and what that price will do to them.

Only sessions on a live market that hold a position are looked at, each every ``checkIntervalSeconds``, those
of a shard together. Nothing is booked before the bar has closed: the ledger stays the backtest's.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Text, and_, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from gql_trader.bots.announcing import announce
from gql_trader.bots.models import SessionMarkRow, SessionStateRow, TickLeaseRow, TradingSessionRow
from gql_trader.bots.ticks.provisional import Standing, standings
from gql_trader.bots.ticks.running import spec_of
from gql_trader.bots.ticks.shards import live_sessions
from gql_trader.bots.ticks.stepping import Step
from gql_trader.bots.types import CHECK, QUEUE, BotState, Shard, equity_stream
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.bulk import rows_of
from gql_trader.infra.unit_of_work import Job, UnitOfWork
from gql_trader.market_data.feeds.forming import forming_bar, told_candles
from gql_trader.runtime import Runtime

_SESSIONS = TradingSessionRow.__table__.c
_STATES = SessionStateRow.__table__.c
_MARKS = SessionMarkRow.__table__.c
_LEASES = TickLeaseRow.__table__.c

# What is bound in a position is missing in the cash.
_HOLDS = _STATES.cash < _STATES.balance


def looks_between(interval: Interval, check_seconds: int) -> bool:
    """Whether positions are looked at between the closes of bars."""
    return check_seconds * 1000 < interval.milliseconds


async def look_after(uow: UnitOfWork, shard: Shard, steps: Iterable[tuple[Step, int]]) -> None:
    """Have positions that steps of a shard have left looked at when their time comes.

    Parameters
    ----------
    steps
        Each with its session's ``check_seconds``.
    """
    wanted = [
        seconds
        for step, seconds in steps
        if not step.finished and step.cash < step.balance and looks_between(shard.interval, seconds)
    ]
    if not wanted:
        return
    at = uow.clock.now() + timedelta(seconds=min(wanted))
    statement = insert(TickLeaseRow).values(
        market_id=shard.market_id, interval=shard.interval.name, shard=shard.number, fence=0, check_at=at
    )
    await uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["market_id", "interval", "shard"],
            set_={"check_at": func.least(func.coalesce(TickLeaseRow.check_at, at), at)},
        )
    )


async def due_jobs(uow: UnitOfWork) -> list[Job]:
    """Return a job for each shard whose positions are to be looked at; the same one until it was done."""
    statement = (
        select(_LEASES.market_id, _LEASES.interval, _LEASES.shard, _LEASES.check_at)
        .where(_LEASES.check_at <= uow.clock.now())
        .order_by(_LEASES.check_at)
    )
    return [
        Job(
            CHECK,
            QUEUE,
            f"{CHECK}:{row.market_id}:{row.interval}:{row.shard}:{to_milliseconds(row.check_at)}",
            (str(row.market_id), row.interval, row.shard),
        )
        for row in (await uow.session.execute(statement)).all()
    ]


async def markets_looked_at(uow: UnitOfWork) -> list[tuple[Any, Interval]]:
    """Return the markets whose prices between closes are wanted, with the interval of their candles."""
    statement = live_sessions(_SESSIONS.market_id, _SESSIONS.interval, _SESSIONS.check_seconds).distinct()
    rows = (await uow.session.execute(statement.where(_HOLDS))).all()
    return [
        (row.market_id, Interval.M1)
        for row in rows
        if row.interval != Interval.M1.name and looks_between(Interval[row.interval], row.check_seconds)
    ]


@dataclass(frozen=True, slots=True)
class _Mark:
    row: Row[Any]
    standing: Standing
    price: float
    priced_at: int

    @property
    def same_bar(self) -> bool:
        return bool(self.row.marked_after == self.row.last_bar_time)

    @property
    def is_news(self) -> bool:
        return not self.same_bar or self.row.priced_at != self.priced_at

    @property
    def exit_is_news(self) -> bool:
        known = self.row.exit_reason if self.same_bar else None
        return self.standing.reason is not None and self.standing.reason.value != known

    @property
    def exit_seen_at(self) -> int | None:
        if self.standing.reason is None:
            return None
        return self.priced_at if self.exit_is_news else int(self.row.exit_seen_at)


async def check(runtime: Runtime, shard: Shard) -> int:
    """Look at the positions of a shard whose time has come; return how many were valued.

    May be called any number of times, by any number of workers: what is written is what the newest price
    says.
    """
    async with runtime.unit_of_work() as uow:
        if not await _claim(uow, shard, runtime.settings.job_lease_seconds):
            return 0
    told = await told_candles(runtime.events, shard.market_id, shard.interval)
    async with runtime.unit_of_work() as uow:
        now = uow.clock.now()
        rows = await _held(uow, shard)
        bar = await forming_bar(uow, runtime.arrays, shard.market_id, shard.interval, told) if rows else None
    due = [
        row
        for row in rows
        if row.checked_at is None or row.checked_at + timedelta(seconds=row.check_seconds) <= now
    ]
    marks = await asyncio.to_thread(_value, due, bar) if bar is not None else []
    async with runtime.unit_of_work() as uow:
        await _write(uow, marks)
        await _plan(uow, shard, rows)
        if not rows:
            # A position that was opened meanwhile, before the plan was changed.
            await _plan(uow, shard, await _held(uow, shard))
    return len(marks)


def _value(rows: Sequence[Row[Any]], bar: Bars) -> list[_Mark]:
    opening, price = int(bar.time[0]), float(bar.close[0])
    # Whoever has not traded the bar before cannot stand in this one.
    ready = [row for row in rows if row.last_bar_time + Interval[row.interval].milliseconds == opening]
    found = standings([spec_of(row.execution) for row in ready], [row.state for row in ready], bar)
    return [
        _Mark(row, standing, price, opening + bar.interval)
        for row, standing in zip(ready, found, strict=True)
        if standing is not None
    ]


def _of(shard: Shard) -> Any:
    return and_(
        TickLeaseRow.market_id == shard.market_id,
        TickLeaseRow.interval == shard.interval.name,
        TickLeaseRow.shard == shard.number,
    )


async def _claim(uow: UnitOfWork, shard: Shard, seconds: float) -> bool:
    """Take a shard that is due; another one takes it if this worker is gone after some seconds."""
    now = uow.clock.now()
    statement = (
        update(TickLeaseRow)
        .where(_of(shard), TickLeaseRow.check_at <= now)
        .values(check_at=now + timedelta(seconds=seconds))
        .returning(TickLeaseRow.shard)
        .execution_options(synchronize_session=False)
    )
    return await uow.session.scalar(statement) is not None


async def _plan(uow: UnitOfWork, shard: Shard, held: Sequence[Row[Any]]) -> None:
    seconds = min((row.check_seconds for row in held), default=None)
    at = None if seconds is None else uow.clock.now() + timedelta(seconds=seconds)
    await uow.session.execute(
        update(TickLeaseRow)
        .where(_of(shard))
        .values(check_at=at)
        .execution_options(synchronize_session=False)
    )


async def _held(uow: UnitOfWork, shard: Shard) -> list[Row[Any]]:
    columns = (
        _SESSIONS.id,
        _SESSIONS.user_id,
        _SESSIONS.bot_id,
        _SESSIONS.interval,
        _SESSIONS.check_seconds,
        cast(_SESSIONS.execution, Text).label("execution"),
        _STATES.last_bar_time,
        _STATES.state,
        _MARKS.last_bar_time.label("marked_after"),
        _MARKS.priced_at,
        _MARKS.exit_reason,
        _MARKS.exit_seen_at,
        _MARKS.checked_at,
    )
    statement = (
        live_sessions(*columns)
        .outerjoin(SessionMarkRow, _MARKS.session_id == _SESSIONS.id)
        .where(
            _SESSIONS.market_id == shard.market_id,
            _SESSIONS.interval == shard.interval.name,
            _SESSIONS.shard == shard.number,
            _SESSIONS.check_seconds * 1000 < shard.interval.milliseconds,
            _HOLDS,
            _STATES.state.is_not(None),
        )
        .order_by(_SESSIONS.id)
    )
    return list((await uow.session.execute(statement)).all())


_WRITTEN = (
    _MARKS.session_id,
    _MARKS.last_bar_time,
    _MARKS.price,
    _MARKS.priced_at,
    _MARKS.equity,
    _MARKS.exit_reason,
    _MARKS.exit_price,
    _MARKS.exit_seen_at,
    _MARKS.checked_at,
)


async def _write(uow: UnitOfWork, marks: Sequence[_Mark]) -> None:
    if not marks:
        return
    now = uow.clock.now()
    given = rows_of(
        _WRITTEN,
        [
            (
                mark.row.id,
                mark.row.last_bar_time,
                mark.price,
                mark.priced_at,
                mark.standing.equity,
                None if mark.standing.reason is None else mark.standing.reason.value,
                mark.standing.price,
                mark.exit_seen_at,
                now,
            )
            for mark in marks
        ],
    )
    # Not of a session that has traded on meanwhile, or is gone.
    still = select(*(given.c[column.name] for column in _WRITTEN)).join(
        SessionStateRow,
        and_(_STATES.session_id == given.c.session_id, _STATES.last_bar_time == given.c.last_bar_time),
    )
    statement = insert(SessionMarkRow).from_select([column.name for column in _WRITTEN], still)
    new = statement.excluded
    newer = or_(
        new.last_bar_time > _MARKS.last_bar_time,
        and_(new.last_bar_time == _MARKS.last_bar_time, new.priced_at >= _MARKS.priced_at),
    )
    written = set(
        await uow.session.scalars(
            statement.on_conflict_do_update(
                index_elements=["session_id"],
                set_={column.name: new[column.name] for column in _WRITTEN[1:]},
                where=newer,
            ).returning(SessionMarkRow.session_id)
        )
    )
    _tell(uow, [mark for mark in marks if mark.row.id in written])


def _tell(uow: UnitOfWork, marks: Sequence[_Mark]) -> None:
    by_user: dict[Any, list[dict[str, Any]]] = {}
    for mark in marks:
        row = mark.row
        if mark.is_news:
            about = {"sessionId": str(row.id), "botId": None if row.bot_id is None else str(row.bot_id)}
            told = {**about, "time": mark.priced_at, "equity": mark.standing.equity}
            by_user.setdefault(row.user_id, []).append(told)
        if mark.exit_is_news and row.bot_id is not None:
            announce(uow, row.user_id, row.bot_id, BotState.RUNNING)
    for user_id, found in by_user.items():
        uow.publish(equity_stream(user_id), {"marks": found})
