"""Higher intervals and fewer points, against loops that anybody can follow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import DAY, HOUR, Interval
from gql_trader.engine.bars import Bars
from gql_trader.market_data.store.loading import choose_source
from gql_trader.market_data.store.resampling import downsample, resample
from gql_trader.market_data.types import StoredSeries
from tests.factories.candles import JANUARY_2024, random_bars

PAIRS = [(low, high) for low in Interval for high in Interval if low is not high and low.divides(high)]


def slow_resample(bars: Bars, interval: Interval) -> list[tuple[int, float, float, float, float, float]]:
    groups: dict[int, list[int]] = {}
    for index in range(len(bars)):
        groups.setdefault(interval.floor(int(bars.time[index])), []).append(index)
    end = int(bars.time[-1]) + bars.interval
    return [
        (
            start,
            bars.open[members[0]],
            max(bars.high[members]),
            min(bars.low[members]),
            bars.close[members[-1]],
            sum(bars.volume[members]),
        )
        for start, members in groups.items()
        if start + interval.milliseconds <= end
    ]


@given(st.sampled_from(PAIRS), st.integers(1, 400), st.integers(0, 2**32), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_resampling_equals_the_obvious_loop(
    pair: tuple[Interval, Interval], n: int, seed: int, shift: int
) -> None:
    low, high = pair
    bars = random_bars(n, low, seed=seed, start=JANUARY_2024 + shift * low.milliseconds, gaps=0.3)
    found, expected = resample(bars, high), slow_resample(bars, high)
    assert found.interval == high.milliseconds
    assert found.time.tolist() == [row[0] for row in expected]
    for at, name in enumerate(("open", "high", "low", "close"), start=1):
        assert getattr(found, name).tolist() == [row[at] for row in expected]
    assert found.volume == pytest.approx([row[5] for row in expected], rel=1e-12)


def test_weeks_begin_on_monday() -> None:
    found = resample(random_bars(24 * 30), Interval.W1)
    assert {from_milliseconds(int(time)).weekday() for time in found.time} == {0}


def test_the_last_candle_is_left_out_until_it_is_complete() -> None:
    assert resample(random_bars(7), Interval.H4).time.tolist() == [JANUARY_2024]
    assert resample(random_bars(8), Interval.H4).time.tolist() == [JANUARY_2024, JANUARY_2024 + 4 * HOUR]
    assert len(resample(random_bars(3), Interval.H4)) == 0


def test_an_interval_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        resample(random_bars(10, Interval.H8), Interval.H12)


@given(st.integers(1, 500), st.integers(1, 600), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_down_sampling_keeps_every_extreme_and_the_sum(n: int, points: int, seed: int) -> None:
    bars = random_bars(n, seed=seed, gaps=0.1)
    found = downsample(bars, points)
    assert len(found) <= points
    assert len(found) == n if n <= points else len(found) > points // 2
    assert (found.time[0], found.open[0], found.close[-1]) == (bars.time[0], bars.open[0], bars.close[-1])
    assert (found.high.max(), found.low.min()) == (bars.high.max(), bars.low.min())
    assert np.all(found.high >= np.maximum(found.open, found.close))
    assert np.all(found.low <= np.minimum(found.open, found.close))
    assert found.volume.sum() == pytest.approx(bars.volume.sum())


def series(interval: Interval, days: int) -> StoredSeries:
    return StoredSeries(None, None, interval, 1, 1, 0, days * DAY, 0, "", ())  # type: ignore[arg-type]


def test_candles_come_from_the_series_itself_else_from_the_one_that_reaches_furthest() -> None:
    minutes, hours, days = series(Interval.M1, 30), series(Interval.H1, 800), series(Interval.D1, 9000)
    stored = [hours, minutes, days]
    assert choose_source(stored, Interval.M1) is minutes
    assert choose_source(stored, Interval.M15) is minutes
    assert choose_source(stored, Interval.H4) is hours
    assert choose_source(stored, Interval.D1) is days
    assert choose_source(stored, Interval.W1) is days
    assert choose_source([days], Interval.H1) is None
    as_long = series(Interval.M1, 800)
    assert choose_source([hours, as_long], Interval.H4) is as_long
