"""Steps that are computed together give, bit for bit, what they give one by one."""

from math import isfinite
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.indicators import CATALOGUE
from gql_trader.engine.indicators.implementations import average_crosses, compute
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.rules.fusion import fuse
from gql_trader.engine.rules.plan import AverageCrosses, Compute, Pick, ReadColumn, Slot, Step
from tests.factories.markets import random_bars

AVERAGES = [("sma", "sma"), ("ema", "ema"), ("rma", "ema"), ("rma", "rma")]


@st.composite
def series(draw: st.DrawFn) -> Floats:
    """Random walks, coarse ones with many equal averages, flat ones; with holes, infinities and extremes."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 300))
    x = np.cumsum(random.normal(0.0, draw(st.sampled_from([0.0, 0.01, 1.0])), n)) + 10.0
    tick = draw(st.sampled_from([None, 0.5, 4.0]))
    if tick is not None:
        x = np.rint(x / tick) * tick
    x *= draw(st.sampled_from([1.0, -1.0, 1e-300, 1e305]))
    holes = draw(st.sampled_from([0.0, 0.02, 0.3]))
    x[random.random(n) < holes] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return x


@settings(max_examples=300, deadline=None)
@given(series(), st.sampled_from(AVERAGES), st.integers(1, 40), st.integers(1, 40))
def test_crossings_of_two_averages(x: Floats, names: tuple[str, str], first: int, second: int) -> None:
    bars = Bars(np.arange(len(x)), x, x, x, x, x, 1)
    with np.errstate(all="ignore"):
        averages: list[Any] = [
            compute(CATALOGUE[name], [x], bars, {"period": period})
            for name, period in zip(names, (first, second), strict=True)
        ]
        over = compute(CATALOGUE["crossover"], averages, bars, {})
        under = compute(CATALOGUE["crossunder"], averages, bars, {})
    found = average_crosses(x, names[0], first, names[1], second)
    assert np.array_equal(found[0], over)
    assert np.array_equal(found[1], under)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 1e-3, 1e-13, 1e-16, 0.0]),
    st.sampled_from([None, 1e-9, 1e9]),
    st.sampled_from(AVERAGES),
    st.tuples(st.integers(1, 60), st.integers(1, 200)),
)
def test_crossings_in_long_series_that_are_nearly_flat_or_change_their_size(
    seed: int,
    step: float,
    factor: float | None,
    names: tuple[str, str],
    periods: tuple[int, int],
) -> None:
    random = np.random.default_rng(seed)
    x = 100.0 + np.cumsum(random.normal(0.0, step, 3_000))
    if factor is not None:
        # What an average rounded when values were large stays with its sum.
        x[random.integers(0, 3_000) :] *= factor
    bars = Bars(np.arange(len(x)), x, x, x, x, x, 1)
    a, b = (
        compute(CATALOGUE[name], [x], bars, {"period": period})
        for name, period in zip(names, periods, strict=True)
    )
    assert isinstance(a, np.ndarray)
    assert isinstance(b, np.ndarray)
    over, under = average_crosses(x, names[0], periods[0], names[1], periods[1])
    assert np.array_equal(np.flatnonzero(over), 1 + np.flatnonzero((a[1:] > b[1:]) & (a[:-1] <= b[:-1])))
    assert np.array_equal(np.flatnonzero(under), 1 + np.flatnonzero((a[1:] < b[1:]) & (a[:-1] >= b[:-1])))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hole", [None, 100, 9_000, 15_000])
def test_long_series_are_averaged_in_halves_with_the_same_result(seed: int, hole: int | None) -> None:
    random = np.random.default_rng(seed)
    x = np.round(np.cumsum(random.normal(0.0, 0.5, 20_001)) + 300.0, 2)
    if hole is not None:
        x[hole] = np.nan
    periods = [(12, 26), (50, 9), (1, 2)][seed % 3]
    averages = [plain_average(x, period, 2.0 / (period + 1)) for period in periods]
    bars = Bars(np.arange(len(x)), x, x, x, x, x, 1)
    for period, expected in zip(periods, averages, strict=True):
        assert np.array_equal(
            compute(CATALOGUE["ema"], [x], bars, {"period": period}), expected, equal_nan=True
        )
    a, b = averages
    over, under = average_crosses(x, "ema", periods[0], "ema", periods[1])
    assert np.array_equal(np.flatnonzero(over), 1 + np.flatnonzero((a[1:] > b[1:]) & (a[:-1] <= b[:-1])))
    assert np.array_equal(np.flatnonzero(under), 1 + np.flatnonzero((a[1:] < b[1:]) & (a[:-1] >= b[:-1])))
    assert over.sum() > 50


def plain_average(x: Floats, period: int, factor: float) -> Floats:
    """The exponential average, value by value."""
    out = np.full(len(x), np.nan)
    average, count = 0.0, 0
    for i, value in enumerate(x.tolist()):
        if not isfinite(value):
            average, count = 0.0, 0
            continue
        count += 1
        if count < period:
            average += value
            continue
        average = (average + value) / period if count == period else average + (value - average) * factor
        out[i] = average
    return out


def test_both_ways_of_crossing_are_found_in_both_orders() -> None:
    bars = random_bars(np.random.default_rng(5), 2_000)
    for average in ("sma", "ema", "rma"):
        fast, slow = f"{average}(close, 5)", f"{average}(close, 20)"
        # The averages of the second rules are also read by a comparison, which keeps them.
        fused = compile_rules(
            Rules(f"crossover({fast}, {slow})", f"crossunder({fast}, {slow})", f"crossunder({slow}, {fast})")
        ).signals(bars)
        apart = compile_rules(
            Rules(
                f"crossover({fast}, {slow}) and {fast} > 0",
                f"crossunder({fast}, {slow}) and {slow} > 0",
                f"crossunder({slow}, {fast})",
            )
        ).signals(bars)
        assert fused.entry_long.sum() > 20
        assert np.array_equal(fused.entry_long, apart.entry_long)
        assert np.array_equal(fused.exit_long, apart.exit_long)
        assert np.array_equal(fused.entry_short, apart.entry_short)
        assert np.array_equal(fused.entry_short, fused.entry_long)


STEPS: list[Step] = [
    ReadColumn("close"),
    Compute("sma", (Slot(0),), (("period", 5),)),
    Compute("sma", (Slot(0),), (("period", 20),)),
    Compute("crossover", (Slot(1), Slot(2)), ()),
    Compute("crossunder", (Slot(1), Slot(2)), ()),
    Compute("crossover", (Slot(2), Slot(1)), ()),
]


def test_averages_that_are_only_asked_where_they_cross_go_together() -> None:
    assert fuse(STEPS, [3, 4, 5])[2:] == [
        AverageCrosses(Slot(0), "sma", "sma", 5, 20),
        Pick(Slot(2), 0),
        Pick(Slot(2), 1),
        Pick(Slot(2), 1),
    ]


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (STEPS, [2, 3]),  # asked for itself
        ([*STEPS, Compute("sma", (Slot(1),), (("period", 3),))], [3, 6]),  # read by something else
        ([*STEPS[:2], Compute("ema", (Slot(0),), (("period", 20),)), *STEPS[3:]], [3]),  # of another kind
        ([*STEPS[:2], Compute("sma", (Slot(1),), (("period", 20),)), *STEPS[3:]], [3]),  # of another series
        ([*STEPS[:3], Compute("cross", (Slot(1), Slot(2)), ())], [3]),
    ],
)
def test_other_steps_stay_as_they_are(steps: list[Step], wanted: list[int]) -> None:
    assert fuse(steps, wanted) == steps


def test_a_crossing_that_nobody_reads_keeps_nothing_apart() -> None:
    steps = [*STEPS, Compute("cross", (Slot(1), Slot(2)), ())]
    assert fuse(steps, [3])[2] == AverageCrosses(Slot(0), "sma", "sma", 5, 20)
