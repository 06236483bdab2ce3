"""Trials: many runs over the same bars, of which only figures are kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.rules import ParameterValues, RuleIssues
from gql_trader.engine.rules.sharing import SharedColumns
from gql_trader.engine.search.scoring import METRICS

SHARED_BYTES = 96 * 2**20
"""Columns of indicators that are kept for the next trials."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A combination to be run.

    Attributes
    ----------
    execution
        None: the combination is not a valid one, and gets no figures.
    """

    parameters: ParameterValues
    execution: ExecutionSpec | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials have in common.

    Attributes
    ----------
    bars
        Bars for warming up, then those of the run.
    start
        Index of the first bar that may trade.
    initial_capital
        Account currency.
    annual_days
        Days a year by which daily figures are annualised.
    """

    bars: Bars
    start: int
    rules: StrategyCode
    initial_capital: float
    annual_days: int


def run_trials(
    setting: Setting, trials: Sequence[Trial], on_progress: Callable[[float], None] | None = None
) -> dict[str, Floats]:
    """Run trials and return their figures.

    What a trial gets does not depend on which others are run with it, nor on their order.

    Parameters
    ----------
    trials
        Neighbours with the same parameters share their signals, others their indicators.
    on_progress
        Called after each trial with the fraction done; what it raises ends the run.

    Returns
    -------
    dict
        float64[trials] for each of `METRICS`, NaN where a figure is undefined. A trial whose combination is
        not valid, such as a period that an indicator does not take, has nothing but NaN.
    """
    found = {name: np.full(len(trials), np.nan) for name in METRICS}
    shared = SharedColumns(SHARED_BYTES)
    before: tuple[ParameterValues, simulation.Signals | None] | None = None
    traded = setting.bars.slice(setting.start, len(setting.bars))
    for place, trial in enumerate(trials):
        if trial.execution is not None:
            if before is None or before[0] != trial.parameters:
                before = (trial.parameters, _signals(setting, trial.parameters, shared))
            if before[1] is not None:
                result = simulation.run(
                    setting.bars, before[1], trial.execution, setting.initial_capital, setting.start
                )
                measured = metrics.compute(result, traded, setting.annual_days)
                for name in METRICS:
                    value = getattr(measured, name)
                    found[name][place] = np.nan if value is None else value
        if on_progress is not None:
            on_progress((place + 1) / len(trials))
    return found


def _signals(
    setting: Setting, parameters: ParameterValues, shared: SharedColumns
) -> simulation.Signals | None:
    try:
        return setting.rules.signals(setting.bars, parameters, shared=shared)
    except RuleIssues:
        return None


def metrics_of(measured: Mapping[str, Floats], place: int) -> dict[str, float | None]:
    """Return the figures of one trial, None for what is undefined."""
    return {
        name: None if np.isnan(measured[name][place]) else float(measured[name][place]) for name in METRICS
    }
