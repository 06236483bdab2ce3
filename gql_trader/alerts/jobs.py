"""Looking at alerts: whenever bars are there that have not been looked at."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from gql_trader.alerts import repository, service
from gql_trader.alerts.conditions import look, warmup_of
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import RuleIssues
from gql_trader.market_data.closed_bars import last_closed_bar, without_open_bar
from gql_trader.market_data.feeds import states as feeds
from gql_trader.market_data.service import market_with_base
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)

_AT_ONCE = 500


async def watch(runtime: Runtime) -> int:
    """Look at all alerts that are behind; return how many users were told of. Any worker may, at any time.

    What happened while no worker was there is told once: of several bars at which a condition came to hold,
    the last.
    """
    async with runtime.unit_of_work() as uow:
        watched = await repository.watched(uow.session)
        await feeds.want(uow, [(market_id, Interval[interval]) for market_id, interval in watched])
    told = 0
    for market_id, interval in watched:
        told += await _look_at(runtime, market_id, Interval[interval])
    return told


async def _look_at(runtime: Runtime, market_id: UUID, interval: Interval) -> int:
    told = 0
    while True:
        async with runtime.unit_of_work() as uow:
            series = await find_series(uow, MarketId(market_id), interval)
            if series is None:
                return told
            latest = last_closed_bar(series)
            rows = await repository.behind(uow.session, market_id, interval.name, latest, _AT_ONCE)
            if not rows:
                return told
            market, _ = await market_with_base(uow, market_id)
            # The candles are read once for all of them, from the earliest bar that one has to look at.
            warmup = await asyncio.to_thread(_longest_warmup, rows, interval)
            start = from_milliseconds(min(row.last_bar for row in rows)) + timedelta(milliseconds=1)
            loaded = await load_bars(uow, runtime.arrays, series, start, None, warmup + 1)
        bars = without_open_bar(series, loaded.bars)
        moved = 0
        for row in rows:
            if not len(bars) or bars.time[-1] <= row.last_bar:
                # A gap: the bar that could be over has no candles.
                continue
            told += await _settle(runtime, row, bars, market.name)
            moved += 1
        if moved < _AT_ONCE:
            return told


def _longest_warmup(rows: Any, interval: Interval) -> int:
    longest = 0
    for row in rows:
        try:
            longest = max(longest, warmup_of(row.condition, interval))
        except RuleIssues:
            # Said of this alert when its turn comes.
            continue
    return longest


async def _settle(runtime: Runtime, row: Row[Any], bars: Bars, market: str) -> bool:
    try:
        looked = await asyncio.to_thread(look, row.condition, bars, row.last_bar, row.held)
    except RuleIssues as error:
        # The language has changed since the alert was made.
        _log.warning("alert_failed", alert_id=str(row.id), reason=str(error))
        async with runtime.unit_of_work() as uow:
            await service.fail(uow, row, int(bars.time[-1]), str(error))
        return False
    async with runtime.unit_of_work() as uow:
        return await service.settle(uow, row, looked, market)
