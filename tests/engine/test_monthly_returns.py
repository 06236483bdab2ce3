"""Monthly returns: months of the UTC calendar that compound to the total return."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.intervals import Interval
from gql_trader.engine.metrics import daily_curve
from gql_trader.engine.monthly import monthly_returns
from gql_trader.engine.trading_days import TradingDays
from tests.factories.candles import random_bars

DAY = 86_400_000
DECEMBER_30_2023 = 1_703_894_400_000


def test_months_end_with_their_last_day_and_the_first_begins_with_the_capital() -> None:
    time = DECEMBER_30_2023 + DAY * np.array([0, 1, 2, 3, 40], dtype=np.int64)
    found = monthly_returns(time, np.array([110.0, 120.0, 90.0, 60.0, 75.0]), 100.0)
    assert found.year.tolist() == [2023, 2024, 2024]
    assert found.month.tolist() == [12, 1, 2]
    assert found.value.tolist() == [pytest.approx(0.2), pytest.approx(-0.5), pytest.approx(0.25)]


def test_a_month_that_begins_with_nothing_has_no_return() -> None:
    time = DECEMBER_30_2023 + DAY * np.array([0, 5, 40], dtype=np.int64)
    found = monthly_returns(time, np.array([50.0, 0.0, 0.0]), 100.0)
    assert found.value[:2].tolist() == [-0.5, -1.0]
    assert np.isnan(found.value[2])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([Interval.H1, Interval.H4, Interval.D1, Interval.W1]),
    st.integers(1, 900),
    st.sampled_from(TradingDays),
    st.integers(0, 50),
)
def test_months_compound_to_the_total_return(
    interval: Interval, n: int, counted: TradingDays, seed: int
) -> None:
    bars = random_bars(n, interval, seed=seed, gaps=0.2)
    daily = daily_curve(bars.time, bars.close, bars.interval, 1_000.0, counted)
    found = monthly_returns(daily.time, daily.value, 1_000.0)
    assert np.prod(1.0 + found.value) == pytest.approx(bars.close[-1] / 1_000.0, rel=1e-12)
    months = found.year * 12 + found.month
    assert (np.diff(months) > 0).all()
