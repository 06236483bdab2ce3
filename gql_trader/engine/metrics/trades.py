"""Metrics of the trades: how often, how much, how steadily.

All are made of `TradeSums`, for which a ledger is passed over once. A trade with a profit above 0 is a win,
below 0 a loss; one of exactly 0 is neither.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import FLOATS_IN, INTEGERS_IN, compiled
from gql_trader.engine.sums import STACK, deviation_of, sum_of

_HOUR = 3_600_000


class TradeSums(NamedTuple):
    """Counts and sums of k closed trades; without a trade all are 0.

    Attributes
    ----------
    trades, wins, losses
        k, and how many of them earned and lost.
    gained, lost
        Σ profits above 0, and of those below, which is not positive, account currency.
    mean, deviation
        Of the profits, account currency; the deviation with ddof 1, exactly 0 where all profits are equal.
    mean_fraction, best_fraction, worst_fraction
        Mean, largest and smallest profit over what was put in.
    duration
        Σ time from entry to exit, milliseconds.
    longest_wins, longest_losses
        Most wins in a row, and losses.
    """

    trades: int
    wins: int
    losses: int
    gained: float
    lost: float
    mean: float
    deviation: float
    mean_fraction: float
    best_fraction: float
    worst_fraction: float
    duration: int
    longest_wins: int
    longest_losses: int


_TRADE_SUMS = types.Tuple(  # type: ignore[no-untyped-call]
    (*(types.int64,) * 3, *(types.float64,) * 7, *(types.int64,) * 3)
)


@compiled(_TRADE_SUMS(FLOATS_IN, FLOATS_IN, INTEGERS_IN, INTEGERS_IN))
def _sums(
    profits: Floats, fractions: Floats, entry_time: Integers, exit_time: Integers
) -> tuple[int, int, int, float, float, float, float, float, float, float, int, int, int]:
    n = len(profits)
    if n == 0:
        return 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0
    scratch, stack = np.empty(n), np.empty(STACK)
    duration, best, worst = 0, fractions[0], fractions[0]
    wins, won, most_won = 0, 0, 0
    for k in range(n):
        duration += exit_time[k] - entry_time[k]
        best, worst = max(best, fractions[k]), min(worst, fractions[k])
        win = profits[k] > 0.0
        won = won + 1 if win else 0
        most_won = max(most_won, won)
        scratch[wins] = profits[k]
        wins += win
    gained = sum_of(scratch, wins, stack)
    losses, lost, most_lost = 0, 0, 0
    for k in range(n):
        loss = profits[k] < 0.0
        lost = lost + 1 if loss else 0
        most_lost = max(most_lost, lost)
        scratch[losses] = profits[k]
        losses += loss
    paid = sum_of(scratch, losses, stack)
    mean = sum_of(profits, n, stack) / n
    deviation = deviation_of(profits, n, mean, scratch, stack) if n > 1 else 0.0
    mean_fraction = sum_of(fractions, n, stack) / n
    streaks = (most_won, most_lost)
    return n, wins, losses, gained, paid, mean, deviation, mean_fraction, best, worst, duration, *streaks


def trade_sums(profits: Floats, fractions: Floats, entry_time: Integers, exit_time: Integers) -> TradeSums:
    """Return the sums of k closed trades.

    Parameters
    ----------
    profits
        float64[k], account currency, net of costs.
    fractions
        float64[k], profits over what was put in.
    entry_time, exit_time
        int64[k], Unix milliseconds.
    """
    return TradeSums(*_sums(profits, fractions, entry_time, exit_time))


def win_rate(sums: TradeSums) -> float | None:
    """Return wins over trades, in [0, 1]; None without a trade."""
    return sums.wins / sums.trades if sums.trades else None


def profit_factor(sums: TradeSums) -> float | None:
    """Return Σ profits over |Σ losses|; None without a losing trade."""
    return sums.gained / -sums.lost if sums.lost < 0.0 else None


def expectancy(sums: TradeSums) -> float | None:
    """Return the mean profit of a trade, account currency; None without a trade."""
    return sums.mean if sums.trades else None


def payoff_ratio(sums: TradeSums) -> float | None:
    """Return the mean win over the |mean loss|; None without a win or without a loss."""
    if not sums.wins or not sums.losses:
        return None
    return (sums.gained / sums.wins) / -(sums.lost / sums.losses)


def system_quality_number(sums: TradeSums) -> float | None:
    """Return √k × mean / std of the profits (V. K. Tharp); None below two trades or if all are equal."""
    return sqrt(sums.trades) * sums.mean / sums.deviation if sums.deviation > 0.0 else None


def kelly(rate: float | None, payoff: float | None) -> float | None:
    """Return win rate − (1 − win rate) / payoff ratio (J. L. Kelly, 1956), a fraction of the capital.

    Negative where the bet is against the trader. None if either is missing.
    """
    return None if rate is None or not payoff else rate - (1.0 - rate) / payoff


def average_duration_hours(sums: TradeSums) -> float | None:
    """Return the mean hours from entry to exit; None without a trade."""
    return sums.duration / sums.trades / _HOUR if sums.trades else None
