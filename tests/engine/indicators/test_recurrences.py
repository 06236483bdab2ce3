"""Indicators that depend on all bars before have the digits of their definitions in plain Python."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from math import isfinite, nan, sqrt

import numpy as np
import pytest

from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators import CATALOGUE, Value
from gql_trader.engine.indicators.implementations import compute
from tests.engine.indicators.test_continuing import assert_same_bits
from tests.engine.indicators.test_indicators import as_tuple
from tests.factories.random_bars import random_bars

Numbers = Sequence[float]
Rows = Iterator[tuple[float, ...]]


def added(numbers: Numbers) -> float:
    """Return the sum, added one after the other; sum() may do it otherwise."""
    total = 0.0
    for each in numbers:
        total += each
    return total


def undefined(rows: int, width: int = 1) -> Rows:
    yield from [(nan,) * width] * rows


def window_sums(x: Numbers, period: int, divider: float) -> Rows:
    total = 0.0
    for i, value in enumerate(x):
        total += value
        if i < period - 1:
            yield (nan,)
            continue
        yield (total / divider,)
        total -= x[i - period + 1]


def exponential(x: Numbers, period: int, factor: float) -> Rows:
    if len(x) < period:
        yield from undefined(len(x))
        return
    average = added(x[:period]) / period
    yield from undefined(period - 1)
    yield (average,)
    for value in x[period:]:
        average += (value - average) * factor
        yield (average,)


def weighted(x: Numbers, period: int) -> Rows:
    total = by_weight = 0.0
    for i, value in enumerate(x):
        total += value
        by_weight += value * min(i + 1, period)
        if i < period - 1:
            yield (nan,)
            continue
        yield (by_weight / (period * (period + 1) / 2),)
        by_weight -= total
        total -= x[i - period + 1]


def relative_strength(x: Numbers, period: int) -> Rows:
    changes = [b - a for a, b in pairwise(x)]
    gains = exponential([max(each, 0.0) for each in changes], period, 1 / period)
    losses = exponential([max(-each, 0.0) for each in changes], period, 1 / period)
    yield (nan,)
    for (gain,), (loss,) in zip(gains, losses, strict=True):
        # Two averages of nothing are flat, and undefined ones stay so.
        yield (0.0 if gain + loss <= 1e-14 else 100 * (gain / (gain + loss)),)


def moving_convergence(x: Numbers, fast: int, slow: int, signal: int) -> Rows:
    late = [value for (value,) in exponential(x, slow, 2 / (slow + 1))][slow - 1 :]
    quick = [value for (value,) in exponential(x[slow - fast :], fast, 2 / (fast + 1))][fast - 1 :]
    line = [a - b for a, b in zip(quick, late, strict=True)]
    average = [value for (value,) in exponential(line, signal, 2 / (signal + 1))][signal - 1 :]
    yield from undefined(min(len(x), slow + signal - 2), 3)
    for difference, smooth in zip(line[signal - 1 :], average, strict=True):
        yield difference, smooth, difference - smooth


def spread(x: Numbers, period: int) -> Rows:
    mean = squares = 0.0
    for i, value in enumerate(x):
        before = mean
        if i < period:
            mean += (value - before) / (i + 1)
            squares += (value - before) * (value - mean)
        else:
            oldest = x[i - period]
            mean += (value - oldest) / period
            squares += (value - oldest) * (value - mean + oldest - before)
        if i >= period - 1 and len(set(x[i - period + 1 : i + 1])) == 1:
            mean, squares = value, 0.0
        yield (sqrt(max(squares, 0.0) / period) if i >= period - 1 else nan,)


OF_ONE_SERIES: dict[str, tuple[Callable[..., Rows], tuple[dict[str, Value], ...]]] = {
    "sma": (lambda x, period: window_sums(x, period, period), ({"period": 1}, {"period": 7}, {"period": 60})),
    "sum": (lambda x, period: window_sums(x, period, 1.0), ({"period": 1}, {"period": 7}, {"period": 60})),
    "ema": (lambda x, period: exponential(x, period, 2 / (period + 1)), ({"period": 1}, {"period": 9})),
    "rma": (lambda x, period: exponential(x, period, 1 / period), ({"period": 1}, {"period": 9})),
    "wma": (weighted, ({"period": 1}, {"period": 2}, {"period": 30})),
    "rsi": (relative_strength, ({"period": 2}, {"period": 14})),
    "macd": (
        moving_convergence,
        ({"fast": 12, "slow": 26, "signal": 9}, {"fast": 5, "slow": 3, "signal": 1}),
    ),
    "stdev": (spread, ({"period": 2}, {"period": 20})),
}


@pytest.mark.parametrize("name", OF_ONE_SERIES)
def test_each_run_of_defined_values_has_the_digits_of_the_definition(name: str) -> None:
    definition, settings = OF_ONE_SERIES[name]
    bars = random_bars(500, seed=9)
    # A long run, one too short for anything, one value alone, a flat one, and a last one.
    x = bars.close.copy()
    x[[*range(3), 203, 206, 208]] = nan
    x[207] = 1e9
    x[300:340] = x[300]
    x[[345, 346]] = np.inf, -np.inf
    for values in settings:
        ordered = dict(values)
        if name == "macd":
            # The shorter of the two is the fast one, whatever it was called.
            ordered["fast"], ordered["slow"] = sorted((values["fast"], values["slow"]))
        width = 3 if name == "macd" else 1
        wanted: list[tuple[float, ...]] = []
        for defined, run in groupby(x.tolist(), isfinite):
            part = list(run)
            wanted += definition(part, **ordered) if defined else undefined(len(part), width)
        found = as_tuple(compute(CATALOGUE[name], [x], bars, values))
        for column, numbers in zip(found, zip(*wanted, strict=True), strict=True):
            assert_same_bits(column, np.array(numbers))
        assert np.isfinite(found[0]).sum() > 300


@pytest.mark.parametrize("period", [1, 14])
def test_the_average_true_range_has_the_digits_of_its_definition(period: int) -> None:
    bars = random_bars(300, seed=10)
    ranges = [
        max(high - low, abs(high - before), abs(low - before))
        for high, low, before in zip(
            bars.high[1:].tolist(), bars.low[1:].tolist(), bars.close[:-1].tolist(), strict=True
        )
    ]
    wanted = [nan, *(value for (value,) in exponential(ranges, period, 1 / period))]
    found = compute(CATALOGUE["atr"], [], bars, {"period": period})
    assert isinstance(found, np.ndarray)
    assert_same_bits(found, np.array(wanted))


@pytest.mark.parametrize("anchor", ["day", "start"])
def test_the_volume_weighted_average_has_the_digits_of_its_definition(anchor: str) -> None:
    random = random_bars(400, seed=12, interval=900_000)
    volume = random.volume.copy()
    volume[:3] = volume[96:99] = 0.0
    bars = Bars(random.time, random.open, random.high, random.low, random.close, volume, random.interval)
    wanted: list[float] = []
    days = [time // 86_400_000 if anchor == "day" else 0 for time in bars.time.tolist()]
    prices = ((bars.high + bars.low + bars.close) / 3).tolist()
    for _, day in groupby(zip(days, prices, volume.tolist(), strict=True), lambda each: each[0]):
        paid = traded = 0.0
        for _, price, amount in day:
            paid += price * amount
            traded += amount
            wanted.append(paid / traded if traded else nan)
    found = compute(CATALOGUE["vwap"], [], bars, {"anchor": anchor})
    assert isinstance(found, np.ndarray)
    assert_same_bits(found, np.array(wanted))


@pytest.mark.parametrize("occurrence", [0, 1, 5])
def test_the_value_when_a_condition_held_is_looked_up_among_those_before(occurrence: int) -> None:
    bars = random_bars(200, seed=13)
    x, held = bars.close.copy(), bars.close > bars.open
    x[20:25] = nan
    wanted = []
    for at in range(len(x)):
        before = x[: at + 1][held[: at + 1]]
        wanted.append(before[-1 - occurrence] if len(before) > occurrence else nan)
    found = compute(
        CATALOGUE["valuewhen"],
        [held, x],
        bars,
        {"occurrence": occurrence},
    )
    assert isinstance(found, np.ndarray)
    assert_same_bits(found, np.array(wanted))
