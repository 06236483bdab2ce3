"""Metrics, worked out by hand."""

from dataclasses import fields
from math import isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given, settings

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.engine.metrics import Metrics, compute, daily_curve, drawdown
from gql_trader.engine.metrics import returns as of_returns
from gql_trader.engine.metrics.drawdowns import ulcer_index
from gql_trader.engine.metrics.returns import (
    alpha_beta,
    annual_volatility,
    cagr,
    calmar_ratio,
    expected_shortfall,
    omega_ratio,
    return_sums,
    sharpe_ratio,
    sortino_ratio,
    total_return,
    value_at_risk,
)
from gql_trader.engine.metrics.trades import (
    TradeSums,
    average_duration_hours,
    expectancy,
    kelly,
    payoff_ratio,
    profit_factor,
    system_quality_number,
    trade_sums,
    win_rate,
)
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import run
from gql_trader.engine.trading_days import TradingDays
from tests.engine.cases import Case, cases
from tests.factories.markets import HOUR, START, bars_of_closes, signals_at

DAY = 24 * HOUR
WEEK = 7 * DAY


def trades_of(*profits: float, hours: tuple[int, ...] = ()) -> TradeSums:
    """Sums of trades with these profits, each on a stake of 100, that were held for these hours."""
    entry = np.full(len(profits), START)
    held = np.array(hours or [0] * len(profits), dtype=np.int64)
    return trade_sums(floats(*profits), floats(*profits) / 100.0, entry, entry + HOUR * held)


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


class TestDailyCurve:
    def test_takes_the_last_close_of_each_utc_day(self) -> None:
        time = START + HOUR * np.arange(48)
        curve = daily_curve(time, np.arange(1.0, 49.0), HOUR, 1.0, TradingDays.EVERY_DAY)
        assert curve.time.tolist() == [START, START + DAY]
        assert curve.value.tolist() == [24.0, 48.0]
        assert curve.returns.tolist() == [23.0, 1.0]

    def test_first_return_is_over_the_starting_value(self) -> None:
        curve = daily_curve(np.array([START]), floats(110.0), DAY, 100.0, TradingDays.EVERY_DAY)
        assert curve.returns.tolist() == [110 / 100 - 1]

    def test_days_without_bars_carry_the_day_before_when_the_market_never_closes(self) -> None:
        time = np.array([START, START + 3 * DAY])
        curve = daily_curve(time, floats(110.0, 121.0), DAY, 100.0, TradingDays.EVERY_DAY)
        assert curve.value.tolist() == [110.0, 110.0, 110.0, 121.0]
        assert curve.returns.tolist() == [110 / 100 - 1, 0.0, 0.0, 121 / 110 - 1]

    def test_days_without_bars_do_not_count_when_the_market_has_trading_days(self) -> None:
        time = np.array([START, START + 3 * DAY])
        curve = daily_curve(time, floats(110.0, 121.0), DAY, 100.0, TradingDays.WITH_BARS)
        assert curve.time.tolist() == time.tolist()
        assert curve.value.tolist() == [110.0, 121.0]

    def test_a_bar_that_closes_at_midnight_belongs_to_the_day_that_ends(self) -> None:
        time = START + np.array([23, 24]) * HOUR
        assert daily_curve(time, floats(1.0, 2.0), HOUR, 1.0, TradingDays.EVERY_DAY).value.tolist() == [
            1.0,
            2.0,
        ]

    def test_a_weekly_bar_is_known_on_its_last_day(self) -> None:
        monday = START + 5 * DAY  # 2025-01-06
        curve = daily_curve(np.array([monday]), floats(110.0), WEEK, 100.0, TradingDays.EVERY_DAY)
        assert curve.value.tolist() == [100.0] * 6 + [110.0]

    def test_a_weekly_bar_of_a_market_with_trading_days_is_known_on_friday(self) -> None:
        monday = START + 5 * DAY
        curve = daily_curve(
            np.array([monday, monday + WEEK]), floats(110.0, 121.0), WEEK, 100.0, TradingDays.WITH_BARS
        )
        assert curve.value.tolist() == [100.0] * 4 + [110.0] * 5 + [121.0]
        assert curve.time[4] == monday + 4 * DAY
        assert curve.time[5] == monday + WEEK

    def test_after_nothing_is_left_returns_are_zero(self) -> None:
        curve = daily_curve(
            START + DAY * np.arange(3), floats(0.0, 0.0, 0.0), DAY, 100.0, TradingDays.EVERY_DAY
        )
        assert curve.returns.tolist() == [-1.0, 0.0, 0.0]


class TestCurve:
    def test_total_return(self) -> None:
        assert total_return(150.0, 100.0) == 0.5

    def test_cagr_over_two_years_of_calendar_days(self) -> None:
        assert cagr(121.0, 100.0, 2 * 365.25) == pytest.approx(0.1, abs=1e-15)

    @pytest.mark.parametrize(("final", "days"), [(110.0, 0.99), (0.0, 30.0), (1e9, 1.0)])
    def test_cagr_is_undefined_below_a_day_for_ruin_and_for_absurd_growth(
        self, final: float, days: float
    ) -> None:
        assert cagr(final, 100.0, days) is None

    def test_volatility_has_one_degree_of_freedom_less(self) -> None:
        # Deviations 0.01 and −0.01 around 0.01: variance 2 × 0.0001 / 1.
        assert annual_volatility(return_sums(floats(0.02, 0.0)), 365) == pytest.approx(
            sqrt(0.0002 * 365), abs=1e-15
        )
        assert annual_volatility(return_sums(floats(0.02)), 365) is None
        assert annual_volatility(return_sums(floats(0.02, 0.02)), 365) == 0.0

    def test_sharpe_ratio(self) -> None:
        returns = floats(0.03, -0.01, 0.02, 0.0)  # mean 0.01, squared deviations 4 + 4 + 1 + 1 in 1e-4
        assert sharpe_ratio(return_sums(returns), 365) == pytest.approx(
            0.01 / sqrt(1e-3 / 3) * sqrt(365), rel=1e-14
        )
        assert sharpe_ratio(return_sums(returns), 252) == pytest.approx(
            0.01 / sqrt(1e-3 / 3) * sqrt(252), rel=1e-14
        )

    def test_sharpe_ratio_is_undefined_without_variation_or_with_one_day(self) -> None:
        assert sharpe_ratio(return_sums(floats(0.1)), 365) is None
        assert sharpe_ratio(return_sums(floats(0.1, 0.1, 0.1)), 365) is None
        assert sharpe_ratio(return_sums(floats(0.0, 0.0)), 365) is None

    def test_sortino_ratio_divides_by_the_losses_over_all_days(self) -> None:
        returns = floats(0.03, -0.01, 0.02, 0.0)
        assert sortino_ratio(return_sums(returns), 365) == pytest.approx(
            0.01 * sqrt(365) / sqrt(0.0001 / 4), rel=1e-14
        )
        assert sortino_ratio(return_sums(floats(0.01, 0.0)), 365) is None
        assert sortino_ratio(return_sums(floats(-0.01)), 365) is None

    def test_calmar_ratio(self) -> None:
        assert calmar_ratio(0.3, 0.2) == pytest.approx(1.5)
        assert calmar_ratio(0.3, 0.0) is None
        assert calmar_ratio(None, 0.2) is None

    def test_omega_ratio(self) -> None:
        assert omega_ratio(return_sums(floats(0.03, -0.01, 0.02, 0.0))) == pytest.approx(5.0)
        assert omega_ratio(return_sums(floats(0.03, 0.0))) is None

    def test_tails_are_historical_and_positive_for_a_loss(self) -> None:
        returns = np.arange(-10.0, 11.0) / 100  # 21 days; the 5 % quantile is the second lowest
        assert value_at_risk(return_sums(returns)) == pytest.approx(0.09)
        assert expected_shortfall(return_sums(returns)) == pytest.approx(0.095)
        assert value_at_risk(return_sums(returns[:19])) is None
        assert expected_shortfall(return_sums(returns[:19])) is None
        assert str(value_at_risk(return_sums(np.zeros(20)))) == "0.0"
        random = np.random.default_rng(3)
        for n in (20, 21, 29, 40, 41, 365, 3_653):
            drawn = random.normal(0.0, 0.02, n)
            for returns in (drawn, np.sort(drawn), np.sort(drawn)[::-1].copy(), np.round(drawn, 2)):
                quantile = np.quantile(returns, of_returns.TAIL)
                assert value_at_risk(return_sums(returns)) == 0.0 - quantile
                tail = np.mean(returns[returns <= quantile])
                assert expected_shortfall(return_sums(returns)) == 0.0 - tail

    def test_alpha_and_beta_are_the_least_squares_line(self) -> None:
        market = np.linspace(-0.05, 0.06, 20)
        alpha, beta = alpha_beta(0.001 + 1.5 * market, market, 365)
        assert alpha == pytest.approx(0.365, abs=1e-12)
        assert beta == pytest.approx(1.5, abs=1e-12)
        assert alpha_beta(market[:19], market[:19], 365) == (None, None)
        assert alpha_beta(market, np.zeros(20), 365) == (None, None)


class TestDrawdown:
    def test_deepest_is_a_fraction_of_the_peak_before_it(self) -> None:
        time = START + HOUR * np.arange(6)
        worst = drawdown(time, floats(100.0, 200.0, 150.0, 190.0, 300.0, 270.0), HOUR, 100.0)
        assert worst.deepest == 0.25

    def test_starting_capital_is_the_first_peak(self) -> None:
        worst = drawdown(np.array([START]), floats(80.0), DAY, 100.0)
        assert worst.deepest == pytest.approx(0.2)
        assert worst.longest_days == 1.0

    def test_longest_is_from_the_peak_to_the_recovery(self) -> None:
        time = START + DAY * np.arange(7)
        equity = floats(110.0, 105.0, 104.0, 110.0, 108.0, 120.0, 119.0)
        # Peak at the close of day 0, recovered at the close of day 3.
        assert drawdown(time, equity, DAY, 100.0).longest_days == 3.0

    def test_longest_reaches_to_the_end_if_there_is_no_recovery(self) -> None:
        time = START + DAY * np.arange(5)
        assert drawdown(time, floats(110.0, 120.0, 119.0, 118.0, 119.0), DAY, 100.0).longest_days == 3.0

    def test_a_level_stretch_at_the_peak_is_no_drawdown(self) -> None:
        time = START + DAY * np.arange(4)
        worst = drawdown(time, floats(100.0, 100.0, 100.0, 100.0), DAY, 100.0)
        assert (worst.deepest, worst.longest_days) == (0.0, None)

    def test_missing_bars_count_as_time(self) -> None:
        time = START + DAY * np.array([0, 1, 9])
        assert drawdown(time, floats(100.0, 90.0, 100.0), DAY, 100.0).longest_days == 9.0

    def test_one_division_a_peak_equals_one_a_bar(self) -> None:
        random = np.random.default_rng(5)
        for _ in range(50):
            equity = 100 * np.exp(np.cumsum(random.normal(0, 0.05, 200)))
            peak = np.maximum(np.maximum.accumulate(equity), 100.0)
            time = START + HOUR * np.arange(200)
            assert drawdown(time, equity, HOUR, 100.0).deepest == np.max(1 - equity / peak)

    @pytest.mark.parametrize("seed", range(20))
    def test_level_stretches_and_long_ones_are_passed_over_without_being_missed(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        steps = random.normal(0.001, 0.02, 700) * np.repeat(random.random(14) < 0.5, 50)
        equity = 100.0 * np.exp(np.cumsum(steps))
        time = START + HOUR * np.arange(700)
        peak, since, longest = 100.0, int(time[0]), 0
        for opened, value in zip(time.tolist(), equity.tolist(), strict=True):
            if value >= peak:
                peak, since = value, opened + HOUR
            else:
                longest = max(longest, opened + HOUR - since)
            # A recovery counts the bar that brings it.
        worst = drawdown(time, equity, HOUR, 100.0)
        tops = np.maximum(np.maximum.accumulate(equity), 100.0)
        assert worst.deepest == np.max(1 - equity / tops)
        assert worst.longest_days is not None
        assert worst.longest_days * DAY - longest in (0, HOUR)
        assert worst.mean_equity == pytest.approx(np.mean(equity), rel=1e-13)

    def test_ulcer_index(self) -> None:
        # Drawdowns 0, 0.1, 0, 0.2.
        values = floats(110.0, 99.0, 120.0, 96.0)
        assert ulcer_index(values, 100.0) == pytest.approx(sqrt((0.01 + 0.04) / 4), rel=1e-14)
        assert ulcer_index(floats(90.0), 100.0) == pytest.approx(0.1)

    @pytest.mark.parametrize("days", [1, 7, 8, 129, 365, 3_653])
    def test_ulcer_index_is_numpys_bit_for_bit(self, days: int) -> None:
        values = 100.0 * np.exp(np.cumsum(np.random.default_rng(days).normal(0.0, 0.02, days)))
        peak = np.maximum(np.maximum.accumulate(values), 100.0)
        assert ulcer_index(values, 100.0) == np.sqrt(np.mean((1.0 - values / peak) ** 2))


class TestTrades:
    sums = trades_of(30.0, -10.0, 0.0, 20.0, -15.0)

    def test_a_trade_that_earns_nothing_is_not_won(self) -> None:
        assert win_rate(self.sums) == 0.4
        assert win_rate(trades_of()) is None

    def test_profit_factor(self) -> None:
        assert profit_factor(self.sums) == 2.0
        assert profit_factor(trades_of(-5.0)) == 0.0
        assert profit_factor(trades_of(5.0, 0.0)) is None
        assert profit_factor(trades_of()) is None

    def test_expectancy(self) -> None:
        assert expectancy(self.sums) == 5.0
        assert expectancy(trades_of()) is None

    def test_payoff_ratio(self) -> None:
        assert payoff_ratio(self.sums) == 2.0
        assert payoff_ratio(trades_of(5.0)) is None
        assert payoff_ratio(trades_of(-5.0, 0.0)) is None

    def test_system_quality_number(self) -> None:
        # Mean 5; squared deviations 625 + 225 + 25 + 225 + 400 = 1500, over 4.
        assert system_quality_number(self.sums) == pytest.approx(sqrt(5) * 5 / sqrt(375), rel=1e-14)
        assert system_quality_number(trades_of(5.0)) is None
        assert system_quality_number(trades_of(5.0, 5.0, 5.0)) is None

    def test_kelly(self) -> None:
        assert kelly(0.4, 2.0) == pytest.approx(0.1)
        assert kelly(0.2, 1.0) == pytest.approx(-0.6)
        assert kelly(None, 2.0) is None
        assert kelly(1.0, None) is None

    def test_duration(self) -> None:
        assert average_duration_hours(trades_of(1.0, 1.0, hours=(1, 2))) == 1.5
        assert average_duration_hours(trades_of()) is None

    def test_mean_best_and_worst_are_fractions_of_what_was_put_in(self) -> None:
        found = self.sums
        assert (found.mean_fraction, found.best_fraction, found.worst_fraction) == (0.05, 0.3, -0.15)

    def test_streaks_of_wins_and_losses_are_ended_by_a_trade_that_earns_nothing(self) -> None:
        found = trades_of(1.0, 2.0, 0.0, 1.0, 1.0, 3.0, -1.0, 0.0, -1.0, -2.0)
        assert (found.longest_wins, found.longest_losses) == (3, 2)
        assert (trades_of(-1.0).longest_wins, trades_of(1.0).longest_losses) == (0, 0)
        assert trades_of() == (0,) * 13

    @pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 127, 128, 129, 136, 1_000, 4_097])
    def test_sums_are_numpys_bit_for_bit(self, n: int) -> None:
        random = np.random.default_rng(n)
        profits, times = random.normal(1.0, 50.0, n), np.zeros(n, dtype=np.int64)
        found = trade_sums(profits, profits / 7.0, times, times)
        assert found.gained == np.sum(profits[profits > 0.0])
        assert found.lost == np.sum(profits[profits < 0.0])
        assert (found.mean, found.mean_fraction) == (np.mean(profits), np.mean(profits / 7.0))
        assert found.deviation == (np.std(profits, ddof=1) if n > 1 else 0.0)
        returns = return_sums(profits)
        assert (returns.mean, returns.gained) == (found.mean, np.sum(np.maximum(profits, 0.0)))
        assert returns.lost == np.sum(np.maximum(-profits, 0.0))
        assert returns.mean_square_loss == np.mean(np.minimum(profits, 0.0) ** 2)


def metrics_of(bars: Bars, signals: Signals, spec: ExecutionSpec, capital: float = 1_000.0) -> Metrics:
    return compute(run(bars, signals, spec, capital), bars, TradingDays.EVERY_DAY)


def test_all_metrics_of_a_run_worked_out_by_hand() -> None:
    # Bought for 1,000 at 100 and sold at 120 with 1 % each way; bought again at 120 and sold at 90.
    closes = [100.0, 110.0, 120.0, 120.0, 90.0, 90.0]
    bars = bars_of_closes(closes, DAY)
    spec = ExecutionSpec(fill=FillModel.CLOSE, taker_fee=0.01, sizing=Sizing(SizingKind.QUANTITY, 4.0))
    found = metrics_of(bars, signals_at(6, entry_long=[0, 3], exit_long=[2, 4]), spec)

    first = 4 * 20 - 4 - 4.8  # 71.2
    second = 4 * -30 - 4.8 - 3.6  # −128.4
    equity = [1_000 - 4, 1_036, 1_071.2, 1_071.2 - 4.8, 942.8, 942.8]
    returns = np.array(equity) / np.array([1_000, *equity[:-1]]) - 1
    final = 942.8
    days = 6
    growth = (final / 1_000) ** (365.25 / days) - 1
    deepest = 1 - final / 1_071.2
    drawdowns = [1 - 996 / 1_000, 0, 0, 1 - 1_066.4 / 1_071.2, deepest, deepest]
    assert found.trades == 2
    expected = {
        "total_return": -0.0572,
        "cagr": growth,
        "annual_volatility": np.std(returns, ddof=1) * sqrt(365),
        "sharpe_ratio": np.mean(returns) / np.std(returns, ddof=1) * sqrt(365),
        "sortino_ratio": np.mean(returns) * sqrt(365) / sqrt(np.sum(returns[returns < 0] ** 2) / days),
        "calmar_ratio": growth / deepest,
        "omega_ratio": returns[returns > 0].sum() / -returns[returns < 0].sum(),
        "max_drawdown": deepest,
        "max_drawdown_duration_days": 3.0,
        "ulcer_index": sqrt(sum(each**2 for each in drawdowns) / days),
        "win_rate": 0.5,
        "profit_factor": first / -second,
        "expectancy": (first + second) / 2,
        "payoff_ratio": first / -second,
        "sqn": sqrt(2) * ((first + second) / 2) / (abs(first - second) / sqrt(2)),
        "kelly": 0.5 - 0.5 / (first / -second),
        "avg_trade_return": (first / 404 + second / 484.8) / 2,
        "best_trade": first / 404,
        "worst_trade": second / 484.8,
        "avg_trade_duration_hours": (48 + 24) / 2,
        "max_consecutive_wins": 1,
        "max_consecutive_losses": 1,
        "exposure": 3 / 6,
        "turnover": 4 * (100 + 120 + 120 + 90) / np.mean(equity),
        "fees_paid": 17.2,
        "final_equity": 942.8,
        "buy_and_hold_return": -0.1,
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12), name
    assert found.value_at_risk_95 is None
    assert found.expected_shortfall_95 is None
    assert (found.alpha, found.beta) == (None, None)


def test_a_run_without_trades_has_no_metrics_of_trades() -> None:
    found = metrics_of(bars_of_closes([100.0] * 30, DAY), Signals.none(30), ExecutionSpec())
    undefined = {field.name for field in fields(Metrics) if getattr(found, field.name) is None}
    assert undefined == {
        "sharpe_ratio",
        "sortino_ratio",
        "calmar_ratio",
        "omega_ratio",
        "max_drawdown_duration_days",
        "win_rate",
        "profit_factor",
        "expectancy",
        "payoff_ratio",
        "sqn",
        "kelly",
        "avg_trade_return",
        "best_trade",
        "worst_trade",
        "avg_trade_duration_hours",
        "alpha",
        "beta",
    }
    assert (found.total_return, found.max_drawdown, found.exposure, found.turnover) == (0.0, 0.0, 0.0, 0.0)
    assert (found.cagr, found.annual_volatility, found.value_at_risk_95) == (0.0, 0.0, 0.0)


def test_buying_and_holding_has_a_beta_of_one_and_no_alpha() -> None:
    random = np.random.default_rng(2)
    closes = (100 * np.exp(np.cumsum(random.normal(0, 0.02, 60)))).tolist()
    bars = bars_of_closes(closes, DAY)
    spec = ExecutionSpec(fill=FillModel.CLOSE, taker_fee=0.0)
    found = metrics_of(bars, signals_at(60, entry_long=[0]), spec)
    assert found.beta == pytest.approx(1.0, abs=1e-12)
    assert found.alpha == pytest.approx(0.0, abs=1e-12)
    assert found.total_return == pytest.approx(found.buy_and_hold_return, abs=1e-12)


def test_only_bars_from_the_start_count() -> None:
    bars = bars_of_closes([1.0, 1.0, 100.0, 110.0], DAY)
    result = run(bars, Signals.none(4), ExecutionSpec(), 1_000.0, 2)
    assert compute(result, bars.slice(2, 4), TradingDays.EVERY_DAY).buy_and_hold_return == pytest.approx(0.1)
    with pytest.raises(ValueError, match="2 values of equity need as many bars; got 4"):
        compute(result, bars, TradingDays.EVERY_DAY)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_no_metric_is_ever_nan_or_infinite_or_out_of_its_range(case: Case) -> None:
    result = run(case.bars, case.signals, case.spec, case.capital, case.start)
    traded = case.bars.slice(case.start, len(case.bars))
    for counted in TradingDays:
        found = compute(result, traded, counted)
        for field in fields(Metrics):
            value = getattr(found, field.name)
            assert value is None or isfinite(value), field.name
            assert type(value) in (int, float, type(None)), field.name
        assert 0.0 <= found.max_drawdown <= 1.0
        assert found.total_return >= -1.0
        assert 0.0 <= found.exposure <= 1.0
        assert found.win_rate is None or 0.0 <= found.win_rate <= 1.0
        assert (found.max_drawdown_duration_days is None) == (found.max_drawdown == 0.0)
