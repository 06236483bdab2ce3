"""The column codec is lossless for every bit pattern and refuses bytes that were changed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gql_trader.infra.column_codec import CorruptColumnsError, decode_columns, encode_columns, tick_decimals

DTYPES = ["<f8", "<f4", "<i8", "<i4", "<i2", "<i1", "<u8", "<u4", "<u2", "<u1", "|b1"]


def bits(column: np.ndarray) -> bytes:
    return column.tobytes()


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 60))),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_column_comes_back_bit_for_bit(columns: dict[str, np.ndarray]) -> None:
    decoded = decode_columns(encode_columns(columns))
    assert list(decoded) == list(columns)
    for name, column in columns.items():
        assert decoded[name].dtype == column.dtype
        assert bits(decoded[name]) == bits(column)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=50), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_prices_on_a_tick_come_back_bit_for_bit(ticks: list[int], decimals: int) -> None:
    column = np.array(ticks) / 10.0**decimals
    assert bits(decode_columns(encode_columns({"price": column}))["price"]) == bits(column)


def test_nan_payloads_infinities_denormals_and_signed_zeros_survive() -> None:
    payload = np.array([0x7FF8000000000123, 0xFFF8000000000001], "<u8").view("<f8")
    column = np.concatenate([payload, [np.inf, -np.inf, -0.0, 0.0, 5e-324, -5e-324, 1.7976931348623157e308]])
    assert bits(decode_columns(encode_columns({"x": column}))["x"]) == bits(column)


def test_integers_at_both_ends_of_their_range_survive() -> None:
    ends = np.array([-(2**63), 2**63 - 1, 0, -1, 2**62, -(2**62)], "<i8")
    assert bits(decode_columns(encode_columns({"x": ends}))["x"]) == bits(ends)


def test_big_endian_and_strided_columns_are_stored_by_value() -> None:
    decoded = decode_columns(encode_columns({"x": np.arange(5, dtype=">i4"), "y": np.arange(10.0)[::2]}))
    assert decoded["x"].tolist() == [0, 1, 2, 3, 4]
    assert decoded["y"].tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_regular_times_and_exact_ticks_are_small() -> None:
    n = 10_000
    steps = np.random.default_rng(1).integers(-50, 51, n)
    data = encode_columns({"time": np.arange(n) * 60_000, "price": (3_000_000 + np.cumsum(steps)) / 100})
    assert len(data) < 1.2 * n


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([1.0, 2.0], 0),
        ([0.5, 7.25], 2),
        ([0.00162008], 8),
        ([0.1 + 0.2], None),
        ([-0.0], None),
        ([np.nan], None),
        ([], 0),
    ],
)
def test_tick_decimals_names_the_exact_decimal_places(values: list[float], decimals: int | None) -> None:
    assert tick_decimals(np.array(values, "<f8")) == decimals


def test_every_flipped_byte_and_every_cut_is_refused() -> None:
    data = encode_columns({"time": np.arange(40), "price": np.linspace(1.0, 2.0, 40)})
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        with pytest.raises(CorruptColumnsError):
            decode_columns(damaged)
        with pytest.raises(CorruptColumnsError):
            decode_columns(data[:position])
    with pytest.raises(CorruptColumnsError):
        decode_columns(data + b"x")


def test_a_column_that_is_not_numbers_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="'names'"):
        encode_columns({"names": np.array(["a", "b"])})
    with pytest.raises(TypeError, match="'grid'"):
        encode_columns({"grid": np.zeros((2, 2))})
