"""Trials: many runs over the same bars, of which only figures are kept."""

from collections.abc import Callable, Sequence

import numpy as np

from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import CompiledRules, ParameterValue, ParameterValues, RuleIssues
from gql_trader.engine.rules.sharing import SharedColumns
from gql_trader.engine.search.fast import FastTrials, takes
from gql_trader.engine.search.scoring import METRICS
from gql_trader.engine.search.setting import Setting, Trial
from gql_trader.engine.signals import RawSignals, Signals

__all__ = ["Setting", "Trial", "run_trials"]

SHARED_BYTES = 48 * 2**20
"""Columns of indicators that are kept for the next trials."""

TILE = 4
"""Values of each parameter that are tried together with those of the others."""


def run_trials(
    setting: Setting,
    trials: Sequence[Trial],
    on_progress: Callable[[float], None] | None = None,
    further: Sequence[str] = (),
) -> dict[str, Floats]:
    """Run trials and return their figures.

    What a trial gets does not depend on which others are run with it, nor on their order.

    Parameters
    ----------
    trials
        Neighbours with the same parameters share their signals, others their indicators.
    on_progress
        Called after each trial with the fraction done; what it raises ends the run.
    further
        Names of metrics that are wanted beside `METRICS`. The engine runs such trials as it runs a backtest,
        which takes some three times as long.

    Returns
    -------
    dict
        float64[trials] for each of `METRICS` and ``further``, NaN where a figure is undefined. A trial whose
        combination is not valid, such as a period that an indicator does not take, has nothing but NaN.
        Figures are those of `gql_trader.engine.metrics` to 1e-12, whichever way a trial is run.
    """
    names = (*METRICS, *further)
    figures = np.full((len(trials), len(names)), np.nan)
    fast = FastTrials(setting)
    signals = _signals_of(setting)
    before: tuple[ParameterValues, RawSignals | None] | None = None
    traded = setting.bars.slice(setting.start, len(setting.bars))
    columns = SHARED_BYTES // (8 * len(setting.bars))
    for done, place in enumerate(_by_tiles(trials, columns), start=1):
        trial = trials[place]
        if trial.execution is not None:
            if before is None or before[0] != trial.parameters:
                before = (trial.parameters, _valid(signals, trial.parameters))
            if before[1] is not None:
                quick = not further and takes(trial.execution)
                measured = fast.run(before[1], trial.execution) if quick else None
                if measured is None:
                    measured = _slow(setting, traded, before[1].masked(), trial.execution, names)
                figures[place] = measured
        if on_progress is not None:
            on_progress(done / len(trials))
    return {name: np.ascontiguousarray(figures[:, column]) for column, name in enumerate(names)}


def _by_tiles(trials: Sequence[Trial], columns: int) -> list[int]:
    """Return the places of trials in an order in which those with the same parameters are together.

    Those that have most of them in common are near: four values of each parameter by four of the others, so
    that the columns of a tile's indicators are still at hand in the processor's caches; and all tiles of
    as many values as have their columns among the shared before others are.

    Parameters
    ----------
    columns
        How many columns of indicators can be kept.
    """
    names = sorted({name for trial in trials for name in trial.parameters})
    ranks: list[dict[tuple[str, ParameterValue], int]] = []
    for name in names:
        values = {_rankable(trial.parameters.get(name)) for trial in trials}
        ranks.append({value: rank for rank, value in enumerate(sorted(values))})

    blocks = _blocks([len(rank) for rank in ranks], columns)

    def key(place: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
        parameters = trials[place].parameters
        at = [rank[_rankable(parameters.get(name))] for name, rank in zip(names, ranks, strict=True)]
        outer = tuple(each // block for each, block in zip(at, blocks, strict=True))
        return outer, tuple(each // TILE for each in at), tuple(at), place

    return sorted(range(len(trials)), key=key)


def _blocks(values: Sequence[int], columns: int) -> list[int]:
    """Return for each parameter how many of its values are tried before others, whole tiles.

    A value of a parameter stands for a column, and a quarter is left for what does not depend on any. Those
    with the fewest values have all of them together if they can.

    Parameters
    ----------
    values
        How many values each parameter has.
    """
    blocks = [TILE] * len(values)
    left, waiting = columns * 3 // 4, len(values)
    for place in sorted(range(len(values)), key=lambda each: values[each]):
        share = left if waiting == 1 else left // 2
        blocks[place] = max(min(-(-values[place] // TILE), share // TILE), 1) * TILE
        left, waiting = max(left - min(values[place], blocks[place]), 0), waiting - 1
    return blocks


def _rankable(value: ParameterValue | None) -> tuple[str, ParameterValue]:
    # Numbers among themselves, texts among themselves.
    number = isinstance(value, int | float)
    return ("number" if number else type(value).__name__, "" if value is None else value)


def _signals_of(setting: Setting) -> Callable[[ParameterValues], RawSignals]:
    rules, bars = setting.rules, setting.bars
    if isinstance(rules, CompiledRules):
        return rules.repeated_signals(bars, SHARED_BYTES).of
    shared = SharedColumns(SHARED_BYTES)
    return lambda parameters: RawSignals.of(rules.signals(bars, parameters, shared=shared))


def _valid(
    signals: Callable[[ParameterValues], RawSignals], parameters: ParameterValues
) -> RawSignals | None:
    try:
        return signals(parameters)
    except RuleIssues:
        return None


def _slow(
    setting: Setting, traded: Bars, signals: Signals, spec: ExecutionSpec, names: Sequence[str]
) -> Floats:
    result = simulation.run(setting.bars, signals, spec, setting.initial_capital, setting.start)
    measured = metrics.compute(result, traded, setting.trading_days)
    values = (getattr(measured, name) for name in names)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
