"""The figures of a trial, compiled: what `gql_trader.engine.metrics` makes of a run, in its arithmetic."""

from typing import Final

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats
from gql_trader.engine.jit import FLOATS, FLOATS_IN, compiled
from gql_trader.engine.sums import deviation_of, sum_of

# What is found, in the order of scoring.METRICS.
TOTAL_RETURN: Final = 0
CAGR: Final = 1
SHARPE_RATIO: Final = 2
SORTINO_RATIO: Final = 3
CALMAR_RATIO: Final = 4
MAX_DRAWDOWN: Final = 5
TRADES: Final = 6
WIN_RATE: Final = 7
PROFIT_FACTOR: Final = 8
EXPECTANCY: Final = 9
SQN: Final = 10

YEAR: Final = 365.25


@compiled(
    types.void(
        FLOATS,
        FLOATS_IN,
        types.int64,
        FLOATS_IN,
        types.float64,
        types.float64,
        types.int64,
        FLOATS,
        FLOATS,
        FLOATS,
    ),
    allocates=False,
)
def figures(
    daily: Floats,
    profits: Floats,
    trades: int,
    found: Floats,
    capital: float,
    calendar_days: float,
    days_per_year: int,
    scratch: Floats,
    stack: Floats,
    out: Floats,
) -> None:
    """Make figures of what `kernel.run` has found; NaN where one is undefined.

    Parameters
    ----------
    daily
        float64[d], from `kernel.run`; turned into returns in place.
    calendar_days
        Length of the history.
    scratch, stack
        float64[max(d, trades)] and float64[STACK], to work in.
    out
        float64[figures], written.
    """
    out[:] = np.nan
    final = found[0]
    deepest = found[1]
    out[TOTAL_RETURN] = final / capital - 1.0
    out[MAX_DRAWDOWN] = deepest
    out[TRADES] = trades
    if calendar_days >= 1.0 and final > 0.0:
        out[CAGR] = (final / capital) ** (YEAR / calendar_days) - 1.0
        if deepest != 0.0:
            out[CALMAR_RATIO] = out[CAGR] / deepest
    days = len(daily)
    if days >= 2:
        before = capital
        losing = False
        for k in range(days):
            value = daily[k]
            daily[k] = (value / before if before != 0.0 else 1.0) - 1.0
            losing |= daily[k] < 0.0
            before = value
        mean = sum_of(daily, days, stack) / days
        deviation = deviation_of(daily, days, mean, scratch, stack)
        annual = np.sqrt(float(days_per_year))
        if deviation > 0.0:
            out[SHARPE_RATIO] = mean / deviation * annual
        if losing:
            for k in range(days):
                loss = min(daily[k], 0.0)
                scratch[k] = loss * loss
            downside = np.sqrt(sum_of(scratch, days, stack) / days)
            if downside > 0.0:
                out[SORTINO_RATIO] = mean * annual / downside
    if trades > 0:
        wins = 0
        for k in range(trades):
            if profits[k] > 0.0:
                scratch[wins] = profits[k]
                wins += 1
        gains = sum_of(scratch, wins, stack)
        losses = 0
        for k in range(trades):
            if profits[k] < 0.0:
                scratch[losses] = profits[k]
                losses += 1
        lost = -sum_of(scratch, losses, stack)
        out[WIN_RATE] = wins / trades
        if lost > 0.0:
            out[PROFIT_FACTOR] = gains / lost
        mean = sum_of(profits, trades, stack) / trades
        out[EXPECTANCY] = mean
        if trades >= 2:
            deviation = deviation_of(profits, trades, mean, scratch, stack)
            if deviation > 0.0:
                out[SQN] = np.sqrt(float(trades)) * mean / deviation
    for k in range(len(out)):
        if not np.isfinite(out[k]):
            out[k] = np.nan
