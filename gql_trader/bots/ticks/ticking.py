"""A tick: the sessions of a shard trade the bars that have closed since the last one.

The candles are loaded once for all of them, and signals are computed once for all that run the same
strategy with the same parameters since the same bar: at the new bars only, by a process that has computed
them before.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Row

from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.bots import lifecycle
from gql_trader.bots.explaining import Said, explained, key_of_signals, note
from gql_trader.bots.ticks import shards
from gql_trader.bots.ticks.booking import Booking, book
from gql_trader.bots.ticks.hearing import ForgottenError, Heard, Hearing, Source, go_on, hear, hearings
from gql_trader.bots.ticks.known import KnownSession, Program, Version, known_sessions
from gql_trader.bots.ticks.marking import look_after
from gql_trader.bots.ticks.running import code_of, guards_of
from gql_trader.bots.ticks.stepping import Standing, signals_from, take_quiet_steps, take_step
from gql_trader.bots.types import ENGINE_FAILED, Held, Shard
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import DomainError
from gql_trader.core.ids import TradingSessionId
from gql_trader.engine.bars import Bars
from gql_trader.engine.plugins import PluginError, PluginRegistry, StrategyCode
from gql_trader.engine.signals import Signals
from gql_trader.infra.leases import settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.store.loading import find_series, load_bars, load_newest
from gql_trader.runtime import Runtime
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import StrategyDefinition

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Ready:
    """Sessions whose strategies can be run, and those that fail since they cannot.

    Attributes
    ----------
    source
        The candles that they trade.
    rows
        Where each stands.
    lookbacks
        Bars wanted before a session's first one, by session; of those that have not traded yet.
    hearings
        Strategies that this process has listened to so far, by what stands for their signals.
    """

    shard: Shard
    source: Source
    known: Mapping[UUID, KnownSession]
    rows: list[Row[Any]] = field(default_factory=list)
    codes: dict[Program, StrategyCode] = field(default_factory=dict)
    lookbacks: dict[UUID, int] = field(default_factory=dict)
    hearings: dict[UUID, Hearing] = field(default_factory=dict)
    failures: list[tuple[Held, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a tick has read.

    Attributes
    ----------
    bars
        From the earliest bar that any of the sessions needs, up to the newest that has closed.
    """

    bars: Bars
    ready: _Ready


@dataclass(slots=True)
class _Outcome:
    bookings: list[Booking] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    failures: list[tuple[Held, str]] = field(default_factory=list)


async def tick(runtime: Runtime, shard: Shard) -> int:
    """Advance the sessions of a shard that are behind; return how many were advanced.

    May be called any number of times, by any number of workers: a bar is traded once.
    """
    async with runtime.unit_of_work() as uow:
        fence = await shards.claim(uow, shard, runtime.settings.job_lease_seconds)
    if fence is None:
        return 0
    released = False
    try:
        async with runtime.unit_of_work() as uow:
            work = await _read(uow, runtime, shard)
        if work is None:
            return 0
        outcome = await asyncio.to_thread(_compute, work)
        written: set[UUID] = set()

        async def write(uow: UnitOfWork) -> bool:
            written.clear()
            if not await shards.release(uow, shard, fence):
                return False
            written.update(await _book(uow, work, outcome))
            return True

        taken_over = not await settle(runtime.unit_of_work, write)
        released = True
        if taken_over:
            _log.info("shard_taken_over", market_id=str(shard.market_id), shard=shard.number)
        for held, reason in outcome.failures:
            await _fail(runtime, held, reason)
        return len(written)
    finally:
        if not released:
            await asyncio.shield(settle(runtime.unit_of_work, lambda uow: shards.release(uow, shard, fence)))


async def _book(uow: UnitOfWork, work: _Work, outcome: _Outcome) -> set[UUID]:
    ready = work.ready
    written = await book(uow, outcome.bookings)
    steps = [each.step for each in outcome.bookings if each.step.standing.terms.session_id in written]
    seconds = ((step, ready.known[step.standing.terms.session_id].check_seconds) for step in steps)
    await look_after(uow, ready.shard, seconds)
    await note(uow, outcome.said)
    new = [row.session_id for row in ready.rows if row.anchor_time is None]
    if new:
        await lifecycle.mark_running(uow, new)
    return written


async def _fail(runtime: Runtime, held: Held, reason: str) -> None:
    await settle(runtime.unit_of_work, lambda uow: lifecycle.end_session(uow, held, reason))


async def _read(uow: UnitOfWork, runtime: Runtime, shard: Shard) -> _Work | None:
    newest = (await shards.newest_bars(uow, {(shard.market_id, shard.interval)})).get(
        (shard.market_id, shard.interval)
    )
    series = await find_series(uow, shard.market_id, shard.interval)
    if newest is None or series is None:
        return None
    rows = await shards.sessions_behind(uow, shard, newest)
    if not rows:
        return None
    known = await known_sessions(uow, [row.session_id for row in rows])
    versions = {each.program.version for each in known.values()}
    definitions = await strategies.load_versions(uow, list(versions))
    source = Source.of(series.source)
    ready = await asyncio.to_thread(_prepare, rows, known, definitions, runtime.plugins, shard, source)
    begins = {row.anchor_time for row in ready.rows if row.signal_key not in ready.hearings} - {None}
    # With the last bar that was heard, or traded if that is earlier.
    begins.update(each.until for each in ready.hearings.values())
    begins.update(row.last_bar_time for row in ready.rows if row.signal_key in ready.hearings)
    until = newest + shard.interval.milliseconds
    if begins and not ready.lookbacks:
        bars = await load_newest(uow, series, min(begins), until)
        if bars is not None:
            return _Work(bars, ready)
    end = from_milliseconds(until)
    if ready.lookbacks:
        first = min(known[key].trade_from for key in ready.lookbacks)
        most = max(ready.lookbacks.values())
        found = await load_bars(uow, runtime.arrays, series, first, end, most)
        begins.update(found.bars.time[:1].tolist())
    begin = from_milliseconds(min(begins)) if begins else end
    loaded = await load_bars(uow, runtime.arrays, series, begin, end)
    return _Work(loaded.bars, ready)


def _prepare(
    rows: Sequence[Row[Any]],
    known: Mapping[UUID, KnownSession],
    definitions: Mapping[Version, StrategyDefinition],
    plugins: PluginRegistry,
    shard: Shard,
    source: Source,
) -> _Ready:
    ready, broken = _Ready(shard, source, known), dict[Program, Exception]()
    for program in {known[row.session_id].program: None for row in rows}:
        try:
            ready.codes[program] = code_of(definitions[program.version], plugins)
        except Exception as error:
            broken[program] = error
    for row in rows:
        program = known[row.session_id].program
        try:
            if program in broken:
                raise broken[program]
            if row.anchor_time is None:
                warmup = ready.codes[program].warmup(program.parameters, shard.interval.milliseconds)
                ready.lookbacks[row.session_id] = warmup + SIGNAL_BARS
        except Exception as error:
            ready.failures.append(_failure(row, error))
        else:
            ready.rows.append(row)
            key = row.signal_key
            if row.last_bar_time is not None and key not in ready.hearings:
                hearing = hearings.get(key, source)
                if hearing is not None:
                    ready.hearings[key] = hearing
    return ready


def _failure(row: Row[Any], error: Exception) -> tuple[Held, str]:
    held = Held(TradingSessionId(row.session_id), row.fence)
    if isinstance(error, DomainError | PluginError):
        return held, str(error)
    _log.error("session_failed", session_id=str(row.session_id), exc_info=error)
    return held, ENGINE_FAILED


@dataclass(frozen=True, slots=True)
class _Window:
    """The bars up to the newest at which some sessions' signals are known, and those signals.

    All bars that the signals are computed on if any of the sessions has not traded yet.
    """

    bars: Bars
    signals: Signals
    key: UUID


@dataclass(frozen=True, slots=True)
class _Session:
    """A session that is ready; ``start`` is the first bar of the window that may trade."""

    row: Row[Any]
    standing: Standing
    window: _Window
    start: int


def _compute(work: _Work) -> _Outcome:
    ready, outcome = work.ready, _Outcome(failures=list(work.ready.failures))
    time = work.bars.time
    # Nearly all of them have begun at a few bars, and are looked up once.
    places = {None: 0} | {anchor: int(np.searchsorted(time, anchor)) for anchor in _distinct(ready.rows)}
    groups: dict[tuple[Program, int | UUID], list[tuple[Row[Any], int]]] = {}
    for row in ready.rows:
        session = ready.known[row.session_id]
        at: int | UUID = places[row.anchor_time]
        start = 0
        if row.signal_key in ready.hearings:
            at = row.signal_key
        elif row.anchor_time is None:
            first = int(np.searchsorted(time, shards.trades_from(session.trade_from)))
            if first == len(work.bars):
                continue
            begin = max(0, first - ready.lookbacks[row.session_id])
            at, start = begin, first - begin
        groups.setdefault((session.program, at), []).append((row, start))
    alike: dict[int | None, list[_Session]] = {}
    for (program, at), members in groups.items():
        try:
            window = _observe(work, program, at, members, outcome)
        except ForgottenError:
            # They stay behind, and the next tick computes everything.
            continue
        except Exception as error:
            outcome.failures += [_failure(row, error) for row, _ in members]
        else:
            for row, start in members:
                standing = _standing(row, ready.known[row.session_id], window.key)
                alike.setdefault(row.last_bar_time, []).append(_Session(row, standing, window, start))
    for last_bar_time, sessions in alike.items():
        _step(sessions, last_bar_time, work.bars, outcome)
    return outcome


def _distinct(rows: Iterable[Row[Any]]) -> set[int]:
    return {row.anchor_time for row in rows if row.anchor_time is not None}


def _observe(
    work: _Work, program: Program, at: int | UUID, members: Sequence[tuple[Row[Any], int]], outcome: _Outcome
) -> _Window:
    """Return the signals of sessions that run the same program from the same bar on, and explain them.

    Parameters
    ----------
    at
        Index of that bar, or what stands for the signals if they have been listened to before.
    """
    if isinstance(at, UUID):
        key, heard = at, _go_on(work, at, members)
    else:
        key, heard = _begin(work, program, work.bars.slice(at, len(work.bars)), members[0][0].signal_key)
    bars, signals = heard.bars, heard.signals
    outcome.said += explained(key, heard.lines, bars, signals, _first_new(bars, members))
    return _Window(bars, signals, key)


def _go_on(work: _Work, key: UUID, members: Sequence[tuple[Row[Any], int]]) -> Heard:
    heard = go_on(key, work.ready.hearings[key], work.bars, min(row.last_bar_time for row, _ in members))
    if heard is None:
        raise ForgottenError
    return heard


def _begin(work: _Work, program: Program, bars: Bars, key: UUID | None) -> tuple[UUID, Heard]:
    shard, code, parameters = work.ready.shard, work.ready.codes[program], program.parameters
    key = key or key_of_signals(
        *program.version, parameters, shard.market_id, shard.interval, int(bars.time[0])
    )
    return key, hear(code, parameters, work.ready.source, key, bars, None)


def _first_new(bars: Bars, members: Sequence[tuple[Row[Any], int]]) -> int:
    """Return the index of the first bar that any of some sessions has not traded."""
    traded = [row.last_bar_time for row, _ in members if row.last_bar_time is not None]
    starts = [start for row, start in members if row.last_bar_time is None]
    if traded:
        starts.append(int(bars.time.searchsorted(min(traded), side="right")))
    return min(starts)


def _step(sessions: Sequence[_Session], last_bar_time: int | None, bars: Bars, outcome: _Outcome) -> None:
    """Trade the newest of some bars for sessions that have traded them up to the same one."""
    known = {each.standing.terms.session_id: each for each in sessions}
    single = [each.standing for each in sessions]
    if last_bar_time is not None:
        fresh = bars.slice(int(np.searchsorted(bars.time, last_bar_time, side="right")), len(bars))
        if not len(fresh):
            # The bars that have ended are not there: their interval had no candles.
            return
        windows = {id(each.window): each.window.signals for each in sessions}
        newest = {key: signals_from(said, len(said.entry_long) - len(fresh)) for key, said in windows.items()}
        heard = [newest[id(each.window)] for each in sessions]
        steps, single = take_quiet_steps(single, fresh, heard)
        outcome.bookings += [Booking(step, known[step.standing.terms.session_id].row.fence) for step in steps]
    for standing in single:
        each = known[standing.session_id]
        window = each.window
        try:
            step = take_step(standing, window.bars, window.signals, each.start, len(window.bars))
        except Exception as error:
            outcome.failures.append(_failure(each.row, error))
        else:
            outcome.bookings.append(Booking(step, each.row.fence))


def _standing(row: Row[Any], session: KnownSession, signal_key: UUID) -> Standing:
    rooted = row.anchor_time is not None and row.signal_key is not None
    return Standing(
        session.terms,
        row.revision,
        row.state,
        row.last_bar_time,
        row.bars,
        guards_of(row),
        signal_key,
        rooted,
    )
