"""How long thousands of running bots wait for their bar: from its storing to each bot's commit.

Usage: python -m benchmarks.bots [--bots 10000] [--markets 10] [--workers 2] [--bars 20] [--distinct]
                                 [--age DAYS]
       python -m benchmarks.bots --signals

Bots of a hundred users on one-minute bars of simulated markets, spread over the built-in strategies with
several parameters each. Every round stores one more bar of every market, hands out `bars_closed`, as whoever
stores candles does, and waits until every bot has traded it. The lag of a bot is the time from the commit of
its market's bar to the moment at which its own commit is seen, looked for every 20 ms: at one bot of each
shard, since those of a shard are committed together, and then once at all.

One of the bars that count is the first of a quarter of an hour, in which every bot leaves a row for reports.
At last the workers are started again, as by an upgrade, while a bar is waiting.

--distinct starts every bot of a market at a bar of its own, so that no two share their signals.

--age has all bots look so many days old: after the first bar it is noted that their signals begin so long
ago. The workers compute them over all those bars once, in rounds that do not count.

--signals measures something else, and nothing of the above: what the signals of the 240 combinations of
market, strategy and parameters take a bar, without a database, for bots a day, a month and a year old.
"""

import argparse
import asyncio
import subprocess
from datetime import UTC, datetime
from statistics import median
from time import monotonic, process_time
from typing import Any
from uuid import UUID

import numpy as np
import psutil
from sqlalchemy import Text, cast, func, insert, select, update

from benchmarks.own_servers import add_users, own_servers, start_worker
from gql_trader.backtests.execution import execution_to_json
from gql_trader.bots.models import BotRow, SessionStateRow, TradingSessionRow
from gql_trader.bots.ticks.hearing import Source, listen
from gql_trader.bots.types import SHARD_SESSIONS
from gql_trader.config import Settings
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.ids import MarketId, SeriesId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import ParameterValues, compile_rules, resolve_parameters
from gql_trader.engine.warmup import warm_up
from gql_trader.infra.allocator import keep_freed_memory
from gql_trader.infra.unit_of_work import Job
from gql_trader.market_data.service import ensure_market, save_candles
from gql_trader.market_data.types import BARS_CLOSED, BARS_CLOSED_QUEUE
from gql_trader.runtime import Runtime, open_runtime
from gql_trader.strategies import service as strategies
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES

_HISTORY = 1_000
_DAY_BARS = 1_440
_MINUTE = Interval.M1.milliseconds
_LOOK_SECONDS = 0.02
_WARM_UP = 3
_WARM_UP_OLD = 8
_QUARTER_AT = 8
"""Which of the bars is the first of a quarter of an hour."""
_USERS = 100
_MARKETS = 10


def _walk(bars: int, seed: int, start: int) -> Bars:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.001, bars)))
    opened = np.concatenate([[100.0], close[:-1]])
    time = start + _MINUTE * np.arange(bars, dtype=np.int64)
    high, low = np.maximum(opened, close) * 1.0005, np.minimum(opened, close) * 0.9995
    return Bars(time, opened, high, low, close, np.ones(bars), _MINUTE)


def _variants(parameters: ParameterValues) -> list[dict[str, Any]]:
    """Return three sets of parameters of a strategy: the first whole number differs."""
    numbers = [(name, value) for name, value in parameters.items() if type(value) is int][:1]
    return [dict(parameters) | {name: value + more for name, value in numbers} for more in range(3)]


def _signals() -> None:
    """Print what processor time a bar's signals take, over all bars and gone on with, at three ages."""
    made = [
        (code, values)
        for builtin in BUILTIN_STRATEGIES.values()
        for code in [compile_rules(builtin.rules, builtin.parameters)]
        for values in _variants(resolve_parameters(code.parameters, None))
    ]
    source = Source(SeriesId(uuid7()), 0)
    warm_up()
    keep_freed_memory()  # as a worker does
    more = 20
    for name, age in (("day", 1_440), ("month", 43_200), ("year", 525_600)):
        # Of one market, since the ten cost the same.
        bars = _walk(age + more, 1, 0)
        begun = process_time()
        hearings = [listen(code, values, source, bars.slice(0, age))[1] for code, values in made]
        first = process_time() - begun
        whole: list[float] = []
        new: list[float] = []
        for at in range(age, age + more):
            begun = process_time()
            for hearing in hearings:
                heard = hearing.hear(bars.slice(at - 1, at + 1), int(bars.time[at - 1]))
                assert heard is not None
            new.append(process_time() - begun)
            if len(whole) < 3:
                begun = process_time()
                for code, values in made:
                    code.signals_and_lines(bars.slice(0, at), values)
                whole.append(process_time() - begun)
        scale = 1_000 * _MARKETS
        print(
            f"240 combinations, a {name} old: a bar {scale * median(new):.1f} ms (over all bars "
            f"{scale * median(whole):.0f} ms), by a worker that begins {scale * first:.0f} ms"
        )


def _history(options: argparse.Namespace) -> int:
    return _HISTORY + int(options.age) * _DAY_BARS


async def _grow_old(runtime: Runtime, days: int) -> None:
    """Let the signals of all sessions begin some days earlier."""
    states = SessionStateRow.__table__.c
    earlier = {"anchor_time": states.anchor_time - days * _DAY_BARS * _MINUTE, "signal_key": None}
    async with runtime.unit_of_work() as uow:
        await uow.session.execute(update(SessionStateRow).values(earlier))


async def _prepare(runtime: Runtime, options: argparse.Namespace) -> dict[MarketId, Bars]:
    now = to_milliseconds(datetime.now(UTC))
    # One bar more, for the restart.
    quarter = Interval.M15.floor(now - (options.bars + 2 - _QUARTER_AT) * _MINUTE)
    history = _history(options)
    start = quarter - (history + _QUARTER_AT - 1) * _MINUTE
    markets: dict[MarketId, Bars] = {}
    async with runtime.unit_of_work() as uow:
        await strategies.sync_builtin_strategies(uow)
        for number in range(options.markets):
            market = await ensure_market(uow, "demo", f"BENCH{number}/USD")
            markets[market.id] = _walk(history + options.bars + 1, number, start)
            await save_candles(uow, market.id, Interval.M1, markets[market.id].slice(0, history))
    users, moment = await add_users(runtime, [f"bench{at}" for at in range(_USERS)]), datetime.now(UTC)
    chosen = []
    async with runtime.unit_of_work() as uow:
        for builtin in BUILTIN_STRATEGIES.values():
            definition = await strategies.load_version(uow, builtin.id, 1)
            parameters: dict[str, Any] = strategies.resolve_parameters(definition, {}, runtime.plugins)
            chosen += [(builtin.id, values) for values in _variants(parameters)]
    execution = execution_to_json(ExecutionSpec(stop_loss=0.02, max_daily_loss=0.1))
    rows: dict[Any, list[dict[str, Any]]] = {BotRow: [], TradingSessionRow: [], SessionStateRow: []}
    counts = dict.fromkeys(markets, 0)
    for at in range(options.bots):
        market_id = list(markets)[at % len(markets)]
        strategy_id, parameters = chosen[at // len(markets) % len(chosen)]
        back = counts[market_id] % 400 if options.distinct else 0
        trade_from = from_milliseconds(int(markets[market_id].time[history - 1 - back]) + _MINUTE)
        shared = {
            "user_id": users[at % _USERS],
            "market_id": market_id,
            "interval": "M1",
            "strategy_id": strategy_id,
            "strategy_version": 1,
            "parameters": parameters,
            "execution": execution,
            "mode": "PAPER",
        }
        bot_id, session_id = uuid7(), uuid7()
        rows[BotRow].append(
            shared
            | {
                "id": bot_id,
                "name": f"bot {at}",
                "initial_capital": 10_000,
                "check_interval_seconds": 60,
                "state": "RUNNING",
                "session_id": session_id,
                "created_at": moment,
                "updated_at": moment,
            }
        )
        rows[TradingSessionRow].append(
            shared
            | {
                "id": session_id,
                "bot_id": bot_id,
                "status": "ACTIVE",
                "capital": 10_000,
                "shard": counts[market_id] // SHARD_SESSIONS,
                "equity_every": 60,
                "started_at": moment,
                "trade_from": trade_from,
            }
        )
        rows[SessionStateRow].append(
            {
                "session_id": session_id,
                "revision": 0,
                "fence": 0,
                "bars": 0,
                "balance": 1e4,
                "equity": 1e4,
                "cash": 1e4,
                "day": -1,
                "day_start_equity": 1e4,
                "day_entries": 0,
                "halted": False,
                "resting_bars": 0,
                "peak_equity": 0.0,
                "drawn_down": False,
            }
        )
        counts[market_id] += 1
    async with runtime.unit_of_work() as uow:
        for model, values in rows.items():
            for begin in range(0, len(values), 1000):
                await uow.session.execute(insert(model), values[begin : begin + 1000])
    async with runtime.database.engine.connect() as connection:
        await connection.exec_driver_sql("ANALYZE")
        await connection.commit()
    return markets


async def _store(runtime: Runtime, markets: dict[MarketId, Bars], at: int) -> dict[MarketId, float]:
    """Store one more bar of every market; return when each was committed."""
    stored: dict[MarketId, float] = {}

    async def store(market_id: MarketId) -> None:
        async with runtime.unit_of_work() as uow:
            await save_candles(uow, market_id, Interval.M1, markets[market_id].slice(at, at + 1))
            key = f"{BARS_CLOSED}:{market_id}:{at}"
            uow.enqueue(Job(BARS_CLOSED, BARS_CLOSED_QUEUE, key, (str(market_id), "M1")))
            await uow.session.commit()
            stored[market_id] = monotonic()

    await asyncio.gather(*(store(market_id) for market_id in markets))
    return stored


async def _shards(runtime: Runtime) -> dict[UUID, tuple[MarketId, int]]:
    """Return one session of each shard, with its market and the number of sessions in the shard."""
    async with runtime.unit_of_work() as uow:
        statement = select(
            func.min(cast(TradingSessionRow.id, Text)), TradingSessionRow.market_id, func.count()
        ).group_by(TradingSessionRow.market_id, TradingSessionRow.shard)
        return {
            UUID(first): (MarketId(market_id), count)
            for first, market_id, count in await uow.session.execute(statement)
            if market_id is not None
        }


async def _round(
    runtime: Runtime,
    markets: dict[MarketId, Bars],
    shards: dict[UUID, tuple[MarketId, int]],
    at: int,
    stored: dict[MarketId, float],
) -> list[float]:
    """Wait until every bot has traded a bar; return the lag of each in seconds."""
    traded = SessionStateRow.last_bar_time == int(next(iter(markets.values())).time[at])
    waiting, lags = dict(shards), list[float]()
    while waiting:
        async with runtime.unit_of_work() as uow:
            looked_at = select(SessionStateRow.session_id).where(SessionStateRow.session_id.in_(shards))
            done = set(await uow.session.scalars(looked_at.where(traded)))
        now = monotonic()
        for key in done & set(waiting):
            market_id, count = waiting.pop(key)
            lags += [now - stored[market_id]] * count
        await asyncio.sleep(_LOOK_SECONDS)
    async with runtime.unit_of_work() as uow:
        every = await uow.session.scalar(select(func.count()).where(traded))
    if every != len(lags):
        raise SystemExit(f"{every} of {len(lags)} bots have traded the bar")
    return lags


def _processor_seconds() -> dict[str, float]:
    """Return the processor time that has been used so far, by kind of process."""
    spent = {"this program": sum(psutil.Process().cpu_times()[:2])}
    for process in psutil.Process().children(recursive=True):
        name = "workers" if "worker" in process.cmdline() else process.name()
        spent[name] = spent.get(name, 0.0) + sum(process.cpu_times()[:2])
    return spent


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    async with open_runtime(settings) as runtime:
        begun = monotonic()
        markets = await _prepare(runtime, options)
        print(f"{options.bots} bots on {options.markets} markets stored in {monotonic() - begun:.1f} s")
        shards = await _shards(runtime)

        def start_workers() -> list[subprocess.Popen[bytes]]:
            return [start_worker(settings, "bots") for _ in range(options.workers)]

        workers = start_workers()
        try:
            every: list[float] = []
            spent: dict[str, float] = {}
            warm_up_bars = _WARM_UP_OLD if options.age else _WARM_UP
            for number in range(1, options.bars + 1):
                at = _history(options) + number - 1
                if number == 2 and options.age:
                    await _grow_old(runtime, options.age)
                if number == warm_up_bars + 1:
                    spent = _processor_seconds()
                lags = await _round(runtime, markets, shards, at, await _store(runtime, markets, at))
                shown = " ".join(f"p{each} {np.percentile(lags, each):6.3f}" for each in (50, 99, 100))
                # The first rounds also start the workers and trade what came before.
                kept = number > warm_up_bars
                note = "" if kept else "   (not counted)"
                if number % 15 == _QUARTER_AT:
                    note += "   (the first of a quarter of an hour)"
                print(f"bar {number:3}: {shown} s{note}", flush=True)
                every += lags if kept else []
            rounds = options.bars - warm_up_bars
            for name, seconds in _processor_seconds().items():
                print(f"processor time of {name}: {(seconds - spent.get(name, 0.0)) / rounds:.3f} s a bar")
            print(
                f"lag of {len(every)} ticks: p50 {np.percentile(every, 50):.3f} s, "
                f"p99 {np.percentile(every, 99):.3f} s, largest {max(every):.3f} s"
            )
            _stop(workers)
            at = _history(options) + options.bars
            stored, begun = await _store(runtime, markets, at), monotonic()
            workers = start_workers()
            await _round(runtime, markets, shards, at, stored)
            print(f"after a restart of the workers all have traded in {monotonic() - begun:.1f} s")
        finally:
            _stop(workers)


def _stop(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(30)


def main() -> None:
    """Start servers and workers of their own, measure, and remove everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=10_000)
    parser.add_argument("--markets", type=int, default=_MARKETS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bars", type=int, default=20)
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--age", type=int, default=0)
    parser.add_argument("--signals", action="store_true")
    options = parser.parse_args()
    if options.signals:
        _signals()
        return
    with own_servers() as settings:
        asyncio.run(_measure(settings, options))


if __name__ == "__main__":
    main()
