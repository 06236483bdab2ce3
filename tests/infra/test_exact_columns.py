"""Columns of exact decimals and moments are, value by value, what the core makes of each."""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import to_decimal, to_price
from gql_trader.infra.exact_columns import (
    money_column,
    money_floats,
    price_column,
    price_floats,
    utc_datetimes,
)

MANY_AT_ONCE = Callable[[np.ndarray], list[Decimal]]
ONE = Callable[[float], Decimal]
BOTH = pytest.mark.parametrize(("many", "one"), [(money_column, to_decimal), (price_column, to_price)])

# Amounts as they come: of any size, written with few digits, and half-way between two roundings.
AMOUNTS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e7, 1e7),
    st.builds(
        lambda digits, places: digits / 10.0**places, st.integers(-(10**15), 10**15), st.integers(0, 22)
    ),
    st.builds(
        lambda digits, places: (2 * digits + 1) / (2 * 10.0**places),
        st.integers(-(10**12), 10**12),
        st.integers(6, 14),
    ),
    st.builds(
        lambda exponent, up: float(np.nextafter(10.0**exponent, up)),
        st.integers(-14, 17),
        st.sampled_from([0.0, np.inf]),
    ),
)


def written(amounts: list[Decimal]) -> list[tuple[object, ...]]:
    """Return the digits as well, since equal decimals may be written differently."""
    return [amount.as_tuple() for amount in amounts]


@BOTH
@given(values=st.lists(AMOUNTS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_column_is_rounded_as_each_of_its_values(many: MANY_AT_ONCE, one: ONE, values: list[float]) -> None:
    assert written(many(np.array(values, np.float64))) == written([one(value) for value in values])


@BOTH
@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e-4, 1.0, 3e2, 5e3, 6e4, 1e6, 1e7, 1e9, 1e14])
def test_computed_amounts_of_any_size_are_rounded_alike(many: MANY_AT_ONCE, one: ONE, scale: float) -> None:
    values = np.random.default_rng(7).normal(0.0, scale, 1500)
    assert written(many(values)) == written([one(value) for value in values.tolist()])


@pytest.mark.parametrize(("floats", "exact"), [(money_floats, money_column), (price_floats, price_column)])
@given(values=st.lists(AMOUNTS, max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_column_of_floats_has_those_nearest_to_the_decimals(
    floats: Callable[[np.ndarray], np.ndarray], exact: MANY_AT_ONCE, values: list[float]
) -> None:
    column = np.array(values, np.float64)
    kept = column.copy()
    assert floats(column).tolist() == [float(each) for each in exact(column)]
    assert np.array_equal(column.view(np.int64), kept.view(np.int64)), "the column was changed"


@BOTH
def test_ties_go_to_the_even_digit_and_zero_has_no_sign(many: MANY_AT_ONCE, one: ONE) -> None:
    values = [0.000000005, 0.000000015, 1.000000005, -0.0, 0.0, -1e-9, 5e-324, 123.0, 1e22]
    assert written(many(np.array(values))) == written([one(value) for value in values])
    assert money_column(np.array([0.000000005, 0.000000015])) == [Decimal("0"), Decimal("0.00000002")]


@pytest.mark.parametrize("many", [money_column, price_column])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_column_with_a_value_that_is_not_finite_is_refused(many: MANY_AT_ONCE, value: float) -> None:
    with pytest.raises(ValueError, match="not a finite amount"):
        many(np.array([1.0, value]))


@given(st.lists(st.integers(-(10**13), 10**14)))
def test_moments_are_those_of_each_value(milliseconds: list[int]) -> None:
    moments = utc_datetimes(np.array(milliseconds, np.int64))
    assert moments == [from_milliseconds(each) for each in milliseconds]
    assert all(moment.tzinfo is not None for moment in moments)
