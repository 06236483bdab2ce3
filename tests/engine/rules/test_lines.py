"""The lines that a chart draws of a strategy: its plots, and the number series inside its rules."""

import numpy as np
import pytest

from gql_trader.engine.indicators import CATALOGUE
from gql_trader.engine.rules import Parameter, ParameterType, PlotLine, Rules, compile_rules
from gql_trader.engine.rules.compiler import MAXIMUM_PLOTS
from tests.factories.random_bars import random_bars

PARAMETERS = (
    Parameter("fast", ParameterType.INT, 5, 2, 100),
    Parameter("source", ParameterType.SOURCE, "close"),
)


def lines(rules: Rules) -> tuple[PlotLine, ...]:
    return compile_rules(rules, PARAMETERS).lines(random_bars(120, 1))


def labels(rules: Rules) -> list[str]:
    return [line.text for line in lines(rules)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "crossover(ema(source, fast), ema(close, 21)) and rsi(close, 14) < 70",
            ["ema(source, fast)", "ema(close, 21)", "rsi(close)"],
        ),
        ("close > open and volume > 10 and true", []),
        ("close > highest(high, 20)[1]", ["highest(high, 20)"]),
        ("close[3] > close", []),
        ("close > sma(close, 50) * 1.02", ["sma(close, 50) * 1.02"]),
        ("close-(high-low) > (open+low)/2", ["close - (high - low)", "(open + low) / 2"]),
        ("-(close - open) * 2 > 0", ["-(close - open) * 2"]),
        ("not (macd(close).hist > 0) or bbands(close, 20, 1).upper < close", ["macd(close, 12, 26, 9).hist",
                                                                            "bbands(close, 20, 1).upper"]),
        ("barssince(crossover(close, sma(close, 9))) < 3", ["barssince(crossover(close, sma(close, 9)))"]),
        ("count(close > sma(close, 9), 5) >= 3", ["count(close > sma(close, 9), 5)"]),
        ("rising(ema(close, 3), 2)[1]", ["ema(close, 3)"]),
        ('vwap("start") < close', ['vwap("start")']),
        ("30 < rsi(close, 7) < 70", ["rsi(close, 7)"]),
    ],
)  # fmt: skip
def test_the_series_of_a_rule_are_the_largest_that_are_not_prices(rule: str, expected: list[str]) -> None:
    found = labels(Rules(rule))
    if "macd(" in rule:
        expected = [text.replace("macd(close, 12, 26, 9)", "macd(close)") for text in expected]
    assert found == expected


def test_plots_come_first_and_what_they_draw_is_not_drawn_again() -> None:
    found = lines(
        Rules(
            "crossover(ema(close, 5), sma(close, 30))",
            "crossunder(ema(close, 5), sma(close, 30))",
            plots=("ema(source,  fast)", "close"),
        )
    )
    assert [(line.text, line.plot) for line in found] == [
        ("ema(source,  fast)", True),
        ("close", True),
        ("sma(close)", False),
    ]
    compiled = compile_rules(Rules("close > 0", plots=("ema(close, 5)", "sma(close, 30)")))
    expected = [line.values for line in compiled.plots(random_bars(120, 1))]
    np.testing.assert_array_equal(found[0].values, expected[0])
    np.testing.assert_array_equal(found[2].values, expected[1])


def test_rules_add_a_bounded_number_of_lines() -> None:
    rule = " and ".join(f"sma(close, {n}) > 0" for n in range(2, 60))
    found = lines(Rules(rule, plots=("high",)))
    assert len(found) == 1 + MAXIMUM_PLOTS


def test_a_label_means_what_the_rule_meant() -> None:
    """Labels are valid expressions that compile to the same values."""
    bars = random_bars(150, 4)
    rules = [
        "(close + open) * (high - low) / (2 - close % 3) > 5",
        "close - (open - (low - high)) > 1 - (2 - 3)",
        "max(-close, -(open)) < abs(close - sma(close))",
        "valuewhen(crossover(close, ema(close, 4)) or not (close > open and low < 9), high, 1) > 3",
        "stochastic" if "stochastic" in CATALOGUE else "stoch(5, 3, 'ema').slowk > 50",
    ]
    for rule in rules:
        for line in compile_rules(Rules(rule)).lines(bars):
            again = compile_rules(Rules("true", plots=(line.text,))).plots(bars)
            np.testing.assert_array_equal(again[0].values, line.values, err_msg=line.text)
