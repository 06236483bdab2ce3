"""The engine runs a strategy in Python as it runs rules, and believes nothing that it says."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gql_trader.core.intervals import HOUR
from gql_trader.engine.bars import Bars
from gql_trader.engine.plugins import (
    Parameter,
    ParameterType,
    Plugin,
    PluginError,
    PluginStrategy,
    Signals,
    plugin_problems,
)
from tests.factories.random_bars import random_bars

BARS = random_bars(50, 1)


def rising(bars: Bars, values: Any) -> Signals:
    found = Signals.none(len(bars))
    found.entry_long[:] = bars.close > bars.open
    found.exit_long[:] = ~found.entry_long
    return found


PLUGIN = Plugin(
    "tests:rising",
    "Rising",
    "1",
    rising,
    parameters=(Parameter("n", ParameterType.INT, 3, 0, 100),),
    warmup=lambda values: values["n"],  # type: ignore[arg-type, return-value]
)


def test_signals_do_not_count_while_it_warms_up() -> None:
    strategy = PluginStrategy(PLUGIN)
    told: list[float] = []
    found = strategy.signals(BARS, {"n": 10}, told.append)
    expected = BARS.close > BARS.open
    assert not found.entry_long[:10].any()
    np.testing.assert_array_equal(found.entry_long[10:], expected[10:])
    np.testing.assert_array_equal(found.exit_long[10:], ~expected[10:])
    assert (strategy.warmup({"n": 10}, HOUR), strategy.warmup(None, HOUR)) == (10, 3)
    assert told == [0.0, 1.0]
    assert strategy.lines(BARS) == ()


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (lambda bars, values: None, "signals returned NoneType, not Signals"),
        (lambda bars, values: Signals.none(3), r"entry_long of its signals must be bool\[50\]"),
        (lambda bars, values: Signals(*[np.zeros(50)] * 4), r"must be bool\[50\]"),  # type: ignore[arg-type]
        (lambda bars, values: values["missing"], "signals failed with KeyError: 'missing'"),
        (lambda bars, values: np.multiply(bars.close, 2, out=bars.close), "signals returned ndarray"),
    ],
)
def test_what_is_no_signals_is_refused(signals: Callable[..., Any], message: str) -> None:
    with pytest.raises(PluginError, match=f"tests:rising: .*{message}"):
        PluginStrategy(replace(PLUGIN, signals=signals)).signals(BARS)


@pytest.mark.parametrize(
    "warmup", [lambda _: -1, lambda _: 1.5, lambda _: True, lambda _: 10**7, lambda _: "3"]
)
def test_a_warm_up_is_a_sensible_number(warmup: Any) -> None:
    strategy = PluginStrategy(replace(PLUGIN, warmup=warmup))
    with pytest.raises(PluginError, match="warmup must be a whole number from 0 to 1000000"):
        strategy.check({"n": 3})


@pytest.mark.parametrize(
    "lines", [lambda *_: [1], lambda *_: {"x": np.zeros(3)}, lambda *_: {"x": "y"}, lambda *_: 1 / 0]
)
def test_what_is_no_lines_is_refused(lines: Any) -> None:
    with pytest.raises(PluginError, match=r"tests:rising: lines"):
        PluginStrategy(replace(PLUGIN, lines=lines)).lines(BARS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"code_ref": "a_b:c_d"}, None),
        ({"code_ref": "a__b:c"}, "code_ref must be package:strategy"),
        ({"code_ref": "a_:c"}, "code_ref must be package:strategy"),
        ({"code_ref": "Tests:x"}, "code_ref must be package:strategy"),
        ({"code_ref": "x" * 51 + ":x"}, "code_ref must be package:strategy"),
        ({"code_ref": "builtin:x"}, "builtin: is reserved"),
        ({"code_ref": 3}, "code_ref must be package:strategy"),
        ({"name": " "}, "name must not be empty"),
        ({"version": "1\x00"}, "version must be a text of at most 50 characters"),
        ({"signals": None}, "signals must be a function"),
        ({"warmup": -1}, "warmup must be a function, or a whole number"),
        ({"lines": 3}, "lines must be a function or None"),
        ({"parameters": [1]}, "parameters must be a tuple of Parameter"),
        ({"parameters": (Parameter("close", ParameterType.INT, 1),)}, "'close' means something else"),
    ],
)
def test_a_description_is_checked_before_it_is_used(changes: dict[str, Any], problem: str | None) -> None:
    found = plugin_problems(replace(PLUGIN, **changes))
    assert (problem is None) == (found == [])
    assert problem is None or problem in "; ".join(found)
