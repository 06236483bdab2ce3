"""What a Sharpe ratio proves, against the examples of those who found it and against simulation."""

from math import exp, log, sqrt

import numpy as np
import pytest

from gql_trader.engine.search.honesty import (
    Moments,
    bootstrap,
    deflated_sharpe_ratio,
    expected_maximum,
    moments,
    probabilistic_sharpe_ratio,
    usual_block,
)

# "The Deflated Sharpe Ratio", section "A numerical example": five years of daily returns with an annualised
# Sharpe ratio of 2.5 (250 days), the best of trials whose annualised ratios have a variance of 1/2.
EXAMPLE = Moments(days=1250, sharpe=2.5 / sqrt(250), skewness=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / 250


def test_the_published_example_of_the_deflated_sharpe_ratio() -> None:
    assert expected_maximum(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(EXAMPLE, 100, VARIANCE) == pytest.approx(0.9004, abs=5e-5)
    # Of 46 trials and not a hundred, it would just have been significant at 95 %.
    assert deflated_sharpe_ratio(EXAMPLE, 46, VARIANCE) == pytest.approx(0.9505, abs=5e-4)


def test_with_normal_returns_and_one_trial_it_is_the_t_test() -> None:
    # The variance of an estimated ratio of normal returns is (1 + SR²/2) / (n − 1): A. W. Lo, 2002.
    found = Moments(days=101, sharpe=0.2, skewness=0.0, kurtosis=3.0)
    assert probabilistic_sharpe_ratio(found) == pytest.approx(_normal(0.2 * 10 / sqrt(1 + 0.02)), rel=1e-9)
    assert probabilistic_sharpe_ratio(found, 0.2) == 0.5
    assert deflated_sharpe_ratio(found, 1, 1.0) == probabilistic_sharpe_ratio(found)


def _normal(x: float) -> float:
    # Trapezoids under the density, which share nothing with erf.
    points = np.linspace(-12.0, x, 200_001)
    return float(np.trapezoid(np.exp(-points * points / 2), points) / sqrt(2 * np.pi))


def test_bad_tails_prove_less() -> None:
    plain = probabilistic_sharpe_ratio(Moments(250, 0.1, 0.0, 3.0))
    skewed = probabilistic_sharpe_ratio(Moments(250, 0.1, -2.0, 3.0))
    heavy = probabilistic_sharpe_ratio(Moments(250, 0.1, 0.0, 30.0))
    assert plain is not None
    assert skewed is not None
    assert heavy is not None
    assert max(skewed, heavy) < plain


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_luck_alone_reaches_the_expected_maximum(trials: int) -> None:
    random = np.random.default_rng(trials)
    best = random.normal(0.0, 0.05, (4000, trials)).max(axis=1)
    assert expected_maximum(trials, 0.05**2) == pytest.approx(best.mean(), rel=0.03)


def test_moments_are_those_of_the_sample() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0, 0.005])
    found = moments(returns)
    assert found is not None
    mean, n = returns.sum() / 5, 5
    second = sum((r - mean) ** 2 for r in returns) / n
    assert found.sharpe == pytest.approx(mean / sqrt(second * n / (n - 1)), rel=1e-14)
    assert found.skewness == pytest.approx(sum((r - mean) ** 3 for r in returns) / n / second**1.5)
    assert found.kurtosis == pytest.approx(sum((r - mean) ** 4 for r in returns) / n / second**2)
    assert moments(np.array([0.01])) is None
    assert moments(np.full(10, 0.01)) is None


def test_resampled_independent_days_spread_as_theory_says() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.02, 500)
    found = bootstrap(returns, 5000, 0.95, 1.0, seed=3)
    # The sum of 500 independent draws is nearly normal; 95 % lie within 1.96 standard deviations.
    centre, spread = float(np.log1p(returns).sum()), float(np.log1p(returns).std()) * sqrt(500)
    assert log(1 + found.total_return.median) == pytest.approx(centre, abs=0.05 * spread)
    assert log(1 + found.total_return.low) == pytest.approx(centre - 1.96 * spread, abs=0.1 * spread)
    assert found.total_return.high == pytest.approx(exp(centre + 1.96 * spread) - 1, rel=0.1)
    assert found.sharpe_ratio is not None
    own = float(returns.mean() / returns.std(ddof=1))
    assert found.sharpe_ratio.median == pytest.approx(own, abs=0.004)
    # Lo's standard error, √((1 + SR²/2) / n).
    assert found.sharpe_ratio.high - found.sharpe_ratio.low == pytest.approx(
        2 * 1.96 * sqrt((1 + own**2 / 2) / 500), rel=0.05
    )


def test_longer_blocks_keep_runs_of_bad_days_together() -> None:
    # Ten bad days, then ten good ones, over and over.
    returns = np.tile(np.repeat([-0.01, 0.01], 10), 25)
    days = bootstrap(returns, 1000, 0.9, 1.0, seed=1)
    blocks = bootstrap(returns, 1000, 0.9, 40.0, seed=1)
    assert blocks.max_drawdown.low > 0.09
    assert days.max_drawdown.low < blocks.max_drawdown.low
    assert days == bootstrap(returns, 1000, 0.9, 1.0, seed=1)
    assert days != bootstrap(returns, 1000, 0.9, 1.0, seed=2)


def test_a_curve_that_only_rises_has_no_drawdown_and_no_sharpe_ratio() -> None:
    found = bootstrap(np.full(50, 0.01), 200, 0.95, usual_block(50), seed=1)
    assert (found.max_drawdown.low, found.max_drawdown.high) == (0.0, 0.0)
    assert found.total_return.median == pytest.approx(1.01**50 - 1, rel=1e-12)


def test_total_loss_stays_within_bounds() -> None:
    found = bootstrap(np.array([0.1, -1.0, 0.2]), 500, 0.9, 2.0, seed=1)
    assert found.total_return.low == -1.0
    assert found.max_drawdown.high == 1.0
