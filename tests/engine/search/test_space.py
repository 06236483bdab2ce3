"""The combinations of a search: all of a grid, and random ones that a number and a seed say all about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.engine.search.space import Axis, Space

LISTED = Space((Axis("a", (1, 2, 3)), Axis("b", (True, False)), Axis("c", (None, 0.5))))
MIXED = Space(
    (Axis("a", tuple(range(2, 200)), logarithmic=True), Axis("x", (), 0.001, 1.0, True), Axis("y", (), -1, 3))
)


def test_a_grid_has_each_combination_once_and_the_last_axis_changes_first() -> None:
    assert LISTED.size == 12
    rows = [tuple(LISTED.values(codes).values()) for codes in LISTED.grid(0, 12).tolist()]
    assert rows[:4] == [(1, True, None), (1, True, 0.5), (1, False, None), (1, False, 0.5)]
    assert len(set(rows)) == 12
    assert np.array_equal(LISTED.grid(5, 4), LISTED.grid(0, 12)[5:9])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 5000), st.integers(1, 1500))
def test_a_part_of_the_random_combinations_is_that_part_of_all(seed: int, first: int, count: int) -> None:
    assert np.array_equal(
        MIXED.random(seed, first, count), MIXED.random(seed, 0, 6500)[first : first + count]
    )


def test_random_combinations_stay_inside_and_fill_their_axes() -> None:
    codes = MIXED.random(1, 0, 20_000)
    numbers = np.array(MIXED.axes[0].values)[codes[:, 0].astype(int)]
    assert (numbers.min(), numbers.max()) == (2, 199)
    assert codes[:, 1].min() >= 0.001
    assert codes[:, 1].max() <= 1.0
    # Equal ratios are equally likely: half of the draws are below the geometric middle.
    assert np.mean(numbers < np.sqrt(2 * 200)) == pytest.approx(0.5, abs=0.02)
    assert np.mean(codes[:, 1] < np.sqrt(0.001)) == pytest.approx(0.5, abs=0.02)
    assert np.mean(codes[:, 2] < 1.0) == pytest.approx(0.5, abs=0.02)
    assert not np.array_equal(codes, MIXED.random(2, 0, 20_000))


def test_buckets_lie_between_values_and_cut_ranges_into_equal_parts() -> None:
    edges, labels = LISTED.axes[0].buckets(20)
    assert (edges.tolist(), labels) == ([0.5, 1.5], [1, 2, 3])
    edges, middles = MIXED.axes[2].buckets(4)
    assert (edges.tolist(), middles) == ([0.0, 1.0, 2.0], [-0.5, 0.5, 1.5, 2.5])
    edges, middles = MIXED.axes[1].buckets(3)
    assert edges == pytest.approx([0.01, 0.1])
    assert middles == pytest.approx([0.00316228, 0.0316228, 0.316228], rel=1e-5)
