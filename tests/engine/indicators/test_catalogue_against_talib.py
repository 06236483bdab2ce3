"""Every line of the catalogue is what TA-Lib says, and every value what TA-Lib computes."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
import talib
import talib.abstract
from talib import MA_Type  # type: ignore[attr-defined]

from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators import CATALOGUE, ArgumentKind, Function, Value
from gql_trader.engine.indicators.catalogue import AVERAGES
from gql_trader.engine.indicators.implementations import compute
from tests.factories.random_bars import random_bars

FUNCTIONS: list[str] = talib.get_functions()  # type: ignore[no-untyped-call]
# TA-Lib's functions that the language has under another name or not at all, and why.
RENAMED = {
    "MAX": "highest() is a period's highest; max(x, y) compares two values",
    "MIN": "lowest() is a period's lowest; min(x, y) compares two values",
    "MAXINDEX": "an index counts from the data start, which moves; highestbars() counts back from the bar",
    "MININDEX": "as MAXINDEX; lowestbars()",
    "MINMAXINDEX": "as MAXINDEX",
}
# Functions of the language that share a name with TA-Lib's but are documented to differ.
OWN_MEANING = {
    "vwap": "starts again each UTC day",
    "ln": "undefined, not −∞, at 0",
    "log10": "undefined, not −∞, at 0",
    "div": "undefined, not ∞, where the divisor is 0",
}


def _of_talib(value: Value | None) -> Value | None:
    """Return a constant as TA-Lib has it: averages are numbers there."""
    return AVERAGES.get(value, value) if isinstance(value, str) else value


def of_talib() -> Iterator[Function]:
    for function in CATALOGUE.values():
        if function.name.upper() in FUNCTIONS and function.name not in (
            *OWN_MEANING,
            "max",
            "min",
        ):
            yield function


def settings(function: Function, seed: int) -> dict[str, Value]:
    """Draw constants: the defaults first, then random ones that every function accepts."""
    rng = np.random.default_rng([seed, *function.name.encode()])
    chosen: dict[str, Value] = {}
    for argument in function.arguments:
        if not argument.kind.constant:
            continue
        assert argument.default is not None
        if seed == 0 or argument.kind is ArgumentKind.NUMBER:
            chosen[argument.name] = argument.default
        elif argument.kind is ArgumentKind.TEXT:
            chosen[argument.name] = str(rng.choice(argument.choices))
        else:
            assert argument.minimum is not None
            chosen[argument.name] = int(rng.integers(int(argument.minimum), 40))
    if function.name == "mavp":
        chosen["minperiod"], chosen["maxperiod"] = 2, max(2, int(chosen["maxperiod"]))
    return chosen


def operands(function: Function, bars: Bars) -> list[np.ndarray]:
    """Give each argument that is a series its column; the periods of mavp are whole numbers."""
    columns = {"source": bars.close, "x": bars.high, "y": bars.low, "periods": np.floor(bars.volume % 30 + 1)}
    return [columns[argument.name] for argument in function.arguments if not argument.kind.constant]


def as_tuple(found: object) -> tuple[np.ndarray, ...]:
    return found if isinstance(found, tuple) else tuple(found) if isinstance(found, list) else (found,)


def by_talib(function: Function, bars: Bars, chosen: dict[str, Value]) -> tuple[np.ndarray, ...]:
    inputs = [*operands(function, bars), *(getattr(bars, column) for column in function.columns)]
    keywords = {
        argument.alias or argument.name: _of_talib(chosen[argument.name])
        for argument in function.arguments
        if argument.kind.constant
    }
    return as_tuple(getattr(talib, function.name.upper())(*inputs, **keywords))


def test_every_talib_function_is_in_the_catalogue_or_renamed_for_a_reason() -> None:
    missing = {name for name in FUNCTIONS if name.lower() not in CATALOGUE}
    assert missing == set(RENAMED) - {"MAX", "MIN"}


def test_averages_have_talibs_numbers() -> None:
    assert {name: getattr(MA_Type, name.upper()) for name in AVERAGES} == dict(AVERAGES)


@pytest.mark.parametrize("function", list(of_talib()), ids=lambda each: each.name)
def test_arguments_defaults_columns_and_outputs_are_talibs(function: Function) -> None:
    info = talib.abstract.Function(function.name.upper()).info  # type: ignore[attr-defined]
    found = {
        argument.alias or argument.name: _of_talib(argument.default)
        for argument in function.arguments
        if argument.kind.constant
    }
    assert found == dict(info["parameters"])
    fixed = [each for name, value in info["input_names"].items() if name == "prices" for each in value]
    assert list(function.columns) == (["close", "volume"] if function.name == "obv" else fixed)
    ours = [output.alias or output.name for output in function.outputs] or ["real"]
    theirs = info["output_names"]
    assert ours == (["real"] if theirs == ["integer"] else theirs)


@pytest.mark.parametrize("function", list(of_talib()), ids=lambda each: each.name)
def test_values_and_look_back_are_talibs(function: Function) -> None:
    bars = random_bars(600, seed=7)
    for seed in range(4 if function.arguments else 1):
        chosen = settings(function, seed)
        ours = as_tuple(compute(function, operands(function, bars), bars, chosen))
        theirs = by_talib(function, bars, chosen)
        lookback = function.lookback(chosen)
        first = max(_first_value(each) for each in theirs)
        if theirs[0].dtype == np.float64 and function.name not in ("acos", "asin"):
            assert lookback == first, chosen
        for mine, other in zip(ours, theirs, strict=True):
            assert np.isnan(mine[:lookback]).all()
            np.testing.assert_allclose(
                mine[lookback:], other[lookback:], rtol=1e-9, atol=1e-9, err_msg=str(chosen)
            )


def _first_value(values: np.ndarray) -> int:
    if values.dtype != np.float64:
        return 0
    found = np.flatnonzero(~np.isnan(values))
    return int(found[0]) if len(found) else 0


@pytest.mark.parametrize(
    ("ours", "theirs"), [("highest", talib.MAX), ("lowest", talib.MIN), ("stdev", talib.STDDEV)]
)
def test_renamed_functions_equal_talibs(ours: str, theirs: object) -> None:
    bars = random_bars(500, seed=3)
    # With two values TA-Lib's own difference of squares keeps fewer digits than this asks for.
    for period in (5, 37, 499):
        mine = compute(CATALOGUE[ours], [bars.close], bars, {"period": period})
        np.testing.assert_allclose(mine, theirs(bars.close, period), rtol=1e-9, atol=1e-9)  # type: ignore[operator]


def test_keltner_is_talibs_kc() -> None:
    bars = random_bars(200, seed=3)
    chosen: dict[str, Value] = {"period": 20, "atrperiod": 10, "nbdev": 2.0}
    ours = compute(CATALOGUE["keltner"], [], bars, chosen)
    for mine, other in zip(ours, talib.KC(bars.high, bars.low, bars.close, 20, 10, 2.0), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)


def test_descriptions_are_sentences() -> None:
    for function in CATALOGUE.values():
        assert re.fullmatch(r"[A-Z0-9(+−eEx].*\.", function.description), function.name
