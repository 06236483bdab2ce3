"""The guards of a bot as users see them: their limits, how much of each is used, and when it begins anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from gql_trader.backtests.execution import execution_from_json
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.intervals import DAY, Interval
from gql_trader.core.zones import UTC_ZONE, day_begins
from gql_trader.engine.execution import ExecutionSpec


class GuardKind(StrEnum):
    """What a guard limits."""

    MAX_DAILY_LOSS = "MAX_DAILY_LOSS"
    DAILY_TARGET = "DAILY_TARGET"
    MAX_DAILY_TRADES = "MAX_DAILY_TRADES"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    COOLDOWN = "COOLDOWN"


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard.

    Attributes
    ----------
    limit, used
        Fractions for the daily loss and target and the drawdown, trades for their number, bars for the
        cooldown, of which ``used`` are those still to wait.
    resets_at
        When it begins anew, the next day, or when the cooldown is over; None: it has not begun, or never.
    tripped_by
        Why it keeps positions from being opened; None: it does not.
    """

    kind: GuardKind
    limit: float
    used: float = 0.0
    resets_at: datetime | None = None
    tripped_by: str | None = None


def guards_of(execution: dict[str, Any], session: Row[Any] | None, now: datetime) -> list[Guard]:
    """Return the guards of an execution spec, in a session if there is one.

    Parameters
    ----------
    now
        On a live market a new day has begun when the clock says so; in a replay, when its bars do.
    """
    spec = execution_from_json(execution)
    if session is None or session.last_bar_time is None:
        return list(_unused(spec))
    found = []
    if session.day >= 0:
        resets_at = _day_after(spec, session.day)
        is_over = session.replay_start is None and now >= resets_at
        found = list(_unused(spec, daily=True) if is_over else _daily(spec, session, resets_at))
    found += _drawdown(spec, session)
    if spec.cooldown_bars:
        rest = session.resting_bars
        ends = session.last_bar_time + (rest + 1) * Interval[session.interval].milliseconds
        found.append(_cooldown(spec, rest, ends))
    return found


def guards_then(row: Row[Any]) -> list[Guard]:
    """Return the guards of a session at one of its bars.

    Parameters
    ----------
    row
        ``execution`` and ``interval`` of the session, ``time`` of the bar, and what the guards looked at
        ``since`` a bar; null before anything was counted.
    """
    spec = execution_from_json(row.execution)
    if row.since is None:
        return list(_unused(spec))
    found = list(_daily(spec, row, _day_after(spec, row.day))) if row.day >= 0 else []
    found += _drawdown(spec, row)
    if spec.cooldown_bars:
        length = Interval[row.interval].milliseconds
        rest = max(0, row.resting_bars - (row.time - row.since) // length)
        found.append(_cooldown(spec, rest, row.time + (rest + 1) * length))
    return found


def _day_after(spec: ExecutionSpec, day: int) -> datetime:
    return from_milliseconds(day_begins(spec.timezone or UTC_ZONE, day + 1))


def _unused(spec: ExecutionSpec, *, daily: bool = False) -> Iterator[Guard]:
    if spec.max_daily_loss is not None:
        yield Guard(GuardKind.MAX_DAILY_LOSS, spec.max_daily_loss)
    if spec.daily_target is not None:
        yield Guard(GuardKind.DAILY_TARGET, spec.daily_target)
    if spec.max_daily_trades is not None:
        yield Guard(GuardKind.MAX_DAILY_TRADES, float(spec.max_daily_trades))
    if daily:
        return
    if spec.max_drawdown is not None:
        yield Guard(GuardKind.MAX_DRAWDOWN, spec.max_drawdown)
    if spec.cooldown_bars:
        yield Guard(GuardKind.COOLDOWN, float(spec.cooldown_bars))


def _daily(spec: ExecutionSpec, session: Row[Any], resets_at: datetime) -> Iterator[Guard]:
    change = session.equity / session.day_start_equity - 1.0
    # The engine notes that a guard has tripped, not which: with both, the sign of the day tells.
    lost = session.halted and spec.max_daily_loss is not None and (spec.daily_target is None or change < 0)
    won = session.halted and spec.daily_target is not None and not lost
    day = f"{from_milliseconds(session.day * DAY):%Y-%m-%d}"
    if spec.max_daily_loss is not None:
        reason = f"Equity has fallen by {spec.max_daily_loss:.2%} or more on {day}." if lost else None
        yield Guard(GuardKind.MAX_DAILY_LOSS, spec.max_daily_loss, max(0.0, -change), resets_at, reason)
    if spec.daily_target is not None:
        reason = f"Equity has risen by {spec.daily_target:.2%} or more on {day}." if won else None
        yield Guard(GuardKind.DAILY_TARGET, spec.daily_target, max(0.0, change), resets_at, reason)
    if (most := spec.max_daily_trades) is not None:
        spent = session.day_entries >= most
        reason = f"{session.day_entries} positions were opened on {day}." if spent else None
        yield Guard(GuardKind.MAX_DAILY_TRADES, float(most), float(session.day_entries), resets_at, reason)


def _drawdown(spec: ExecutionSpec, session: Row[Any]) -> Iterator[Guard]:
    if spec.max_drawdown is None:
        return
    reason = (
        f"Equity has fallen by {spec.max_drawdown:.2%} or more from its peak." if session.drawn_down else None
    )
    fallen = 1.0 - session.equity / session.peak_equity if session.peak_equity else 0.0
    yield Guard(GuardKind.MAX_DRAWDOWN, spec.max_drawdown, max(0.0, fallen), None, reason)


def _cooldown(spec: ExecutionSpec, rest: int, ends: int) -> Guard:
    limit = float(spec.cooldown_bars)
    if not rest:
        return Guard(GuardKind.COOLDOWN, limit)
    reason = f"A position was closed {spec.cooldown_bars - rest} bars ago."
    return Guard(GuardKind.COOLDOWN, limit, float(rest), from_milliseconds(ends), reason)


def waits_for(interval: Interval, newest: int | None, now: datetime) -> datetime | None:
    """Return the opening time of the candle that should be stored by now and is not; None if all is well.

    Parameters
    ----------
    newest
        Opening time of the newest candle stored, Unix milliseconds; None: there is none.
    """
    expected = interval.floor(to_milliseconds(now)) - interval.milliseconds
    if newest is not None and newest >= expected:
        return None
    return from_milliseconds(expected if newest is None else newest + interval.milliseconds)
