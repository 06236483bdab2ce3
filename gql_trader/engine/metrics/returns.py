"""Metrics of the curve: return, risk, and the one for the other.

``returns`` is float64[n], the account's returns over n days as fractions; ``days_per_year`` is the number of
such days in a year.
"""

from math import sqrt

import numpy as np

from gql_trader.engine.bars import Floats

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


def annual_volatility(returns: Floats, days_per_year: int) -> float | None:
    """Return std(r) √A, a fraction a year; None below two days."""
    if len(returns) < 2:
        return None
    return _deviation(returns) * sqrt(days_per_year)


def sharpe_ratio(returns: Floats, days_per_year: int) -> float | None:
    """Return mean(r) / std(r) √A (W. F. Sharpe, 1994); None below two days or without any variation."""
    if len(returns) < 2:
        return None
    deviation = _deviation(returns)
    return float(np.mean(returns)) / deviation * sqrt(days_per_year) if deviation > 0.0 else None


def sortino_ratio(returns: Floats, days_per_year: int) -> float | None:
    """Return mean(r) √A / √mean(min(r, 0)²), the mean over all days.

    None below two days or without a losing day.
    """
    if len(returns) < 2 or not np.any(returns < 0.0):
        return None
    downside = sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(np.mean(returns)) * sqrt(days_per_year) / downside if downside > 0.0 else None


def calmar_ratio(growth: float | None, deepest: float) -> float | None:
    """Return CAGR over the maximum drawdown; None if either is missing."""
    return None if growth is None or deepest == 0.0 else growth / deepest


def omega_ratio(returns: Floats) -> float | None:
    """Return Σ max(r, 0) / Σ max(−r, 0); None without a losing day."""
    losses = float(np.sum(np.maximum(-returns, 0.0)))
    return float(np.sum(np.maximum(returns, 0.0))) / losses if losses > 0.0 else None


def value_at_risk(returns: Floats) -> float | None:
    """Return the loss of a day that 5 % of the days exceed, as a fraction, positive for a loss.

    Historical, with linear interpolation between two days. None below 20 days.
    """
    if len(returns) < FEWEST_FOR_TAILS:
        return None
    return 0.0 - _quantile(np.sort(returns), TAIL)


def expected_shortfall(returns: Floats) -> float | None:
    """Return the mean loss of the days at or beyond the value at risk, positive for a loss.

    None below 20 days.
    """
    if len(returns) < FEWEST_FOR_TAILS:
        return None
    return 0.0 - float(np.mean(returns[returns <= _quantile(np.sort(returns), TAIL)]))


def alpha_beta(
    returns: Floats, market_returns: Floats, days_per_year: int
) -> tuple[float, float] | tuple[None, None]:
    """Return intercept × A and slope of the least-squares line of returns on the market's.

    Parameters
    ----------
    market_returns
        float64[n], of the market's closes on the same days.

    Returns
    -------
    tuple
        alpha, a fraction a year, and beta; None and None below 20 days or if the market did not move.
    """
    if len(returns) < FEWEST_FOR_TAILS:
        return None, None
    mean, market_mean = float(np.mean(returns)), float(np.mean(market_returns))
    variance = float(np.sum((market_returns - market_mean) ** 2))
    if variance == 0.0:
        return None, None
    beta = float(np.sum((returns - mean) * (market_returns - market_mean))) / variance
    return (mean - beta * market_mean) * days_per_year, beta


def _quantile(ordered: Floats, share: float) -> float:
    """Return a quantile of ascending values, linear between two: numpy's, at a tenth of the time."""
    place = (len(ordered) - 1) * share
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    rest = place - below
    return high - (high - low) * (1.0 - rest) if rest >= 0.5 else low + (high - low) * rest


def _deviation(values: Floats) -> float:
    # Equal values deviate by exactly nothing; their rounded mean must not make that 1e-19.
    if np.min(values) == np.max(values):
        return 0.0
    return float(np.std(values, ddof=1))
