"""Reading all that a chunk needs, and computing it. What computes runs in a thread of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Row

from gql_trader.backtests.history import SIGNAL_BARS
from gql_trader.core.errors import DomainError, ErrorCode
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_float
from gql_trader.engine import metrics, simulation
from gql_trader.engine.metrics.daily import DailyCurve
from gql_trader.engine.plugins import PluginRegistry
from gql_trader.engine.search.trials import Setting, run_trials
from gql_trader.infra.array_cache import ArrayCache
from gql_trader.infra.column_codec import decode_columns, encode_columns
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import service as market_data
from gql_trader.market_data.store.loading import find_series, load_bars
from gql_trader.optimizations import repository, sampling
from gql_trader.optimizations.lifecycle import Report, Trials
from gql_trader.optimizations.ranges import trial
from gql_trader.optimizations.trials import (
    codes_of,
    decode_scores,
    decode_trials,
    encode_trials,
    follows_from_number,
    goal_of,
    numbered_codes,
    space_of,
    trials_per_window,
    window_of,
)
from gql_trader.optimizations.types import ChunkKind
from gql_trader.optimizations.walking import training, walk
from gql_trader.optimizations.windows import windows_of
from gql_trader.strategies import service as strategies

Progress = Callable[[float], None]


async def load_setting(
    uow: UnitOfWork, arrays: ArrayCache, search: Row[Any], plugins: PluginRegistry
) -> Setting:
    """Read what all trials of a search have in common.

    Raises
    ------
    DomainError
        NO_DATA, if its candles are not those any more that it was requested for.
    """
    definition = await strategies.load_version(uow, search.strategy_id, search.strategy_version)
    market, base = await market_data.market_with_base(uow, search.market_id)
    series = await find_series(uow, market.id, Interval[search.interval])
    lookback = search.warmup_bars + SIGNAL_BARS
    loaded = (
        await load_bars(uow, arrays, series, search.start_time, search.end_time, lookback) if series else None
    )
    if loaded is None or loaded.content_hash != search.candles_hash:
        raise DomainError(
            "The candles have changed while the search was going on; start it again.", (), ErrorCode.NO_DATA
        )
    traded = loaded.bars.slice(loaded.warmup, len(loaded.bars))
    return Setting(
        bars=loaded.bars,
        start=loaded.warmup,
        rules=strategies.compiled(definition, plugins),
        initial_capital=to_float(search.initial_capital),
        # Of the whole search, whatever part of it a window or a chunk looks at.
        trading_days=market_data.trading_days(base, traded, search.metrics_version),
    )


async def load_before(uow: UnitOfWork, search: Row[Any], chunk: Row[Any]) -> list[Row[Any]]:
    """Read the trials that a chunk needs to know: those it learns from, or all for the report."""
    first, last = 1, search.trials_total
    if chunk.kind == ChunkKind.TRIALS.value:
        if follows_from_number(search):
            return []
        window, each = window_of(search, chunk.first_trial) or 0, trials_per_window(search)
        first, last = window * each + 1, (window + 1) * each
    return await repository.chunks_before(uow.session, search.id, chunk.stage, first, last)


def compute_trials(
    search: Row[Any], chunk: Row[Any], before: list[Row[Any]], setting: Setting, progress: Progress
) -> Trials:
    """Run the trials of a chunk and return what is to be stored."""
    space = space_of(search)
    first, count = chunk.first_trial, chunk.trial_count
    window = window_of(search, first)
    if window is not None:
        setting = training(setting, windows_of(search)[window], search.warmup_bars + SIGNAL_BARS)
    if before:
        tried = np.concatenate([codes_of(search, space, row) for row in before])
        _, scores = decode_scores(before)
        codes = sampling.choose(space, (search.seed, first), tried, scores, count)
    else:
        codes = numbered_codes(search, space, first, count)
    trials = [
        trial(search.parameters, search.execution, space.values(combination))
        for combination in codes.tolist()
    ]
    goal = goal_of(search)
    found = run_trials(setting, trials, progress, goal.further)
    stored = None if follows_from_number(search) else codes
    return encode_trials(found, goal, first, stored)


def compute_report(search: Row[Any], chunks: list[Row[Any]], setting: Setting, progress: Progress) -> Report:
    """Return what a search amounts to: its best trial's daily curve or that of the tests, and the spread."""
    numbers, scores = decode_scores(chunks)
    sharpe = np.concatenate([decode_columns(row.trials)["sharpe_ratio"] for row in chunks])
    defined = sharpe[np.isfinite(sharpe)]
    summary: dict[str, Any] = {
        "scored": int(np.isfinite(scores).sum()),
        "sharpes": len(defined),
        "sharpeVariance": float(np.var(defined, ddof=1)) if len(defined) > 1 else None,
        "annualDays": setting.trading_days.per_year,
    }
    if search.walk_forward:
        walked = walk(search, chunks, setting, search.warmup_bars + SIGNAL_BARS, progress)
        summary |= {
            "windows": walked.windows,
            "metrics": walked.metrics,
            "bars": len(walked.equity),
            "finalEquity": float(walked.equity[-1]),
        }
        equity = encode_columns({"time": walked.time, "equity": walked.equity})
        return Report(summary, _encode_daily(walked.daily), equity)
    if not summary["scored"]:
        return Report(summary, _encode_daily(None))
    best = int(numbers[np.nanargmax(scores)])
    values = decode_trials(search, chunks, [best])[best].values
    wanted = trial(search.parameters, search.execution, values)
    assert wanted.execution is not None, "a combination without figures has no score"
    signals = setting.rules.signals(setting.bars, wanted.parameters, progress)
    result = simulation.run(setting.bars, signals, wanted.execution, setting.initial_capital, setting.start)
    time = setting.bars.time[setting.start :]
    curve = metrics.daily_curve(
        time, result.equity, setting.bars.interval, setting.initial_capital, setting.trading_days
    )
    return Report(summary, _encode_daily(curve))


def _encode_daily(curve: DailyCurve | None) -> bytes:
    if curve is None:
        empty = np.empty(0)
        return encode_columns({"time": empty.astype(np.int64), "equity": empty, "return": empty})
    return encode_columns({"time": curve.time, "equity": curve.value, "return": curve.returns})
