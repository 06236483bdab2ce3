"""A tick: the sessions of a shard trade the bars that have closed since the last one.

The candles are loaded once for all of them, and signals are computed once for all that run the same
strategy with the same parameters since the same bar.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Row

from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.bots import lifecycle, shards
from gql_trader.bots.attending import settle
from gql_trader.bots.booking import Booking, book
from gql_trader.bots.running import standing
from gql_trader.bots.stepping import Step, take_step
from gql_trader.bots.types import Held, Shard
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import StrategyId, TradingSessionId
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import CompiledRules
from gql_trader.infra import json_codec
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data.loading import find_series, load_bars
from gql_trader.runtime import Runtime
from gql_trader.strategies import service as strategies

_log = structlog.get_logger(__name__)

Version = tuple[StrategyId, int]


@dataclass(frozen=True, slots=True)
class _Work:
    """What a tick has read.

    Attributes
    ----------
    bars
        From the earliest bar that any of the sessions needs, up to the newest that has closed.
    lookbacks
        Bars wanted before a session's first one, by session.
    """

    rows: Sequence[Row[Any]]
    bars: Bars
    rules: Mapping[Version, CompiledRules]
    lookbacks: Mapping[Any, int]


@dataclass(slots=True)
class _Outcome:
    bookings: list[Booking] = field(default_factory=list)
    failures: list[Held] = field(default_factory=list)


async def tick(runtime: Runtime, shard: Shard) -> int:
    """Advance the sessions of a shard that are behind; return how many were advanced.

    May be called any number of times, by any number of workers: a bar is traded once.
    """
    seconds = runtime.settings.job_lease_seconds
    async with runtime.unit_of_work() as uow:
        fence = await shards.claim(uow, shard, seconds)
    if fence is None:
        return 0
    try:
        async with runtime.unit_of_work() as uow:
            work = await _read(uow, runtime, shard)
        if work is None:
            return 0
        outcome = await asyncio.to_thread(_compute, work)
        written: set[Any] = set()

        async def write(uow: UnitOfWork) -> bool:
            written.clear()
            if not await shards.keep(uow, shard, fence, seconds):
                return False
            written.update(await book(uow, outcome.bookings))
            await lifecycle.mark_running(uow, [row.id for row in work.rows])
            return True

        if not await settle(runtime, write):
            _log.info("shard_taken_over", market_id=str(shard.market_id), shard=shard.number)
        reason = "The engine failed. The server's log tells more under this session's id."
        for held in outcome.failures:
            await settle(runtime, lambda uow, held=held: lifecycle.end_session(uow, held, reason))  # type: ignore[misc]
        return len(written)
    finally:
        await asyncio.shield(settle(runtime, lambda uow: shards.release(uow, shard, fence)))


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
    rules: dict[Version, CompiledRules] = {}
    for row in rows:
        version = (row.strategy_id, row.strategy_version)
        if version not in rules:
            definition = await strategies.load_version(uow, *version)
            rules[version] = strategies.compiled(definition)
    lookbacks = {
        row.id: rules[row.strategy_id, row.strategy_version].warmup(
            row.parameters, shard.interval.milliseconds
        )
        + SIGNAL_BARS
        for row in rows
        if row.anchor_time is None
    }
    begins = [row.anchor_time for row in rows if row.anchor_time is not None]
    end = from_milliseconds(newest + shard.interval.milliseconds)
    if lookbacks:
        first = min(row.trade_from for row in rows if row.anchor_time is None)
        found = await load_bars(uow, runtime.arrays, series, first, end, max(lookbacks.values()))
        if len(found.bars):
            begins.append(int(found.bars.time[0]))
    if not begins:
        return None
    loaded = await load_bars(uow, runtime.arrays, series, from_milliseconds(min(begins)), end)
    return _Work(rows, loaded.bars, rules, lookbacks)


def _compute(work: _Work) -> _Outcome:
    outcome = _Outcome()
    groups: dict[tuple[Any, ...], list[tuple[Row[Any], int]]] = {}
    for row in work.rows:
        if row.anchor_time is not None:
            at, start = int(np.searchsorted(work.bars.time, row.anchor_time)), 0
        else:
            first = int(np.searchsorted(work.bars.time, shards.trades_from(row.trade_from)))
            if first == len(work.bars):
                continue
            at = max(0, first - work.lookbacks[row.id])
            start = first - at
        version = (row.strategy_id, row.strategy_version)
        key = (version, json_codec.dumps_canonical(row.parameters), at)
        groups.setdefault(key, []).append((row, start))
    for (version, _, at), members in groups.items():
        bars = work.bars.slice(at, len(work.bars))
        try:
            signals = work.rules[version].signals(bars, members[0][0].parameters)
        except Exception:
            _log.exception("signals_failed", sessions=[str(row.id) for row, _ in members])
            outcome.failures += [Held(TradingSessionId(row.id), row.fence) for row, _ in members]
            continue
        for row, start in members:
            try:
                step: Step = take_step(standing(row), bars, signals, start, len(bars))
            except Exception:
                _log.exception("session_failed", session_id=str(row.id))
                outcome.failures.append(Held(TradingSessionId(row.id), row.fence))
            else:
                outcome.bookings.append(Booking(step, row.fence))
    return outcome
