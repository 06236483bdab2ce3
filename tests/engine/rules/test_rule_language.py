"""The rule language: what it accepts, what it refuses and where, and what rules compute."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gql_trader.core.errors import ErrorCode
from gql_trader.core.intervals import HOUR
from gql_trader.engine.bars import Bars
from gql_trader.engine.indicators import CATALOGUE
from gql_trader.engine.indicators.implementations import compute
from gql_trader.engine.rules import (
    Parameter,
    ParameterType,
    RuleIssue,
    RuleIssues,
    Rules,
    checker,
    compile_rules,
)
from tests.factories.random_bars import random_bars

PARAMETERS = (
    Parameter("fast", ParameterType.INT, 10, 1, 100),
    Parameter("slow", ParameterType.INT, 30),
    Parameter("level", ParameterType.FLOAT, 70.0),
    Parameter("filtered", ParameterType.BOOL, True),
    Parameter("kind", ParameterType.CHOICE, "sma", choices=("sma", "ema")),
    Parameter("price", ParameterType.SOURCE, "close"),
)


def issues(text: str, parameters: Sequence[Parameter] = PARAMETERS) -> tuple[RuleIssue, ...]:
    with pytest.raises(RuleIssues) as caught:
        compile_rules(Rules(entry_long=text), parameters)
    return caught.value.issues


def holds(text: str, bars: Bars, parameters: Sequence[Parameter] = (), **values: object) -> np.ndarray:
    """Return on which bars a rule holds."""
    compiled = compile_rules(Rules(entry_long=text), parameters)
    given: dict[str, Any] = {p.name: p.default for p in parameters} | values
    return compiled.signals(bars, given or None).entry_long


def bars_of(close: Sequence[float]) -> Bars:
    """Return hourly bars with these closes."""
    x = np.array(close, dtype=np.float64)
    time = 1_609_718_400_000 + np.arange(len(x), dtype=np.int64) * 3_600_000
    return Bars(time, x, x + 1, x - 1, x, np.ones(len(x)), 3_600_000)


SYNTAX = [
    ("close >", 1, 8, "The rule ends where a value is expected."),
    ("close > 1)", 1, 10, "The bracket ')' was never opened."),
    ("(close > 1", 1, 1, "The bracket '(' is never closed."),
    ("close open", 1, 7, "An operator or a comma is missing before 'open'."),
    ("close > > 1", 1, 9, "A value is missing before '>'."),
    ("close = 3", 1, 7, "'=' only names an argument of a function; write == to compare."),
    ("x if close else y", 1, 3, "'if' is not part of the rule language."),
    ("lambda: 1", 1, 1, "'lambda' is not part of the rule language."),
    ("close ** 9", 1, 7, "'**' is not part of the rule language; write x * x, or exp() and log()."),
    ("close > 1 && open > 1", 1, 11, "'&&' is not part of the rule language; write and."),
    ("close > 1\n  and open > 2 $", 2, 16, "'$' is not part of the rule language."),
    ("close > 1 # why\n or", 2, 4, "The rule ends where a value is expected."),
    ("сlose > 1", 1, 1, "'с' is not part of the rule language."),
    ("0x10 > 1", 1, 1, "Malformed number '0x'."),
    ("1e999 > close", 1, 1, "The number is too large, or has too many digits."),
    ('kind == "sma', 1, 9, 'The text that begins with " has no end on this line.'),
    ("# nothing", 1, 1, "The rule is empty."),
    ("close[1:2] > 1", 1, 8, "':' is not part of the rule language."),
    ("(close, open)", 1, 7, "A comma only separates the arguments of a function."),
    ("a" * 4001, 1, 1, "A rule has at most 4000 characters; got 4001."),
    ("(" * 33 + "1" + ")" * 33, 1, 33, "The rule is nested too deeply."),
    ("not " * 33 + "true", 1, 129, "The rule is nested too deeply."),
]

TYPES = [
    ("close", 1, 1, "A rule is a condition, such as close > sma(close, 50); this is a number series."),
    ("ema(close, 5, 6) > 1", 1, 1, "ema() takes (source, period); got 3 arguments."),
    ("ema() > 1", 1, 1, "ema() takes (source, period); got 0 arguments, without source."),
    ("ema(close, length=5) > 1", 1, 19, "ema() takes (source, period); got length."),
    ("ema(close, 5, period=5) > 1", 1, 22, "ema() takes (source, period); period is given twice."),
    ("emma(close, 5) > 1", 1, 1, "Unknown function 'emma'; 'ema' looks like it."),
    ("close >\n  opne", 2, 3, "Unknown name 'opne'; 'open' looks like it."),
    ("rsi > 5", 1, 1, "rsi is a function: write rsi(source, period=14)."),
    ("fast(3) > 5", 1, 1, "fast is a parameter, not a function."),
    ("close(3) > 5", 1, 1, "close is a series, not a function."),
    ("close and open > 1", 1, 1, "and needs conditions on both sides; got a number series."),
    ("not close", 1, 5, "not needs a condition; got a number series."),
    ("1 + true > 1", 1, 5, "+ needs numbers on both sides; got true or false."),
    (
        "(close > 1) == true",
        1,
        2,
        "== compares numbers; got a condition; a condition is used as it is, or with not.",
    ),
    (
        "macd(close) > 1",
        1,
        1,
        "> compares numbers; got the several results of macd(): choose .macd, .signal or .hist.",
    ),
    ("macd(close).histo > 1", 1, 1, "macd() has macd, signal, hist; got .histo."),
    ("sma(close, 5).value > 1", 1, 1, "sma() has one result and no members; got .value."),
    ("close.real > 1", 1, 1, "Only the result of a function with several results has members."),
    ("sma(close, 0) > 1", 1, 12, "period of sma() must be a whole number from 1 to 10000; got 0."),
    ("sma(close, fast / 4) > 1", 1, 12, "period of sma() must be a whole number from 1 to 10000; got 2.5."),
    (
        "sma(close, close) > 1",
        1,
        12,
        "period of sma() must be a whole number, the same on every bar; got a number series.",
    ),
    ("sma(5, 5) > 1", 1, 5, "source of sma() must be a number series; got a number."),
    ("count(close, 5) > 1", 1, 7, "condition of count() must be a condition; got a number series."),
    (
        'ma(close, 5, "best") > 1',
        1,
        14,
        "matype of ma() must be one of sma, ema, wma, dema, tema, trima, kama, mama, t3, hma, zlema, rma; "
        "got 'best'.",
    ),
    (
        "close[-1] > 1",
        1,
        7,
        "n in x[n] must be a whole number from 0 to 10000, as later bars have no name; got -1.",
    ),
    ("close[hour] > 1", 1, 7, "n in x[n] is a constant number of bars; got a number series."),
    (
        "mavp(close, hour, 9, 3) > 1",
        1,
        1,
        "mavp(): minperiod must not be above maxperiod; got 9 and 3.",
    ),
    ("+".join(["close"] * 65) + " > 1", 1, 1, "A rule is at most 64 operations deep."),
    (
        "max(" * 6 + "sma(" * 6 + "close" + ", 9999)" * 6 + ", 1)" * 6 + " > 1",
        1,
        1,
        "The indicators look back 59988 bars in all; at most 50000.",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), SYNTAX)
def test_text_that_cannot_be_read(text: str, line: int, column: int, message: str) -> None:
    assert issues(text) == (RuleIssue(ErrorCode.RULE_SYNTAX, ("entryLong",), line, column, message),)


@pytest.mark.parametrize(("text", "line", "column", "message"), TYPES)
def test_expressions_that_mean_nothing_valid(text: str, line: int, column: int, message: str) -> None:
    assert issues(text) == (RuleIssue(ErrorCode.RULE_TYPE, ("entryLong",), line, column, message),)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id') > 1",
        "().__class__.__bases__[0].__subclasses__()",
        "close.__class__.__init__.__globals__ > 1",
        "sma.__globals__ > 1",
        "macd(close).__class__ > 1",
        "open('/etc/passwd') > 1",
        "exec('x') > 1",
        "[x for x in close]",
        "f'{close}' > 1",
        "9**9**9**9 > 1",
        "close @ open > 1",
        "(yield 1) > 1",
        "`close` > 1",
        "close\\\n > 1",
        "\x00 > 1",
        "\ud800 > 1",
    ],
)
def test_nothing_of_python_beyond_the_language_is_reachable(text: str) -> None:
    assert issues(text)


def test_every_mistake_of_every_rule_is_reported_with_its_path() -> None:
    with pytest.raises(RuleIssues) as caught:
        compile_rules(Rules("clos > opn", "close >", None, "close", ("close > 1", "nope(1)")))
    assert [(issue.path, issue.column) for issue in caught.value.issues] == [
        (("entryLong",), 1),
        (("entryLong",), 8),
        (("exitLong",), 8),
        (("exitShort",), 1),
        (("plots", "0"), 1),
        (("plots", "1"), 1),
    ]
    assert caught.value.issues[4].message == (
        "A plot is a number series, such as sma(close, 50); this is a condition."
    )


def test_checking_rules_loads_neither_numba_nor_talib() -> None:
    program = (
        "import sys; from gql_trader.engine.rules import Rules, compile_rules;"
        "compile_rules(Rules('crossover(adx(14), exp(2)) and close > sqrt(4)')).warmup(None, 3_600_000);"
        "assert not {'numba', 'talib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("true", 0),
        ("close > open", 0),
        ("close[3] > open", 3),
        ("sma(close, fast) > 1", 9),
        ("sma(sma(close, 10), 5)[2] > close", 15),
        ("crossover(ema(close, fast), ema(close, slow))", 30),
        ("rsi(close, 14) < 30 or adx(14) > 20", 27),
        ("macd(close, 12, 26, 9).hist > 0", 33),
        ("ma(close, 5, kind) > ma(price, fast * 2, matype='dema')", 38),
        ("count(close > open, 5) > 2 and barssince(cross(close, sma(close, 20))) < 3", 20),
    ],
)
def test_warm_up_is_known_before_any_bar(text: str, bars: int) -> None:
    assert compile_rules(Rules(entry_long=text), PARAMETERS).warmup(None, HOUR) == bars


def test_warm_up_follows_the_parameters() -> None:
    compiled = compile_rules(Rules("close > sma(close, fast)", "close < lowest(low, slow)"), PARAMETERS)
    defaults = {parameter.name: parameter.default for parameter in PARAMETERS}
    assert compiled.warmup(None, HOUR) == 29
    assert compiled.warmup(defaults | {"fast": 90}, HOUR) == 89
    with pytest.raises(RuleIssues) as caught:
        compiled.warmup(defaults | {"slow": -3}, HOUR)
    assert str(caught.value) == (
        "exitLong, line 1, column 21: period of lowest() must be a whole number from 1 to 10000; got -3."
    )


def test_indicators_lists_the_functions_used() -> None:
    compiled = compile_rules(Rules("macd(close).hist > 0", "close < bbands(ema(close, 3)).lower"))
    assert compiled.indicators == ("bbands", "ema", "macd")


def test_operators_are_those_of_arithmetic() -> None:
    bars = bars_of([1, 2, 3, 4, 5, 6])
    close = bars.close
    for text, expected in {
        "close * 2 + 1 > 7": close * 2 + 1 > 7,
        "-close > -3": -close > -3,
        "close % 2 == 1": close % 2 == 1,
        "close / 2 >= 2": close / 2 >= 2,
        "2 < close <= 4": (close > 2) & (close <= 4),
        "not close > 3": ~(close > 3),
        "close < 2 or close > 5 and true": (close < 2) | (close > 5),
        "close != 3": close != 3,
        "high - low == 2": np.full(6, True),
        "hl2 == close and hour == close - 1 and dayofweek == 0": np.full(6, True),
        "max(close, 3) == 3 and abs(close - 3) <= 1": (close <= 3) & (close >= 2),
    }.items():
        np.testing.assert_array_equal(holds(text, bars), expected, err_msg=text)


def test_precedence_is_pythons() -> None:
    bars = bars_of([1, 2, 3, 4, 5, 6, 7, 8])
    close = bars.close
    np.testing.assert_array_equal(
        holds("close > 2 and not close > 4 or close * 2 + 1 > 14", bars),
        ((close > 2) & ~(close > 4)) | (close * 2 + 1 > 14),
    )


def test_a_shift_looks_back_and_nothing_holds_before_it_can() -> None:
    bars = bars_of([5, 1, 2, 9, 4])
    np.testing.assert_array_equal(holds("close > close[1]", bars), [False, False, True, True, False])
    np.testing.assert_array_equal(holds("not (close > close[1])", bars), [False, True, False, False, True])
    np.testing.assert_array_equal(holds("(close > 4)[2]", bars), [False, False, True, False, False])


def test_signals_are_false_until_the_slowest_rule_is_warm() -> None:
    bars = random_bars(50)
    signals = compile_rules(Rules("true", "not (sma(close, 20) > 0)", "close > 0")).signals(bars)
    for column in (signals.entry_long, signals.entry_short):
        assert not column[:19].any()
        assert column[19:].all()
    assert not signals.exit_long.any()
    assert not signals.exit_short.any()


def test_undefined_values_compare_false_either_way() -> None:
    bars = bars_of([1, 2, 3])
    for text in ("1 / (close - 2) > 0", "1 / (close - 2) < 0", "1 / (close - 2) != 7", "log(close - 2) == 0"):
        assert not holds(text, bars)[1], text
    assert holds("nz(1 / (close - 2), 5) == 5", bars)[1]
    assert holds("close % 0 == 1 or true", bars).all()


def test_constants_are_computed_as_columns_are() -> None:
    bars = bars_of([2, 3])
    for text in (
        "sqrt(16) == sqrt(close * 0 + 16)",
        "-7 % 3 == (close * 0 - 7) % 3",
        "sign(-2) + floor(2.5) + max(1, 4) == sign(close * 0 - 2) + floor(close * 0 + 2.5) + 4",
        "nz(1 / 0, 3) == nz(1 / (close * 0), 3)",
        "nz(log(0), 3) == nz(log(close * 0), 3)",
        "not (1 / 0 != 1)",
    ):
        assert holds(text, bars).all(), text


def test_parameters_are_used_by_name() -> None:
    bars = random_bars(80)
    text = "filtered and ma(price, fast, kind) > level or kind == 'ema' and not filtered"
    defaults = {parameter.name: parameter.default for parameter in PARAMETERS}
    compiled = compile_rules(Rules(text), PARAMETERS)
    found = compiled.signals(bars, defaults | {"level": 100.0, "price": "high", "fast": 5}).entry_long
    sma = compute(CATALOGUE["sma"], [bars.high], bars, {"period": 5})
    assert isinstance(sma, np.ndarray)
    np.testing.assert_array_equal(found, sma > 100.0)
    always = compiled.signals(bars, defaults | {"filtered": False, "kind": "ema"}).entry_long
    assert always[9:].all()
    assert not always[:9].any()


def test_rules_are_run_with_one_set_of_values_after_another() -> None:
    bars = random_bars(200)
    rules = Rules("rsi(close, fast) > level", plots=("sma(close, fast) + level",))
    defaults = {parameter.name: parameter.default for parameter in PARAMETERS}
    compiled = compile_rules(rules, PARAMETERS)
    given = [defaults | {"fast": fast, "level": level} for fast in (5, 9) for level in (40.0, 60.0)]
    for values in [*given, *given]:
        fresh = compile_rules(rules, PARAMETERS)
        np.testing.assert_array_equal(
            compiled.signals(bars, values).entry_long, fresh.signals(bars, values).entry_long
        )
        lines, expected = compiled.lines(bars, values), fresh.lines(bars, values)
        assert [line.text for line in lines] == [line.text for line in expected]
        for line, other in zip(lines, expected, strict=True):
            np.testing.assert_array_equal(line.values, other.values)
        signals, together = compiled.signals_and_lines(bars, values)
        np.testing.assert_array_equal(signals.entry_long, compiled.signals(bars, values).entry_long)
        assert [(line.text, line.plot) for line in together] == [(line.text, line.plot) for line in lines]
        for line, other in zip(together, lines, strict=True):
            np.testing.assert_array_equal(line.values, other.values)
    with pytest.raises(RuleIssues):
        compiled.signals(bars, defaults | {"fast": 0})


def test_shared_expressions_are_computed_once() -> None:
    bars = random_bars(300)
    steps: list[float] = []
    rules = Rules(
        "crossover(sma(close, 5), sma(close, 20))",
        "crossunder(sma(close, 5), sma(close, 20))",
        plots=("rsi(close, 14)",),
    )
    compile_rules(rules).signals(bars, on_progress=steps.append)
    # close, the crossings of two averages in one step, each of them; the plot is not part of the signals.
    assert steps == [0.25, 0.5, 0.75, 1.0]


def test_plots_are_series_that_may_be_undefined() -> None:
    bars = random_bars(30)
    compiled = compile_rules(Rules(plots=("sma(close, 10)", "bbands(close, 5).upper", "level")), PARAMETERS)
    first, second, third = compiled.plots(bars)
    assert first.text == "sma(close, 10)"
    np.testing.assert_array_equal(first.values, compute(CATALOGUE["sma"], [bars.close], bars, {"period": 10}))
    assert np.isnan(second.values[:4]).all()
    assert (third.values == 70.0).all()


def test_no_bars_give_no_signals() -> None:
    bars = random_bars(0)
    signals = compile_rules(Rules("crossover(sma(close, 5), 100)", "rsi(close) > 70 and adx() > 5")).signals(
        bars
    )
    assert len(signals) == 0


def test_memory_mapped_bars_are_read_without_copies(tmp_path: object) -> None:
    bars = random_bars(100)
    path = f"{tmp_path}/close.npy"
    np.save(path, bars.close)
    mapped = Bars(
        bars.time, bars.open, bars.high, bars.low, np.load(path, mmap_mode="r"), bars.volume, bars.interval
    )
    rules = Rules("close > ema(close, 9) and rsi(close) > 40 and kama(close) > close[2] and mom(close) > 0")
    np.testing.assert_array_equal(
        compile_rules(rules).signals(mapped).entry_long, compile_rules(rules).signals(bars).entry_long
    )


def test_the_rules_and_plots_of_a_strategy_are_bounded_together() -> None:
    plot = "close" + " " * 995
    fits = Rules(entry_long="close > open" + " " * 988, plots=(plot,) * 19)
    assert fits.total_length == 20_000
    compile_rules(fits)
    with pytest.raises(RuleIssues) as caught:
        compile_rules(replace(fits, exit_long="#"))
    assert list(map(str, caught.value.issues)) == [
        ", line 1, column 1: All rules and plots have at most 20000 characters together; got 20001."
    ]
    assert caught.value.issues[0].code is ErrorCode.RULE_SYNTAX


def test_similar_names_are_suggested_for_the_first_unknown_ones_of_a_rule() -> None:
    found = issues(" or ".join(f"emma{i}(close)" for i in range(10)))
    assert len(found) == 10
    assert ["looks like it" in issue.message for issue in found] == [True] * 3 + [False] * 7


def test_rules_full_of_unknown_names_are_refused_without_comparing_each_to_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("".join(letters) + "()" for letters in itertools.product("aeiorstl", repeat=4))
    text = " or ".join(itertools.islice(names, 80))
    rules = Rules(text, text, text, text, (text,) * 20)
    compared = 0

    def count(*_arguments: object, **_options: object) -> list[str]:
        nonlocal compared
        compared += 1
        return []

    monkeypatch.setattr(checker, "get_close_matches", count)
    with pytest.raises(RuleIssues) as caught:
        compile_rules(rules)
    assert len(caught.value.issues) == 24 * 20
    assert compared == 24 * 3


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('close > "über" and foo', 1, 20),
        ("close > 'é€𝄞' and foo", 1, 19),
        ("# ü\nclose > 'é' and\n foo", 3, 2),
    ],
)
def test_places_count_characters_also_behind_text_that_is_not_ascii(
    text: str, line: int, column: int
) -> None:
    with pytest.raises(RuleIssues) as caught:
        compile_rules(Rules(text))
    [issue] = [each for each in caught.value.issues if "foo" in each.message]
    assert (issue.line, issue.column) == (line, column)
    assert text.split("\n")[line - 1][column - 1 :] == "foo"
