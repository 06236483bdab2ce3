"""How much a Sharpe ratio proves, and between which bounds luck could have moved a result.

``returns`` is float64[n], the account's daily returns as fractions. Sharpe ratios here are of a day, not
annualised.
"""

from dataclasses import dataclass
from math import e, erf, isfinite, sqrt
from statistics import NormalDist

import numpy as np

from gql_trader.engine.bars import Floats

EULER_MASCHERONI = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Moments:
    """What a Sharpe ratio's error depends on.

    Attributes
    ----------
    days
        Number of returns.
    sharpe
        Mean over standard deviation (ddof 1), of a day.
    skewness, kurtosis
        Third and fourth standardised moments of the sample; the kurtosis of a normal distribution is 3.
    """

    days: int
    sharpe: float
    skewness: float
    kurtosis: float


def moments(returns: Floats) -> Moments | None:
    """Return the moments of daily returns; None below two days or without any variation."""
    if len(returns) < 2 or np.min(returns) == np.max(returns):
        return None
    centred = returns - np.mean(returns)
    variance = float(np.mean(centred**2))
    deviation = float(np.std(returns, ddof=1))
    if variance == 0.0 or deviation == 0.0:
        return None
    return Moments(
        days=len(returns),
        sharpe=float(np.mean(returns)) / deviation,
        skewness=float(np.mean(centred**3)) / variance**1.5,
        kurtosis=float(np.mean(centred**4)) / variance**2,
    )


def probabilistic_sharpe_ratio(found: Moments, benchmark: float = 0.0) -> float | None:
    """Return the probability that the true Sharpe ratio is above a benchmark.

    D. H. Bailey, M. López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012), eq. 11:
    Φ((SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1) / 4 SR²)).

    Parameters
    ----------
    benchmark
        Sharpe ratio of a day.

    Returns
    -------
    float or None
        In [0, 1]; None where the variance under the root is not positive.
    """
    variance = 1.0 - found.skewness * found.sharpe + (found.kurtosis - 1.0) / 4.0 * found.sharpe**2
    if not variance > 0.0:
        return None
    distance = (found.sharpe - benchmark) * sqrt(found.days - 1) / sqrt(variance)
    return 0.5 * (1.0 + erf(distance / sqrt(2.0)))


def expected_maximum(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of so many trials has by luck alone.

    D. H. Bailey, M. López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40 (2014),
    eq. 1: √V ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))), for N independent trials whose true ratio is 0.

    Parameters
    ----------
    trials
        N, at least 1; trials that resemble each other count in full, which errs on the side of caution.
    variance
        V, of the trials' Sharpe ratios of a day; not negative.
    """
    if trials < 2:
        return 0.0
    quantile = NormalDist().inv_cdf
    spread = (1.0 - EULER_MASCHERONI) * quantile(1.0 - 1.0 / trials) + EULER_MASCHERONI * quantile(
        1.0 - 1.0 / (trials * e)
    )
    return float(sqrt(variance) * spread)


def deflated_sharpe_ratio(found: Moments, trials: int, variance: float) -> float | None:
    """Return the probability that the true Sharpe ratio of the best of many trials is above luck's.

    The probabilistic Sharpe ratio with `expected_maximum` as its benchmark (Bailey and López de Prado, 2014,
    eq. 2). None where that is undefined.
    """
    return probabilistic_sharpe_ratio(found, expected_maximum(trials, variance))


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds between which a figure of resampled curves lies with the given confidence, and their middle."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Intervals of a curve's figures.

    Attributes
    ----------
    total_return
        Fraction.
    max_drawdown
        Over daily values, in [0, 1].
    sharpe_ratio
        Of a day; None where hardly any resampled curve has one.
    """

    total_return: Interval
    max_drawdown: Interval
    sharpe_ratio: Interval | None


def usual_block(days: int) -> float:
    """Return the mean length of blocks that is used unless another is asked for: the cube root of the days.

    The rate at which the best length for a variance grows (P. Hall, J. L. Horowitz, B.-Y. Jing,
    Biometrika 82, 1995).
    """
    return max(1.0, float(days ** (1.0 / 3.0)))


def bootstrap(returns: Floats, samples: int, confidence: float, block: float, seed: int) -> Bootstrap:
    """Return intervals by the stationary bootstrap (D. N. Politis, J. P. Romano, JASA 89, 1994).

    Curves of the same length are put together from blocks of days that begin anywhere and have geometrically
    distributed lengths, so that runs of good and bad days are kept.

    Parameters
    ----------
    returns
        n ≥ 1 days.
    samples
        Curves to make.
    confidence
        In (0, 1), such as 0.95: the interval is from the 2.5 % to the 97.5 % quantile.
    block
        Mean length of a block in days, ≥ 1.
    seed
        The same one gives the same intervals.
    """
    n = len(returns)
    random = np.random.Generator(np.random.PCG64(seed))
    place = random.integers(0, n, samples)
    wealth, peak = np.ones(samples), np.ones(samples)
    deepest, total, squares = np.zeros(samples), np.zeros(samples), np.zeros(samples)
    for day in range(n):
        if day:
            begins = random.random(samples) < 1.0 / block
            place = np.where(begins, random.integers(0, n, samples), (place + 1) % n)
        drawn = returns[place]
        wealth = wealth * (1.0 + drawn)
        peak = np.maximum(peak, wealth)
        deepest = np.maximum(deepest, 1.0 - wealth / peak)
        total += drawn
        squares += drawn * drawn
    with np.errstate(all="ignore"):
        variance = (squares - total * total / n) / (n - 1.0)
        sharpes = (total / n) / np.sqrt(variance)
    defined = sharpes[np.isfinite(sharpes)]
    return Bootstrap(
        total_return=_interval(wealth - 1.0, confidence),
        max_drawdown=_interval(deepest, confidence),
        sharpe_ratio=_interval(defined, confidence) if len(defined) > samples // 2 else None,
    )


def _interval(values: Floats, confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, median, high = (float(each) for each in np.quantile(values, (tail, 0.5, 1.0 - tail)))
    assert isfinite(low + median + high)
    return Interval(low, median, high)
