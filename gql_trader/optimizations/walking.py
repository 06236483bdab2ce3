"""Walk-forward: the best of each training, and the curve that is put together from the tests alone."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from sqlalchemy import Row

from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars, Floats, Integers
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.ledger import Ledger
from gql_trader.engine.metrics.daily import DailyCurve
from gql_trader.engine.results import Result
from gql_trader.engine.search.scoring import METRICS, best_of
from gql_trader.engine.search.trials import Setting
from gql_trader.optimizations.ranges import trial
from gql_trader.optimizations.trials import decode_scores, decode_trials
from gql_trader.optimizations.windows import Window, testing_range, training_range, windows_of


def _cut(setting: Setting, low: int, high: int, lookback: int) -> Setting:
    begin, stop = (int(place) for place in np.searchsorted(setting.bars.time, (low, high)))
    warm = max(0, begin - lookback)
    return replace(setting, bars=setting.bars.slice(warm, stop), start=begin - warm)


def training(setting: Setting, window: Window, lookback: int) -> Setting:
    """Return the bars that a window trains on, and up to ``lookback`` before them; none behind them."""
    return _cut(setting, *training_range(window), lookback)


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk amounts to.

    Attributes
    ----------
    windows
        A JSON object for each: the number and values of its best trial, in- and out-of-sample figures.
    metrics
        Figures of the whole curve, by name.
    time, equity
        int64[n] and float64[n]: every bar that was tested on, in order.
    daily
        The same for each day.
    """

    windows: list[dict[str, Any]]
    metrics: dict[str, Any]
    time: Integers
    equity: Floats
    daily: DailyCurve


def walk(
    search: Row[Any],
    chunks: Sequence[Row[Any]],
    setting: Setting,
    lookback: int,
    progress: Callable[[float], None],
) -> Walk:
    """Run each window's best combination over its test, and put the tests together.

    A test begins with what the one before has left, without a position, on indicators that are warmed up
    over the bars before it. A window none of whose trials has an objective is not traded.
    """
    numbers, scores = decode_scores(chunks)
    windows = windows_of(search)
    each = search.trials_total // len(windows)
    best = [best_of(scores[place * each : (place + 1) * each]) for place in range(len(windows))]
    chosen = [
        None if found is None else int(numbers[place * each + found]) for place, found in enumerate(best)
    ]
    records = decode_trials(search, chunks, [number for number in chosen if number is not None])
    capital = setting.initial_capital
    told: list[dict[str, Any]] = []
    tested: list[Bars] = []
    results: list[Result] = []
    for place, window in enumerate(windows):
        progress(place / len(windows))
        test = _cut(setting, *testing_range(window), lookback)
        traded = test.bars.slice(test.start, len(test.bars))
        number = chosen[place]
        entry: dict[str, Any] = {"trial": number, "values": None, "inSample": None, "outOfSample": None}
        execution = ExecutionSpec()
        signals = simulation.Signals.none(len(test.bars))
        if number is not None:
            record = records[number]
            wanted = trial(search.parameters, search.execution, record.values)
            assert wanted.execution is not None, "a combination without figures has no score"
            entry |= {"values": dict(record.values), "inSample": dict(record.metrics)}
            if capital > 0.0:
                execution = wanted.execution
                signals = setting.rules.signals(test.bars, wanted.parameters)
        if capital > 0.0:
            result = simulation.run(test.bars, signals, execution, capital, test.start)
            capital = result.final_equity
            if number is not None:
                measured = metrics.compute(result, traded, setting.trading_days)
                entry["outOfSample"] = {name: getattr(measured, name) for name in METRICS}
            results.append(result)
            tested.append(traded)
        told.append(entry)
    bars, whole = _joined(tested), _stitched(results)
    daily = metrics.daily_curve(
        bars.time, whole.equity, bars.interval, setting.initial_capital, setting.trading_days
    )
    measured = metrics.compute(whole, bars, setting.trading_days, daily)
    return Walk(told, {name: asdict(measured)[name] for name in METRICS}, bars.time, whole.equity, daily)


def _joined(parts: Sequence[Bars]) -> Bars:
    names = [each.name for each in fields(Bars) if each.name != "interval"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Bars(**columns, interval=parts[0].interval)


def _stitched(results: Sequence[Result]) -> Result:
    ledger = Ledger(
        **{
            each.name: np.concatenate([getattr(result.ledger, each.name) for result in results])
            for each in fields(Ledger)
        }
    )
    sums = {
        name: sum(getattr(result, name) for result in results)
        for name in ("bars_in_position", "traded_notional", "fees_paid", "funding_paid")
    }
    return Result(
        ledger=ledger,
        equity=np.concatenate([result.equity for result in results]),
        start=0,
        initial_capital=results[0].initial_capital,
        final_equity=results[-1].final_equity,
        **sums,
    )
