"""Jobs of the bots domain: running and closing sessions, and sweeping up what a crash left behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Row

from gql_trader.bots import explaining, lifecycle
from gql_trader.bots.by_hand import matching
from gql_trader.bots.by_hand import sessions as hand_sessions
from gql_trader.bots.explaining import Said, explained, note, signal_key
from gql_trader.bots.live.bots import watching as live_watching
from gql_trader.bots.ticks import marking, shards, ticking
from gql_trader.bots.ticks.attending import LostError, attend
from gql_trader.bots.ticks.booking import Booking, book
from gql_trader.bots.ticks.running import Window, load_window, standing
from gql_trader.bots.ticks.stepping import Standing, Step, take_step
from gql_trader.bots.types import CLOSING, Held, SessionStatus, Shard
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.signals import Signals
from gql_trader.infra.leases import settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.feeds import states as feeds
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

STEP_BARS = 10_000
"""Bars of a replay that are traded between two writes."""


async def run_session(ctx: dict[str, Any], session_id: str) -> None:
    """Run a session as far as there are bars, if it is active and nobody is at it.

    May be called any number of times for the same id, by any number of workers.
    """
    await attend(ctx["runtime"], UUID(session_id), SessionStatus.ACTIVE.value, _run)


async def close_session(ctx: dict[str, Any], session_id: str) -> None:
    """Close a session that was told to stop: its position at the last close, then the session itself."""
    await attend(ctx["runtime"], UUID(session_id), CLOSING, _close)


async def bars_closed(ctx: dict[str, Any], market_id: str, interval: str) -> None:
    """Have bots trade bars that were stored just now, also as parts of bars of longer intervals."""
    runtime: Runtime = ctx["runtime"]
    async with runtime.unit_of_work() as uow:
        for each in await shards.behind(uow, UUID(market_id)):
            if Interval[interval].divides(each.shard.interval):
                uow.enqueue(each.job)
        for session_id in await matching.unmatched(uow, [UUID(market_id)]):
            uow.enqueue(matching.match_job(session_id))
        for session_id in await live_watching.behind(uow, UUID(market_id)):
            uow.enqueue(lifecycle.live_bot_job(session_id))


async def match_orders(ctx: dict[str, Any], session_id: str) -> None:
    """Fill orders by hand from the bars that have closed since; calling it again changes nothing."""
    runtime: Runtime = ctx["runtime"]
    async with runtime.unit_of_work() as uow:
        await matching.match_orders(uow, runtime.arrays, UUID(session_id))


async def tick(ctx: dict[str, Any], market_id: str, interval: str, shard: int) -> None:
    """Advance a shard of live sessions up to the newest bar; calling it again changes nothing."""
    await ticking.tick(ctx["runtime"], Shard(MarketId(UUID(market_id)), Interval[interval], shard))


async def check(ctx: dict[str, Any], market_id: str, interval: str, shard: int) -> None:
    """Value the positions of a shard between closes; calling it again changes nothing that is booked."""
    await marking.check(ctx["runtime"], Shard(MarketId(UUID(market_id)), Interval[interval], shard))


async def _run(runtime: Runtime, held: Held, row: Row[Any]) -> None:
    async with runtime.unit_of_work() as uow:
        window = await load_window(uow, runtime, row)
    if row.replay_start is None:
        await _catch_up(runtime, held, row, window)
        await settle(runtime.unit_of_work, lambda uow: lifecycle.release(uow, held))
    elif window is None:
        raise DomainError("The candles of this replay are gone.", code=ErrorCode.NO_DATA)
    else:
        await _replay(runtime, held, row, window)


async def _close(runtime: Runtime, held: Held, row: Row[Any]) -> None:
    now = standing(row)
    if row.replay_start is None:
        async with runtime.unit_of_work() as uow:
            window = await load_window(uow, runtime, row)
        now = await _catch_up(runtime, held, row, window)
    step = await asyncio.to_thread(take_step, now, _NO_BARS, Signals.none(0), 0, 0, finish=True)
    if not await settle(runtime.unit_of_work, lambda uow: _write(uow, held, step)):
        raise LostError


_NONE = np.zeros(0)
_NO_BARS = Bars(np.zeros(0, np.int64), _NONE, _NONE, _NONE, _NONE, _NONE, interval=1)


async def _catch_up(runtime: Runtime, held: Held, row: Row[Any], window: Window | None) -> Standing:
    """Trade the bars that have closed since the last one that was traded, in order."""
    now = standing(row)
    if window is None:
        return now
    stop = _closed_by(window.bars, to_milliseconds(runtime.clock.now()))
    if stop <= _done(window, now):
        return now
    bars, key = window.bars.slice(0, stop), signal_key(row, int(window.bars.time[0]))
    heard = await asyncio.to_thread(window.hear, key, bars, now.last_bar_time)
    new = _done(window, now) - (stop - len(heard.bars))
    said = explained(key, heard.lines, heard.bars, heard.signals, new)
    shard = Shard(MarketId(row.market_id), Interval[row.interval], row.shard)
    return await _step(
        runtime,
        held,
        replace(now, signal_key=key),
        window,
        heard.signals_over(stop),
        stop,
        said=said,
        shard=shard,
        check_seconds=row.check_seconds,
    )


async def _replay(runtime: Runtime, held: Held, row: Row[Any], window: Window) -> None:
    now, bars = standing(row), window.bars
    signals = await asyncio.to_thread(window.rules.signals, bars, window.parameters)
    while True:
        done = _done(window, now)
        due = _closed_by(bars, _replayed_until(row, runtime.clock.now())) if row.replay_speed else len(bars)
        stop = min(done + STEP_BARS, max(due, done))
        if stop == len(bars):
            await _step(runtime, held, now, window, signals, stop, finish=True)
            return
        if stop == done:
            break
        now = await _step(runtime, held, now, window, signals, stop)
    due_at = _due_at(row, int(bars.time[done]) + bars.interval)
    await settle(runtime.unit_of_work, lambda uow: lifecycle.release(uow, held, due_at))


def _done(window: Window, now: Standing) -> int:
    """Return the index of the first bar of a window that was not traded yet."""
    if now.last_bar_time is None:
        return window.start
    return int(np.searchsorted(window.bars.time, now.last_bar_time, side="right"))


def _closed_by(bars: Bars, moment: int) -> int:
    """Return how many bars of a window have closed by a moment, Unix milliseconds."""
    return int(np.searchsorted(bars.time, moment - bars.interval, side="right"))


def _replayed_until(row: Row[Any], now: datetime) -> int:
    """Return the moment of history, Unix milliseconds, that a paced replay has reached."""
    passed = (now - row.started_at).total_seconds() * row.replay_speed
    return to_milliseconds(row.replay_start) + int(min(passed, 1e12) * 1000)


def _due_at(row: Row[Any], closing: int) -> datetime:
    """Return when a paced replay reaches a moment of history, Unix milliseconds."""
    passed = (closing - to_milliseconds(row.replay_start)) / 1000
    moment: datetime = row.started_at + timedelta(seconds=passed / row.replay_speed)
    return moment


async def _step(
    runtime: Runtime,
    held: Held,
    before: Standing,
    window: Window,
    signals: Signals,
    stop: int,
    *,
    finish: bool = False,
    said: Sequence[Said] = (),
    shard: Shard | None = None,
    check_seconds: int = 0,
) -> Standing:
    step = await asyncio.to_thread(take_step, before, window.bars, signals, window.start, stop, finish=finish)

    # After a commit whose answer was lost, this looks as if somebody else had written the step; that is
    # harmless, since whoever comes next goes on from there.
    async def write(uow: UnitOfWork) -> bool:
        if not await _write(uow, held, step, said):
            return False
        if shard is not None:
            await marking.look_after(uow, shard, [(step, check_seconds)])
        return True

    if not await settle(runtime.unit_of_work, write):
        raise LostError
    return step.standing


async def _write(uow: UnitOfWork, held: Held, step: Step, said: Sequence[Said] = ()) -> bool:
    if not await book(uow, [Booking(step, held.fence)]):
        return False
    await note(uow, said)
    return not step.finished or await lifecycle.end_session(uow, held)


async def sweep(runtime: Runtime) -> None:
    """Hand out what a dead worker or a lost queue has left behind. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        barred = await lifecycle.stop_bots_of_idle_users(uow)
        if not runtime.settings.live_trading_enabled:
            barred += await lifecycle.stop_live_bots(uow)
        to_run, to_close = await lifecycle.unattended(uow)
        for session_id in to_run:
            uow.enqueue(lifecycle.run_job(session_id))
        for session_id in to_close:
            uow.enqueue(lifecycle.close_job(session_id))
        for each in await shards.behind(uow):
            uow.enqueue(each.job)
        for session_id in await matching.unmatched(uow):
            uow.enqueue(matching.match_job(session_id))
        for session_id in await live_watching.behind(uow):
            uow.enqueue(lifecycle.live_bot_job(session_id))
        for session_id in (*await live_watching.ending(uow), *await live_watching.neglected(uow)):
            uow.enqueue(lifecycle.live_session_job(session_id))
        wanted = [
            *await shards.watched(uow),
            *await matching.followed(uow),
            *await live_watching.watched(uow),
        ]
        await feeds.want(uow, [*wanted, *await marking.markets_looked_at(uow)])
        by_hand = await hand_sessions.of_idle_users(uow)
    if barred:
        _log.info("bots_of_idle_users_stopped", count=len(barred))
    for session_id in by_hand:
        async with runtime.unit_of_work() as uow:
            await hand_sessions.end_of_idle_user(uow, runtime.arrays, session_id)
    if by_hand:
        _log.info("sessions_of_idle_users_stopped", count=len(by_hand))


async def forget_signals(runtime: Runtime) -> None:
    """Delete what strategies said longer ago than it is kept."""
    async with runtime.unit_of_work() as uow:
        await explaining.forget(uow, timedelta(days=runtime.settings.bot_decision_days))


async def pace(runtime: Runtime) -> None:
    """Hand out the replays and the positions whose time has come. Any worker may, at any time."""
    async with runtime.unit_of_work() as uow:
        for session_id in await lifecycle.due(uow):
            uow.enqueue(lifecycle.run_job(session_id))
        for job in (*await marking.due_jobs(uow), *await live_watching.due_jobs(uow)):
            uow.enqueue(job)
