"""Charts keep what the eye looks for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_trader.engine.sampling import downsample, downsample_indices, drawdown_at


def test_a_short_curve_is_kept_whole() -> None:
    values = np.array([3.0, 1.0, 2.0, 5.0])
    assert downsample_indices(values, 4).tolist() == [0, 1, 2, 3]
    assert downsample_indices(values[:0], 4).tolist() == []


def test_first_last_lowest_and_highest_of_each_share_are_kept_in_order() -> None:
    values = np.array([5.0, 1.0, 9.0, 4.0, 6.0, 2.0, 3.0, 8.0, 7.0, 7.5])
    assert downsample_indices(values, 8).tolist() == [0, 1, 2, 4, 5, 7, 9]
    time, kept = downsample(np.arange(10) * 60_000, values, 8)
    assert time.tolist() == [0, 60_000, 120_000, 240_000, 300_000, 420_000, 540_000]
    assert kept.tolist() == [5.0, 1.0, 9.0, 6.0, 2.0, 8.0, 7.5]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(4, 60))
def test_extremes_and_ends_are_never_lost_and_the_limit_holds(values: list[float], limit: int) -> None:
    curve = np.array(values)
    chosen = downsample_indices(curve, limit)
    assert len(chosen) <= max(limit, 4)
    assert (chosen[0], chosen[-1]) == (0, len(curve) - 1)
    assert np.all(np.diff(chosen) > 0)
    assert (curve[chosen].min(), curve[chosen].max()) == (curve.min(), curve.max())


def test_fewer_than_four_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 points; got 3"):
        downsample_indices(np.zeros(10), 3)


def test_drawdown_at_a_point_is_measured_over_the_whole_curve() -> None:
    equity = np.array([90.0, 200.0, 150.0, 250.0, 125.0])
    assert drawdown_at(equity, np.array([0, 2, 4]), 100.0).tolist() == [
        1 - 90 / 100,
        1 - 150 / 200,
        1 - 125 / 250,
    ]
    everywhere = drawdown_at(equity, np.arange(5), 100.0)
    assert everywhere.tolist() == (1 - equity / np.maximum(np.maximum.accumulate(equity), 100.0)).tolist()


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200), st.floats(1.0, 1e5), st.data())
def test_drawdown_at_any_points_is_that_of_a_running_peak(
    values: list[float], initial: float, data: st.DataObject
) -> None:
    equity = np.array(values)
    points = np.array(sorted(data.draw(st.sets(st.integers(0, len(values) - 1)))), np.int64)
    peaks = np.maximum(np.maximum.accumulate(equity), initial)
    assert drawdown_at(equity, points, initial).tolist() == (1.0 - equity / peaks)[points].tolist()
