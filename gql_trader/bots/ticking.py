"""A tick: the sessions of a shard trade the bars that have closed since the last one.

The candles are loaded once for all of them, and signals are computed once for all that run the same
strategy with the same parameters since the same bar.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import structlog
from sqlalchemy import Row

from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.bots import lifecycle, shards
from gql_trader.bots.booking import Booking, book
from gql_trader.bots.explaining import Said, explain, note, signal_key
from gql_trader.bots.marking import look_after
from gql_trader.bots.running import code_of, standing
from gql_trader.bots.stepping import Standing, signals_from, take_quiet_steps, take_step
from gql_trader.bots.types import ENGINE_FAILED, Held, Shard
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.errors import DomainError
from gql_trader.core.ids import TradingSessionId
from gql_trader.engine.bars import Bars
from gql_trader.engine.plugins import PluginError, PluginRegistry, StrategyCode
from gql_trader.engine.signals import Signals
from gql_trader.infra import json_codec
from gql_trader.infra.leases import settle
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.loading import find_series, load_bars
from gql_trader.runtime import Runtime
from gql_trader.strategies import service as strategies
from gql_trader.strategies.types import StrategyDefinition

_log = structlog.get_logger(__name__)

Version = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class _Work:
    """What a tick has read.

    Attributes
    ----------
    bars
        From the earliest bar that any of the sessions needs, up to the newest that has closed.
    """

    bars: Bars
    ready: "_Ready"


@dataclass(slots=True)
class _Ready:
    """Sessions whose strategies can be run, and those that fail since they cannot.

    Attributes
    ----------
    lookbacks
        Bars wanted before a session's first one, by session; of those that have not traded yet.
    """

    rows: list[Row[Any]] = field(default_factory=list)
    codes: dict[Version, StrategyCode] = field(default_factory=dict)
    lookbacks: dict[UUID, int] = field(default_factory=dict)
    failures: list[tuple[Held, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Outcome:
    bookings: list[Booking] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    failures: list[tuple[Held, str]] = field(default_factory=list)


async def tick(runtime: Runtime, shard: Shard) -> int:
    """Advance the sessions of a shard that are behind; return how many were advanced.

    May be called any number of times, by any number of workers: a bar is traded once.
    """
    lease_seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        fence = await shards.claim(uow, shard, lease_seconds)
    if fence is None:
        return 0
    try:
        async with runtime.unit_of_work() as uow:
            work = await _read(uow, runtime, shard)
        if work is None:
            return 0
        outcome = await asyncio.to_thread(_compute, work)
        written: set[Any] = set()
        seconds = {row.id: row.check_seconds for row in work.ready.rows}

        async def write(uow: UnitOfWork) -> bool:
            written.clear()
            if not await shards.keep(uow, shard, fence, lease_seconds):
                return False
            written.update(await book(uow, outcome.bookings))
            steps = (each.step for each in outcome.bookings if each.step.standing.session_id in written)
            await look_after(uow, shard, [(step, seconds[step.standing.session_id]) for step in steps])
            await note(uow, outcome.said)
            await lifecycle.mark_running(uow, [row.id for row in work.ready.rows])
            return True

        if not await settle(runtime.unit_of_work, write):
            _log.info("shard_taken_over", market_id=str(shard.market_id), shard=shard.number)
        for held, reason in outcome.failures:
            await _fail(runtime, held, reason)
        return len(written)
    finally:
        await asyncio.shield(settle(runtime.unit_of_work, lambda uow: shards.release(uow, shard, fence)))


async def _fail(runtime: Runtime, held: Held, reason: str) -> None:
    await settle(runtime.unit_of_work, lambda uow: lifecycle.end_session(uow, held, reason))


def _version(row: Row[Any]) -> Version:
    return row.strategy_id, row.strategy_version


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
    definitions = await strategies.load_versions(uow, list({_version(row) for row in rows}))
    ready = await asyncio.to_thread(_prepare, rows, definitions, runtime.plugins, shard)
    begins = [row.anchor_time for row in ready.rows if row.anchor_time is not None]
    end = from_milliseconds(newest + shard.interval.milliseconds)
    if ready.lookbacks:
        first = min(row.trade_from for row in ready.rows if row.anchor_time is None)
        most = max(ready.lookbacks.values())
        found = await load_bars(uow, runtime.arrays, series, first, end, most)
        begins += found.bars.time[:1].tolist()
    begin = from_milliseconds(min(begins)) if begins else end
    loaded = await load_bars(uow, runtime.arrays, series, begin, end)
    return _Work(loaded.bars, ready)


def _prepare(
    rows: Sequence[Row[Any]],
    definitions: Mapping[Version, StrategyDefinition],
    plugins: PluginRegistry,
    shard: Shard,
) -> _Ready:
    ready = _Ready()
    for row in rows:
        try:
            code = code_of(definitions[_version(row)], plugins)
            if row.anchor_time is None:
                warmup = code.warmup(json_codec.loads(row.parameters), shard.interval.milliseconds)
                ready.lookbacks[row.id] = warmup + SIGNAL_BARS
        except Exception as error:
            ready.failures.append(_failure(row, error))
        else:
            ready.rows.append(row)
            ready.codes[_version(row)] = code
    return ready


def _failure(row: Row[Any], error: Exception) -> tuple[Held, str]:
    held = Held(TradingSessionId(row.id), row.fence)
    if isinstance(error, DomainError | PluginError):
        return held, str(error)
    _log.error("session_failed", session_id=str(row.id), exc_info=error)
    return held, ENGINE_FAILED


def _compute(work: _Work) -> _Outcome:
    ready, outcome = work.ready, _Outcome(failures=list(work.ready.failures))
    groups: dict[tuple[Version, str, int], list[tuple[Row[Any], int]]] = {}
    for row in ready.rows:
        if row.anchor_time is not None:
            at, start = int(np.searchsorted(work.bars.time, row.anchor_time)), 0
        else:
            first = int(np.searchsorted(work.bars.time, shards.trades_from(row.trade_from)))
            if first == len(work.bars):
                continue
            at = max(0, first - ready.lookbacks[row.id])
            start = first - at
        groups.setdefault((_version(row), row.parameters, at), []).append((row, start))
    for (version, parameters, at), members in groups.items():
        bars = work.bars.slice(at, len(work.bars))
        try:
            values = json_codec.loads(parameters)
            code = ready.codes[version]
            signals = code.signals(bars, values)
            key = signal_key(members[0][0], int(bars.time[0]))
            outcome.said += explain(key, code, values, bars, signals, _first_new(bars, members))
        except Exception as error:
            outcome.failures += [_failure(row, error) for row, _ in members]
        else:
            _step_group(members, bars, signals, key, outcome)
    return outcome


def _first_new(bars: Bars, members: Sequence[tuple[Row[Any], int]]) -> int:
    """Return the index of the first bar that any of some sessions has not traded."""
    return min(
        start
        if row.last_bar_time is None
        else int(np.searchsorted(bars.time, row.last_bar_time, side="right"))
        for row, start in members
    )


def _step_group(
    members: Sequence[tuple[Row[Any], int]], bars: Bars, signals: Signals, key: UUID, outcome: _Outcome
) -> None:
    rows = {row.id: row for row, _ in members}
    starts = {row.id: start for row, start in members}
    alike: dict[int | None, list[Standing]] = {}
    for row in rows.values():
        alike.setdefault(row.last_bar_time, []).append(standing(row, key))
    for last_bar_time, standings in alike.items():
        single = standings
        if last_bar_time is not None:
            new = int(np.searchsorted(bars.time, last_bar_time, side="right"))
            fresh = bars.slice(new, len(bars))
            steps, single = take_quiet_steps(standings, fresh, signals_from(signals, new))
            outcome.bookings += [Booking(step, rows[step.standing.session_id].fence) for step in steps]
        for each in single:
            row = rows[each.session_id]
            try:
                step = take_step(each, bars, signals, starts[row.id], len(bars))
            except Exception as error:
                outcome.failures.append(_failure(row, error))
            else:
                outcome.bookings.append(Booking(step, row.fence))
