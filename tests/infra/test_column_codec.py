"""The column codec is lossless for every bit pattern and refuses bytes that were changed."""

from concurrent.futures import ThreadPoolExecutor

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


WRITTEN_BY_FORMAT_1 = bytes.fromhex(
    "4754434301ecc365761f01000061010000000000005b7b226e616d65223a2274696d65222c2274797065223a223c6938"
    "222c226e223a342c226669727374223a313730343036373230303030302c2264697669736f72223a36303030302c2277"
    "69647468223a312c226279746573223a31337d2c7b226e616d65223a227072696365222c2274797065223a223c663822"
    "2c226e223a342c22646563696d616c73223a322c226669727374223a343230303030312c2264697669736f72223a312c"
    "227769647468223a312c226279746573223a31337d2c7b226e616d65223a22657175697479222c2274797065223a223c"
    "6638222c226e223a342c226279746573223a32377d2c7b226e616d65223a2273696465222c2274797065223a227c6231"
    "222c226e223a342c226279746573223a31337d5d28b52ffd20042100000001010128b52ffd20042100000031cd0128b5"
    "2ffd20209500006000550000f0d5f8003f3f7f800100d38e0828b52ffd200421000001000101"
)


def test_bundles_of_format_1_are_still_read() -> None:
    decoded = decode_columns(WRITTEN_BY_FORMAT_1)
    assert list(decoded) == ["time", "price", "equity", "side"]
    assert decoded["time"].tolist() == [1_704_067_200_000 + 60_000 * bar for bar in range(4)]
    assert decoded["price"].tolist() == [42000.01, 42000.5, 41999.99, 42000.0]
    assert bits(decoded["equity"]) == bits(np.array([1.0, 1 / 3, np.nan, -0.0]))
    assert decoded["side"].tolist() == [True, False, True, True]


# A time column and a curve that changes three times, of 2,048 values each.
WRITTEN_BY_FORMAT_2 = bytes.fromhex(
    "47544343027eeedf20a1000000ed000000000000005b7b226e616d65223a2274696d65222c2274797065223a223c6938"
    "222c226e223a323034382c226669727374223a313730343036373230303030302c2264697669736f72223a3630303030"
    "2c227769647468223a312c226279746573223a31397d2c7b226e616d65223a22657175697479222c2274797065223a22"
    "3c6638222c226e223a323034382c226368616e676564223a342c226279746573223a35377d5d28b52ffd6000074d0000"
    "1000010100fbff000b28b52ffd6020007d01001402800008008000080024cac9e6d65f5fafe26b6b355300404020b200"
    "00008000000005100099021447c29270242c"
)


def test_bundles_of_format_2_are_still_read() -> None:
    decoded = decode_columns(WRITTEN_BY_FORMAT_2)
    curve = np.full(2048, 100.0)
    curve[500:], curve[1000:], curve[1500:] = 100.5, 1 / 3 * 300, 100.25
    assert bits(decoded["time"]) == bits(1_704_067_200_000 + 60_000 * np.arange(2048))
    assert bits(decoded["equity"]) == bits(curve * 1.0000001)


def test_columns_are_decoded_into_arrays_that_are_there_already() -> None:
    random = np.random.default_rng(5)
    columns: dict[str, np.ndarray] = {
        "time": 60_000 * np.arange(5_000),
        "gaps": np.cumsum(random.integers(1, 9, 5_000)),
        "price": random.integers(1, 10**6, 5_000) / 100,
        "curve": np.exp(np.cumsum(random.normal(0.0, 1e-4, 5_000))),
        "noise": random.random(5_000),
    }
    data = encode_columns(columns)
    wide = {name: np.zeros(5_010, column.dtype) for name, column in columns.items() if name != "gaps"}
    decoded = decode_columns(data, {name: column[5:-5] for name, column in wide.items()})
    for name, column in columns.items():
        assert bits(decoded[name]) == bits(column), name
        if name in wide:
            assert bits(wide[name][5:-5]) == bits(column), name
            assert not wide[name][:5].any()
            assert not wide[name][-5:].any()
    for wrong in (np.empty(4_999), np.empty(5_000, np.int64)):
        with pytest.raises(CorruptColumnsError, match="'price' has 5000 values of float64"):
            decode_columns(data, {"price": wrong})


@pytest.mark.parametrize(
    "column", [[2**63 - 3, 2**63 - 2, 2**63 - 1], [-(2**63), 0, 2**63 - 1], [2**61, -(2**61)], [7], [7, 7]]
)
def test_steps_between_integers_of_any_size_survive(column: list[int]) -> None:
    kept = np.array(column, np.int64)
    assert bits(decode_columns(encode_columns({"at": kept}))["at"]) == bits(kept)


@given(st.integers(2048, 5000), st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.data())
@settings(max_examples=60, deadline=None)
def test_curves_that_change_little_come_back_bit_for_bit(
    n: int, seed: int, flat: float, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    moves = np.where(random.random(n) < flat, 0.0, random.normal(0.0, 1e-4, n))
    curve = 10_000.0 * np.exp(np.cumsum(moves))
    # Whatever else there may be here and there.
    strange = hnp.arrays("<u8", st.integers(0, 40), elements=st.integers(0, 2**64 - 1))
    patterns = data.draw(strange).view("<f8")
    curve[random.choice(n, len(patterns), replace=False)] = patterns
    assert bits(decode_columns(encode_columns({"equity": curve}))["equity"]) == bits(curve)


def test_a_curve_costs_a_bit_where_it_is_flat() -> None:
    random = np.random.default_rng(3)
    n = 50_000
    curve = 10_000.0 * np.exp(np.cumsum(np.where(np.arange(n) % 1000 < 500, random.normal(0, 1e-3, n), 0.0)))
    data = encode_columns({"equity": curve})
    assert len(data) < n // 2 * 6 + n // 8
    assert bits(decode_columns(data)["equity"]) == bits(curve)


def test_damaged_curves_are_refused() -> None:
    curve = np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 1e-4, 3000)))
    data = encode_columns({"equity": curve})
    for position in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[position] ^= 0x41
        with pytest.raises(CorruptColumnsError):
            decode_columns(damaged)


@pytest.mark.parametrize("step", [-7, 0, 60_000, 2**40])
@pytest.mark.parametrize("kind", ["<i8", "<f8"])
def test_regular_columns_take_hardly_any_bytes(step: int, kind: str) -> None:
    column = (1_000 + step * np.arange(3_000)).astype(kind)
    data = encode_columns({"time": column})
    assert len(data) < 200
    assert bits(decode_columns(data)["time"]) == bits(column)


def test_threads_encode_at_the_same_time() -> None:
    curves = [np.exp(np.cumsum(np.random.default_rng(k).normal(0, 1e-4, 20_000))) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(lambda curve: encode_columns({"equity": curve}), curves * 3))
    for curve, data in zip(curves * 3, encoded, strict=True):
        assert bits(decode_columns(data)["equity"]) == bits(curve)


def test_a_column_that_is_not_numbers_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="'names'"):
        encode_columns({"names": np.array(["a", "b"])})
    with pytest.raises(TypeError, match="'grid'"):
        encode_columns({"grid": np.zeros((2, 2))})
