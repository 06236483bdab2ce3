"""Indicators that go on with later bars give the digits that one computation over all bars gives."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators import CATALOGUE, Function, Value, Yields, own_table, recurrences
from gql_trader.engine.indicators.continuing import WINDOWED, continuing
from gql_trader.engine.indicators.implementations import compute
from gql_trader.engine.indicators.notation import function as described
from tests.engine.indicators.test_indicators import as_tuple, defaults, operands
from tests.factories.random_bars import random_bars

BARS = 420
PARTS = (0, 3, 3, 40, 41, 200, *range(201, 260), 300, *range(301, 320), BARS)
"""Where the bars are cut: nothing first, then some, none, many, and one by one."""


def assert_same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if found.dtype == np.bool_:
        np.testing.assert_array_equal(found, wanted)
        return
    # Any NaN is as undefined as another.
    defined = ~np.isnan(wanted)
    np.testing.assert_array_equal(~np.isnan(found), defined)
    np.testing.assert_array_equal(found[defined].view(np.int64), wanted[defined].view(np.int64))


def check(
    function: Function, values: dict[str, Value], bars: Bars, given: Sequence[object], cuts: Sequence[int]
) -> None:
    whole = as_tuple(compute(function, given, bars, values))  # type: ignore[arg-type]
    extend, parts = continuing(function, values), []
    for start, stop in pairwise((0, *cuts)):
        new = [each[start:stop] if isinstance(each, np.ndarray) else each for each in given]
        parts.append(as_tuple(extend(new, bars.slice(start, stop))))  # type: ignore[arg-type]
    for number, wanted in enumerate(whole):
        assert_same_bits(np.concatenate([part[number] for part in parts]), wanted)


@pytest.mark.parametrize("function", CATALOGUE.values(), ids=lambda each: each.name)
def test_every_function_goes_on_where_it_stopped(function: Function) -> None:
    bars = random_bars(BARS, seed=3, interval=900_000)
    given = operands(function, bars)
    check(function, defaults(function), bars, given, PARTS)
    # Undefined values interrupt: at the beginning, alone, and for a while.
    broken = [each.copy() for each in given]
    for each in broken:
        if each.dtype != np.bool_:
            each[[*range(5), 57, *range(205, 209), 250, 302, 303]] = np.nan
            each[230] = np.inf
    check(function, defaults(function), bars, broken, PARTS)


@pytest.mark.parametrize("name", ["bbands", "ma", "ppo"])
@pytest.mark.parametrize("kind", ["ema", "wma", "kama", "mama", "t3", "hma", "rma"])
def test_functions_that_name_an_average_go_on_with_any(name: str, kind: str) -> None:
    function, bars = CATALOGUE[name], random_bars(BARS, seed=4)
    check(function, defaults(function) | {"matype": kind}, bars, [bars.close], PARTS)


@pytest.mark.parametrize("name", ["sma", "ema", "wma", "rma", "sum", "linearreg", "kama", "highest", "rsi"])
@pytest.mark.parametrize("period", [1, 2, 97])
def test_short_and_long_periods_go_on(name: str, period: int) -> None:
    function, bars = CATALOGUE[name], random_bars(BARS, seed=5)
    least = next(each.minimum for each in function.arguments if each.name == "period") or 0
    check(function, {"period": max(period, int(least))}, bars, [bars.close], PARTS)


@pytest.mark.parametrize("name", ["ema", "rma"])
def test_an_average_goes_on_behind_bars_of_which_both_halves_were_smoothed_at_once(name: str) -> None:
    function, bars = CATALOGUE[name], random_bars(6_000, seed=5)
    check(function, {"period": 9}, bars, [bars.close], (5_000, *range(5_001, 5_010), 5_900, 6_000))
    # Undefined afterwards, and long enough after that to be smoothed in halves, had it begun there.
    broken = bars.close.copy()
    broken[[2_500, 2_501]] = np.nan
    check(function, {"period": 9}, bars, [broken], (2_400, 2_502, 5_990, 6_000))


def test_transforms_give_one_bar_the_digits_that_many_give() -> None:
    # Processors compute several at once, and the rest one by one.
    x = np.random.default_rng(1).normal(0, 2, 1_000) * np.repeat([1e-8, 1, 30, 1e12], 250)
    bars = random_bars(len(x))
    for name in own_table._TRANSFORMS:
        check(CATALOGUE[name[0]], {}, bars, [x], (*range(0, 64), 500, *range(501, 540), 777, 1_000))


def test_crossings_of_a_constant_go_on() -> None:
    bars = random_bars(BARS, seed=6)
    for name in ("crossover", "crossunder", "cross"):
        check(CATALOGUE[name], {}, bars, [bars.close, float(np.median(bars.close))], PARTS)


def test_a_new_function_of_the_engine_has_to_say_how_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from gql_trader.engine.indicators import implementations

    new = described("spread", "Statistics", "x − y.", "x:operand y:operand", 0, yields=Yields.NUMBER)
    monkeypatch.setattr(implementations, "_OWN", {"spread": lambda operands, *_: operands[0] - operands[1]})
    with pytest.raises(LookupError, match="nobody has said how spread"):
        continuing(new, {})


def test_what_is_computed_over_a_window_looks_no_further_back() -> None:
    for name in WINDOWED:
        function, bars = CATALOGUE[name], random_bars(BARS, seed=7)
        values = defaults(function)
        reach, given = function.lookback(values), operands(function, bars)
        whole = as_tuple(compute(function, given, bars, values))
        for at in range(reach, BARS):
            part = [each[at - reach : at + 1] for each in given]
            found = as_tuple(compute(function, part, bars.slice(at - reach, at + 1), values))
            for one, all_ in zip(found, whole, strict=True):
                assert_same_bits(one[-1:], all_[at : at + 1])


def test_what_is_remembered_is_all_in_the_state() -> None:
    # A kernel called for nothing changes nothing.
    state, nothing = np.array([5.0, 3.0, 1.0, 2.0]), np.empty(0)
    recurrences.rsi(nothing, 2, state)
    recurrences.macd(nothing, 2, 3, 2, state)
    assert state.tolist() == [5.0, 3.0, 1.0, 2.0]
