"""What holds for every indicator, and what the ones that TA-Lib does not have compute."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators import CATALOGUE, ArgumentKind, Function, Value
from gql_trader.engine.indicators.columns import column
from gql_trader.engine.indicators.implementations import compute
from tests.factories.random_bars import random_bars

NAN = float("nan")


def defaults(function: Function) -> dict[str, Value]:
    return {a.name: a.default for a in function.arguments if a.kind.constant and a.default is not None}


def operands(function: Function, bars: Bars) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for argument in function.arguments:
        if argument.kind is ArgumentKind.CONDITION:
            found.append(bars.close > bars.open if not found else bars.volume > 80)
        elif not argument.kind.constant:
            names = {"y": "open", "periods": "hour"}
            found.append(column(bars, names.get(argument.name, "close")))
    return found


def series(function: str, *inputs: object, **constants: Value) -> np.ndarray:
    """Compute a function of the catalogue on given columns."""
    arrays = [np.asarray(each) if not isinstance(each, float) else each for each in inputs]
    spec = CATALOGUE[function]
    found = compute(spec, arrays, random_bars(np.size(arrays[0])), {**defaults(spec), **constants})
    assert isinstance(found, np.ndarray)
    return found


def as_tuple(found: object) -> tuple[np.ndarray, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("function", CATALOGUE.values(), ids=lambda each: each.name)
def test_later_bars_never_change_earlier_values(function: Function) -> None:
    bars = random_bars(330, seed=11, interval=900_000)
    whole = as_tuple(compute(function, operands(function, bars), bars, defaults(function)))
    for n in (0, 1, 2, 97, 150, 211, 329):
        part = bars.slice(0, n)
        for before, after in zip(
            as_tuple(compute(function, operands(function, part), part, defaults(function))),
            whole,
            strict=True,
        ):
            assert len(before) == n
            np.testing.assert_array_equal(before, after[:n])


@pytest.mark.parametrize("function", CATALOGUE.values(), ids=lambda each: each.name)
def test_nothing_is_defined_before_the_look_back_and_inputs_are_untouched(function: Function) -> None:
    bars = random_bars(330, seed=5)
    given = operands(function, bars)
    copies = [each.copy() for each in given]
    for each in given:
        each.flags.writeable = False
    lookback = function.lookback(defaults(function))
    results = as_tuple(compute(function, given, bars, defaults(function)))
    # The lines of ichimoku begin one after the other; its look-back is that of the last.
    for found in results[-1:] if function.name == "ichimoku" else results:
        before = found[:lookback]
        assert not before.any() if found.dtype == np.bool_ else np.isnan(before).all()
    for each, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(each, copy)


@pytest.mark.parametrize(
    "name", ["sma", "ema", "wma", "rma", "rsi", "stdev", "highest", "sum", "kama", "linearreg"]
)
def test_an_undefined_value_starts_an_indicator_again(name: str) -> None:
    x = random_bars(120, seed=2).close
    with_gap = x.copy()
    with_gap[[40, 41]] = NAN, float("inf")
    found = series(name, with_gap, period=5)
    np.testing.assert_array_equal(found[:40], series(name, x[:40].copy(), period=5))
    assert np.isnan(found[40:42]).all()
    np.testing.assert_array_equal(found[42:], series(name, x[42:].copy(), period=5))


def test_standard_deviation_keeps_its_digits_around_a_large_price() -> None:
    x = 1e6 + np.random.default_rng(1).normal(0.0, 0.01, 3000)
    exact = np.std(sliding_window_view(x, 20), axis=1)
    np.testing.assert_allclose(series("stdev", x, period=20)[19:], exact, rtol=1e-6)


def test_standard_deviation_of_equal_values_is_exactly_zero() -> None:
    x = np.concatenate([random_bars(50).close, np.full(30, 0.1), [0.2]])
    found = series("stdev", x, period=10)
    assert (found[59:80] == 0.0).all()
    assert found[80] == pytest.approx(0.03)


def test_zscore_is_undefined_without_spread() -> None:
    x = np.concatenate([np.full(10, 7.0), [8.0]])
    found = series("zscore", x, period=5)
    assert np.isnan(found[:10]).all()
    assert found[10] == pytest.approx(2.0)


def test_highestbars_counts_back_to_the_latest_of_equal_highs() -> None:
    x = np.array([1.0, 5.0, 3.0, 5.0, 2.0, 1.0, 1.0])
    np.testing.assert_array_equal(series("highestbars", x, period=3), [NAN, NAN, 1, 0, 1, 2, 2])
    np.testing.assert_array_equal(series("lowestbars", x, period=3), [NAN, NAN, 2, 1, 0, 0, 0])


def test_crossover_needs_greater_now_and_not_greater_before() -> None:
    x = np.array([1.0, 2.0, 3.0, 2.0, 2.0, 3.0, NAN, 4.0, 5.0])
    y = 2.0
    np.testing.assert_array_equal(np.flatnonzero(series("crossover", x, y)), [2, 5])
    np.testing.assert_array_equal(np.flatnonzero(series("crossunder", x, y)), [])
    np.testing.assert_array_equal(np.flatnonzero(series("crossunder", -x, -2.0)), [2, 5])
    np.testing.assert_array_equal(np.flatnonzero(series("cross", x, y)), [2, 5])


def test_rising_and_falling_need_every_step() -> None:
    x = np.array([1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 4.0, 3.0])
    np.testing.assert_array_equal(np.flatnonzero(series("rising", x, period=2)), [2, 5])
    np.testing.assert_array_equal(np.flatnonzero(series("rising", x, period=1)), [1, 2, 4, 5])
    np.testing.assert_array_equal(np.flatnonzero(series("falling", x, period=2)), [7])


def test_conditions_over_time() -> None:
    held = np.array([False, True, False, False, True, True, False])
    np.testing.assert_array_equal(series("count", held, period=3), [NAN, NAN, 1, 1, 1, 2, 2])
    np.testing.assert_array_equal(series("barssince", held), [NAN, 0, 1, 2, 0, 0, 1])
    x = np.arange(7.0) * 10
    np.testing.assert_array_equal(series("valuewhen", held, x), [NAN, 10, 10, 10, 40, 50, 50])
    np.testing.assert_array_equal(
        series("valuewhen", held, x, occurrence=1), [NAN, NAN, NAN, NAN, 10, 40, 40]
    )
    reset = np.array([False, False, True, False, False, False, True])
    np.testing.assert_array_equal(series("since", held, reset), [False] * 4 + [True, True, False])


def test_vwap_starts_again_each_utc_day() -> None:
    bars = random_bars(48)
    typical = (bars.high + bars.low + bars.close) / 3
    found = compute(CATALOGUE["vwap"], [], bars, {"anchor": "day"})
    assert found[24] == typical[24]
    second = slice(24, 31)
    assert found[30] == pytest.approx(np.average(typical[second], weights=bars.volume[second]), rel=1e-14)
    whole = compute(CATALOGUE["vwap"], [], bars, {"anchor": "start"})
    assert whole[47] == pytest.approx(np.average(typical, weights=bars.volume), rel=1e-14)


def test_ichimoku_spans_are_those_of_kijun_bars_ago() -> None:
    bars = random_bars(120, seed=4)
    tenkan, kijun, senkou_a, senkou_b = compute(
        CATALOGUE["ichimoku"], [], bars, {"tenkan": 9, "kijun": 26, "senkou": 52}
    )
    assert tenkan[50] == (bars.high[42:51].max() + bars.low[42:51].min()) / 2
    assert kijun[50] == (bars.high[25:51].max() + bars.low[25:51].min()) / 2
    assert senkou_a[100] == (tenkan[74] + kijun[74]) / 2
    assert senkou_b[100] == (bars.high[23:75].max() + bars.low[23:75].min()) / 2


@pytest.mark.parametrize(("name", "value"), [("log", 0.0), ("log", -1.0), ("sqrt", -1.0), ("asin", 2.0)])
def test_mathematics_outside_its_domain_is_undefined(name: str, value: float) -> None:
    assert np.isnan(series(name, np.array([value, 1.0]))[0])


def test_division_by_zero_is_undefined_and_nz_replaces_it() -> None:
    found = series("div", np.array([1.0, 0.0, -6.0]), np.array([0.0, 0.0, 3.0]))
    np.testing.assert_array_equal(found, [NAN, NAN, -2.0])
    np.testing.assert_array_equal(series("nz", found, replacement=9.0), [9.0, 9.0, -2.0])


def test_time_columns_are_those_of_the_opening_time_in_utc() -> None:
    bars = random_bars(30, interval=3_660_000)
    assert [column(bars, name)[29] for name in ("minute", "hour", "dayofweek")] == [29.0, 5.0, 1.0]


@pytest.mark.parametrize("period", [1, 2, 3, 7, 50, 51])
def test_highest_and_lowest_are_the_same_with_and_without_gaps(period: int) -> None:
    x = np.round(random_bars(50, seed=9).close, 0)
    for name in ("highest", "lowest"):
        whole = series(name, x, period=period)
        # A gap before the data takes the way that allows for gaps.
        np.testing.assert_array_equal(series(name, np.concatenate([[NAN], x]), period=period)[1:], whole)
        extreme = {"highest": np.max, "lowest": np.min}[name]
        for i in range(50):
            expected = extreme(x[i - period + 1 : i + 1]) if i >= period - 1 else NAN
            np.testing.assert_equal(whole[i], expected)
