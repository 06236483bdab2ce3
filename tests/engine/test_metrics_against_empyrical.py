"""Metrics against empyrical-reloaded, an independent library, where its definitions are ours.

Not compared: CAGR and Calmar (empyrical counts 365 days to a year and days instead of time) and alpha
(empyrical compounds it).
"""

import numpy as np
import pytest

from gql_trader.core.ids import AssetId, uuid7
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Floats
from gql_trader.engine.execution import Direction, ExecutionSpec
from gql_trader.engine.metrics import compute, drawdown
from gql_trader.engine.metrics.returns import (
    alpha_beta,
    annual_volatility,
    expected_shortfall,
    omega_ratio,
    return_sums,
    sharpe_ratio,
    sortino_ratio,
    total_return,
    value_at_risk,
)
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import run
from gql_trader.market_data.trading_days import trading_days
from gql_trader.market_data.types import AssetRecord, AssetType
from tests.factories.candles import forex_bars

empyrical = pytest.importorskip(
    "empyrical", reason="empyrical-reloaded is not installed; it is in the dependency group 'peers'"
)

DAY = 86_400_000


@pytest.fixture(params=range(8), name="returns")
def _returns(request: pytest.FixtureRequest) -> Floats:
    random = np.random.default_rng(request.param)
    n = int(random.integers(20, 400))
    return random.standard_t(4, n) * 0.01 * (random.random(n) < 0.8)


@pytest.mark.parametrize("days_per_year", [365, 252])
def test_ratios(returns: Floats, days_per_year: int) -> None:
    sums = return_sums(returns)
    assert annual_volatility(sums, days_per_year) == pytest.approx(
        empyrical.annual_volatility(returns, annualization=days_per_year), rel=1e-12
    )
    assert sharpe_ratio(sums, days_per_year) == pytest.approx(
        empyrical.sharpe_ratio(returns, annualization=days_per_year), rel=1e-12
    )
    assert sortino_ratio(sums, days_per_year) == pytest.approx(
        empyrical.sortino_ratio(returns, annualization=days_per_year), rel=1e-12
    )
    assert omega_ratio(sums) == pytest.approx(empyrical.omega_ratio(returns), rel=1e-12)


def test_tails(returns: Floats) -> None:
    sums = return_sums(returns)
    assert value_at_risk(sums) == pytest.approx(-empyrical.value_at_risk(returns, 0.05), rel=1e-12)
    assert expected_shortfall(sums) == pytest.approx(
        -empyrical.conditional_value_at_risk(returns, 0.05), rel=1e-12
    )


def test_return_and_drawdown(returns: Floats) -> None:
    equity = np.asarray(1_000.0 * np.cumprod(1.0 + returns), np.float64)
    worst = drawdown(DAY * np.arange(len(equity)), equity, DAY, 1_000.0)
    assert worst.deepest == pytest.approx(-empyrical.max_drawdown(returns), rel=1e-12)
    assert total_return(equity[-1], 1_000.0) == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-12)


def test_beta_and_the_line_it_belongs_to(returns: Floats) -> None:
    market = 0.7 * returns + np.random.default_rng(9).normal(0, 0.01, len(returns))
    alpha, beta = alpha_beta(returns, market, 365)
    assert beta == pytest.approx(empyrical.beta(returns, market), rel=1e-10)
    slope, intercept = np.polyfit(market, returns, 1)
    assert (beta, alpha) == (
        pytest.approx(slope, rel=1e-9),
        pytest.approx(365 * intercept, rel=1e-9, abs=1e-12),
    )


@pytest.mark.parametrize("interval", [Interval.M15, Interval.H1, Interval.H4, Interval.D1])
def test_a_run_on_foreign_exchange_is_annualised_by_252_of_pandas_own_weekdays(interval: Interval) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the dependency group 'peers'")
    bars = forex_bars(90 * DAY // interval.milliseconds, interval, seed=5)
    random = np.random.default_rng(2)
    signals = Signals(*(random.random(len(bars)) < 0.1 for _ in range(4)))
    result = run(bars, signals, ExecutionSpec(direction=Direction.BOTH, stop_loss=0.02), 1_000.0)
    counted = trading_days(AssetRecord(AssetId(uuid7()), "EUR", "Euro", AssetType.FOREX, True), bars)
    found = compute(result, bars, counted)
    closes = pandas.to_datetime(bars.time + bars.interval - 1, unit="ms")
    closes = closes.where(closes.day_of_week < 5, closes + pandas.offsets.BDay())  # weekends to Monday

    def returns(values: Floats, initial: float) -> Floats:
        daily = pandas.Series(values, closes).groupby(closes.normalize()).last()
        return pandas.concat([pandas.Series([initial]), daily]).pct_change().iloc[1:].to_numpy()  # type: ignore[no-any-return]

    own, market = returns(result.equity, 1_000.0), returns(bars.close, bars.close[0])
    assert found.trades > 5
    for name, expected in {
        "annual_volatility": empyrical.annual_volatility(own, annualization=252),
        "sharpe_ratio": empyrical.sharpe_ratio(own, annualization=252),
        "sortino_ratio": empyrical.sortino_ratio(own, annualization=252),
        "omega_ratio": empyrical.omega_ratio(own),
        "value_at_risk_95": -empyrical.value_at_risk(own, 0.05),
        "expected_shortfall_95": -empyrical.conditional_value_at_risk(own, 0.05),
        "beta": empyrical.beta(own, market),
        "alpha": 252 * np.polyfit(market, own, 1)[1],
    }.items():
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9), name
