"""Metrics of the curve: return, risk, and the one for the other.

Those of the daily returns are made of `ReturnSums`, for which they are passed over once; ``days_per_year`` is
the number of such days in a year.
"""

from math import isnan, sqrt
from typing import NamedTuple

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats
from gql_trader.engine.jit import FLOATS_IN, compiled
from gql_trader.engine.sums import STACK, deviation_of, sum_of

YEAR = 365.25
"""Calendar days."""

FEWEST_FOR_TAILS = 20
"""Days that a quantile at 5 % or a regression needs to say anything."""

TAIL = 0.05


def total_return(final: float, initial: float) -> float:
    """Return final equity over initial capital, less 1, as a fraction; at least −1."""
    return final / initial - 1.0


def cagr(final: float, initial: float, calendar_days: float) -> float | None:
    """Return the compound annual growth rate as a fraction: (final / initial)^(365.25 / days) − 1.

    None below one day, if nothing is left, or if the number is too large to be one.
    """
    if calendar_days < 1.0 or final <= 0.0:
        return None
    try:
        return float((final / initial) ** (YEAR / calendar_days) - 1.0)
    except OverflowError:
        return None


class ReturnSums(NamedTuple):
    """Sums of the returns of n days.

    Attributes
    ----------
    days
        n.
    mean, deviation
        Of the returns; the deviation with ddof 1, exactly 0 where all returns are equal.
    gained, lost
        Σ max(r, 0) and Σ max(−r, 0).
    mean_square_loss
        Mean of min(r, 0)² over all days.
    losing
        Whether any return is below 0.
    quantile, tail
        The return that 5 % of the days are below, by linear interpolation between two days, and the mean of
        those at or below it; 0.0 below 20 days.
    """

    days: int
    mean: float
    deviation: float
    gained: float
    lost: float
    mean_square_loss: float
    losing: bool
    quantile: float
    tail: float


_RETURN_SUMS = types.Tuple(  # type: ignore[no-untyped-call]
    (types.int64, *(types.float64,) * 5, types.boolean, *(types.float64,) * 2)
)


@compiled(allocates=False)
def _keep_least(values: Floats, kept: int, heap: Floats) -> None:
    """Leave the least of n values in a heap, in which none is below the two that follow from its place."""
    for k in range(len(values)):
        value = values[k]
        if k < kept:
            place = k
            while place > 0 and heap[(place - 1) // 2] < value:
                heap[place] = heap[(place - 1) // 2]
                place = (place - 1) // 2
            heap[place] = value
        elif value < heap[0]:
            place = 0
            while 2 * place + 1 < kept:
                next_ = 2 * place + 1
                if next_ + 1 < kept and heap[next_ + 1] > heap[next_]:
                    next_ += 1
                if heap[next_] <= value:
                    break
                heap[place] = heap[next_]
                place = next_
            heap[place] = value


@compiled(_RETURN_SUMS(FLOATS_IN))
def _sums(returns: Floats) -> tuple[int, float, float, float, float, float, bool, float, float]:
    n = len(returns)
    if n == 0:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, 0.0
    scratch, stack = np.empty(n), np.empty(STACK)
    mean = sum_of(returns, n, stack) / n
    deviation = deviation_of(returns, n, mean, scratch, stack) if n > 1 else 0.0
    for k in range(n):
        scratch[k] = max(returns[k], 0.0)
    gained = sum_of(scratch, n, stack)
    losing = False
    for k in range(n):
        losing |= returns[k] < 0.0
        scratch[k] = max(-returns[k], 0.0)
    lost = sum_of(scratch, n, stack)
    for k in range(n):
        loss = min(returns[k], 0.0)
        scratch[k] = loss * loss
    mean_square_loss = sum_of(scratch, n, stack) / n
    quantile, tail = 0.0, 0.0
    if n >= FEWEST_FOR_TAILS:
        place = (n - 1) * TAIL
        below = int(place)
        # The two days that it lies between are the last of those that are kept. Sorting takes longer.
        _keep_least(returns, below + 2, scratch)
        low, high = scratch[1], scratch[0]
        if below > 0:
            low = max(low, scratch[2])
        rest = place - below
        # Numpy's, at a tenth of the time.
        quantile = high - (high - low) * (1.0 - rest) if rest >= 0.5 else low + (high - low) * rest
        worst = 0
        for k in range(n):
            if returns[k] <= quantile:
                scratch[worst] = returns[k]
                worst += 1
        tail = sum_of(scratch, worst, stack) / worst
    return n, mean, deviation, gained, lost, mean_square_loss, losing, quantile, tail


def return_sums(returns: Floats) -> ReturnSums:
    """Return the sums of an account's returns over days, float64[n], as fractions."""
    return ReturnSums(*_sums(returns))


def annual_volatility(sums: ReturnSums, days_per_year: int) -> float | None:
    """Return std(r) √A, a fraction a year; None below two days."""
    return sums.deviation * sqrt(days_per_year) if sums.days > 1 else None


def sharpe_ratio(sums: ReturnSums, days_per_year: int) -> float | None:
    """Return mean(r) / std(r) √A (W. F. Sharpe, 1994); None below two days or without any variation."""
    return sums.mean / sums.deviation * sqrt(days_per_year) if sums.deviation > 0.0 else None


def sortino_ratio(sums: ReturnSums, days_per_year: int) -> float | None:
    """Return mean(r) √A / √mean(min(r, 0)²), the mean over all days.

    None below two days or without a losing day.
    """
    if sums.days < 2 or not sums.losing:
        return None
    downside = sqrt(sums.mean_square_loss)
    return sums.mean * sqrt(days_per_year) / downside if downside > 0.0 else None


def calmar_ratio(growth: float | None, deepest: float) -> float | None:
    """Return CAGR over the maximum drawdown; None if either is missing."""
    return None if growth is None or deepest == 0.0 else growth / deepest


def omega_ratio(sums: ReturnSums) -> float | None:
    """Return Σ max(r, 0) / Σ max(−r, 0); None without a losing day."""
    return sums.gained / sums.lost if sums.lost > 0.0 else None


def value_at_risk(sums: ReturnSums) -> float | None:
    """Return the loss of a day that 5 % of the days exceed, as a fraction, positive for a loss.

    Historical, with linear interpolation between two days. None below 20 days.
    """
    return 0.0 - sums.quantile if sums.days >= FEWEST_FOR_TAILS else None


def expected_shortfall(sums: ReturnSums) -> float | None:
    """Return the mean loss of the days at or beyond the value at risk, positive for a loss.

    None below 20 days.
    """
    return 0.0 - sums.tail if sums.days >= FEWEST_FOR_TAILS else None


_LINE = types.UniTuple(types.float64, 2)  # type: ignore[no-untyped-call]


@compiled(_LINE(FLOATS_IN, FLOATS_IN))
def _line(returns: Floats, market_returns: Floats) -> tuple[float, float]:
    """Return intercept and slope; NaN if the market did not move."""
    n = len(returns)
    scratch, stack = np.empty(n), np.empty(STACK)
    mean = sum_of(returns, n, stack) / n
    market_mean = sum_of(market_returns, n, stack) / n
    for k in range(n):
        scratch[k] = (market_returns[k] - market_mean) * (market_returns[k] - market_mean)
    variance = sum_of(scratch, n, stack)
    if variance == 0.0:
        return np.nan, np.nan
    for k in range(n):
        scratch[k] = (returns[k] - mean) * (market_returns[k] - market_mean)
    beta = sum_of(scratch, n, stack) / variance
    return mean - beta * market_mean, beta


def alpha_beta(
    returns: Floats, market_returns: Floats, days_per_year: int
) -> tuple[float, float] | tuple[None, None]:
    """Return intercept × A and slope of the least-squares line of returns on the market's.

    Parameters
    ----------
    returns, market_returns
        float64[n], of the account and of the market's closes on the same days.

    Returns
    -------
    tuple
        alpha, a fraction a year, and beta; None and None below 20 days or if the market did not move.
    """
    if len(returns) < FEWEST_FOR_TAILS:
        return None, None
    intercept, slope = _line(returns, market_returns)
    return (None, None) if isnan(slope) else (intercept * days_per_year, slope)
