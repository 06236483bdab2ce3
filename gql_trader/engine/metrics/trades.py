"""Metrics of the trades: how often, how much, how steadily.

``profits`` is float64[k], profit of each closed trade in account currency, net of costs. A trade with a
profit above 0 is a win, below 0 a loss; one of exactly 0 is neither.
"""

from math import sqrt

import numpy as np

from gql_trader.engine.bars import Flags, Floats, Integers

_HOUR = 3_600_000


def win_rate(profits: Floats) -> float | None:
    """Return wins over trades, in [0, 1]; None without a trade."""
    return float(np.mean(profits > 0.0)) if len(profits) else None


def profit_factor(profits: Floats) -> float | None:
    """Return Σ profits over |Σ losses|; None without a losing trade."""
    losses = -float(np.sum(profits[profits < 0.0]))
    return float(np.sum(profits[profits > 0.0])) / losses if losses > 0.0 else None


def expectancy(profits: Floats) -> float | None:
    """Return the mean profit of a trade, account currency; None without a trade."""
    return float(np.mean(profits)) if len(profits) else None


def payoff_ratio(profits: Floats) -> float | None:
    """Return the mean win over the |mean loss|; None without a win or without a loss."""
    wins, losses = profits[profits > 0.0], profits[profits < 0.0]
    if not len(wins) or not len(losses):
        return None
    return float(np.mean(wins)) / -float(np.mean(losses))


def system_quality_number(profits: Floats) -> float | None:
    """Return √k × mean / std of the profits (V. K. Tharp); None below two trades or if all are equal."""
    if len(profits) < 2 or np.min(profits) == np.max(profits):
        return None
    deviation = float(np.std(profits, ddof=1))
    return sqrt(len(profits)) * float(np.mean(profits)) / deviation if deviation > 0.0 else None


def kelly(rate: float | None, payoff: float | None) -> float | None:
    """Return win rate − (1 − win rate) / payoff ratio (J. L. Kelly, 1956), a fraction of the capital.

    Negative where the bet is against the trader. None if either is missing.
    """
    return None if rate is None or not payoff else rate - (1.0 - rate) / payoff


def average_duration_hours(entry_time: Integers, exit_time: Integers) -> float | None:
    """Return the mean hours from entry to exit; None without a trade.

    Parameters
    ----------
    entry_time, exit_time
        int64[k], Unix milliseconds.
    """
    return float(np.mean(exit_time - entry_time)) / _HOUR if len(entry_time) else None


def longest_streak(flags: Flags) -> int:
    """Return the largest number of true values in a row."""
    edges = np.diff(np.concatenate(([False], flags, [False])).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return int(np.max(ends - begins)) if len(begins) else 0
