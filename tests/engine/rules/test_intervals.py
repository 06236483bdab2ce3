"""on(): rules over the bars of a higher interval, of which only complete ones are ever seen."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gql_trader.core.intervals import DAY, HOUR, MINUTE, Interval
from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.rules import (
    CompiledRules,
    Parameter,
    ParameterType,
    RuleIssues,
    Rules,
    compile_rules,
)
from gql_trader.engine.rules.plan import MAXIMUM_HISTORY
from gql_trader.engine.rules.sharing import SharedColumns
from tests.factories.candles import random_bars

MONDAY_2024 = 1_704_067_200_000
PAIRS = [
    (low, high)
    for low in (Interval.M5, Interval.M30, Interval.H1, Interval.H4, Interval.D1)
    for high in Interval
    if low.divides(high) and high.milliseconds <= 200 * low.milliseconds
]
EXPRESSIONS = (
    "close",
    "sma(close, 3)",
    "ema(hl2, 2)",
    "highest(high, 2) - low[1]",
    "volume",
    "hour",
    "atr(2)",
)


def naive(bars: Bars, interval: Interval, expression: str) -> Floats:
    """Return on(interval, expression) bar by bar: at each, resample what is there and look at the last."""
    inner = compile_rules(Rules("true", plots=(expression,)))
    out = np.full(len(bars), np.nan)
    for i in range(len(bars)):
        now = int(bars.time[i]) + bars.interval
        groups: dict[int, list[int]] = {}
        for j in range(i + 1):
            groups.setdefault(interval.floor(int(bars.time[j])), []).append(j)
        if groups and next(iter(groups)) != bars.time[0]:
            del groups[next(iter(groups))]
        whole = {start: at for start, at in groups.items() if start + interval.milliseconds <= now}
        if whole:

            def joined(column: Floats, pick: Callable[[Floats], Any], whole: Any = whole) -> Floats:
                return np.array([pick(column[at]) for at in whole.values()], dtype=np.float64)

            higher = Bars(
                np.array(list(whole)),
                joined(bars.open, lambda x: x[0]),
                joined(bars.high, max),
                joined(bars.low, min),
                joined(bars.close, lambda x: x[-1]),
                joined(bars.volume, np.sum),
                interval.milliseconds,
            )
            out[i] = inner.plots(higher)[0].values[-1]
    return out


def plot(bars: Bars, text: str) -> Floats:
    return compile_rules(Rules("true", plots=(text,))).plots(bars)[0].values


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(PAIRS),
    st.sampled_from(EXPRESSIONS),
    st.integers(1, 130),
    st.integers(0, 2**20),
    st.integers(0, 400),
    st.sampled_from([0.0, 0.3, 0.7]),
)
def test_it_equals_resampling_at_every_bar_what_was_there(
    pair: tuple[Interval, Interval], expression: str, n: int, seed: int, shift: int, gaps: float
) -> None:
    low, high = pair
    bars = random_bars(n, low, seed=seed, start=MONDAY_2024 + shift * low.milliseconds, gaps=gaps)
    found = plot(bars, f'on("{high.value}", {expression})')
    np.testing.assert_allclose(found, naive(bars, high, expression), rtol=1e-12, equal_nan=True)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(PAIRS),
    st.integers(1, 300),
    st.integers(0, 2**20),
    st.integers(0, 60),
    st.integers(1, 300),
)
def test_one_bar_at_a_time_gives_what_all_at_once_gives(
    pair: tuple[Interval, Interval], n: int, seed: int, shift: int, cut: int
) -> None:
    low, high = pair
    bars = random_bars(n, low, seed=seed, start=MONDAY_2024 + shift * low.milliseconds, gaps=0.2)
    name = high.value
    compiled = compile_rules(
        Rules(
            f'crossover(close, on("{name}", sma(close, 3))) and on("{name}", close > open)',
            f'on("{name}", barssince(close < open) > 1)[1]',
            plots=(f'on("{name}", vwap("start") + volume)',),
        )
    )
    whole, part = compiled.signals(bars), compiled.signals(bars.slice(0, min(cut, n)))
    np.testing.assert_array_equal(whole.entry_long[:cut], part.entry_long)
    np.testing.assert_array_equal(whole.exit_long[:cut], part.exit_long)
    np.testing.assert_array_equal(
        compiled.plots(bars)[0].values[:cut], compiled.plots(bars.slice(0, min(cut, n)))[0].values
    )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(PAIRS), st.sampled_from(EXPRESSIONS), st.integers(0, 2**20), st.integers(0, 400),
    st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_the_warm_up_suffices_wherever_the_data_begin(
    pair: tuple[Interval, Interval], expression: str, seed: int, shift: int, gaps: float
) -> None:
    low, high = pair
    rule = compile_rules(Rules(f'on("{high.value}", {expression}) > 0'))
    warmup = rule.warmup(None, low.milliseconds)
    start = MONDAY_2024 + shift * low.milliseconds
    bars = random_bars(warmup + 3, low, seed=seed, start=start, gaps=gaps)
    assert not np.isnan(plot(bars, f'on("{high.value}", {expression})')[warmup:]).any()


def test_a_day_is_known_when_its_last_hour_closes_and_not_before() -> None:
    bars = random_bars(60, Interval.H1, start=MONDAY_2024)
    found = plot(bars, 'on("1d", close)')
    assert np.isnan(found[:23]).all()
    # The bar that opens at 23:00 closes at midnight: with it the day is over.
    assert (found[23:47] == bars.close[23]).all()
    assert (found[47:] == bars.close[47]).all()


def test_a_first_partial_day_does_not_count() -> None:
    bars = random_bars(60, Interval.H1, start=MONDAY_2024 + 5 * HOUR)
    found = plot(bars, 'on("1d", open)')
    assert np.isnan(found[: 19 + 23]).all()
    assert (found[19 + 23 :] == bars.open[19]).all()


def test_weeks_begin_on_monday_in_utc() -> None:
    bars = random_bars(40, Interval.D1, start=MONDAY_2024 - 3 * DAY)
    found = plot(bars, 'on("1w", open)')
    assert np.isnan(found[: 3 + 6]).all()
    assert (found[3 + 6 : 3 + 13] == bars.open[3]).all()
    assert (plot(bars, 'on("1w", dayofweek)')[9:] == 0.0).all()


def test_after_a_gap_a_bar_is_known_with_the_next_that_closes_behind_its_end() -> None:
    bars = random_bars(12, Interval.H1, start=MONDAY_2024)
    kept = [0, 1, 2, 6, 7, 8, 9]  # 03:00 to 05:00 are missing
    names = ("time", "open", "high", "low", "close", "volume")
    columns: dict[str, Any] = {name: getattr(bars, name)[kept] for name in names}
    found = plot(replace(bars, **columns), 'on("4h", close)')
    # 00:00 to 04:00 has no last hour; it is over by 07:00, when the bar of 06:00 closes.
    assert np.isnan(found[:3]).all()
    assert found[3] == bars.close[2]
    assert (found[4:] == bars.close[7]).all()


def test_bars_of_the_same_interval_are_themselves() -> None:
    bars = random_bars(30, Interval.H4, start=MONDAY_2024 + 4 * HOUR)
    np.testing.assert_array_equal(plot(bars, 'on("4h", sma(close, 3))'), plot(bars, "sma(close, 3)"))


def test_bars_ago_counts_what_it_stands_beside() -> None:
    bars = random_bars(40, Interval.H1, start=MONDAY_2024)
    inside, outside = plot(bars, 'on("4h", close[1])'), plot(bars, 'on("4h", close)[1]')
    plain = plot(bars, 'on("4h", close)')
    np.testing.assert_array_equal(outside[1:], plain[:-1])
    np.testing.assert_array_equal(inside[4:], plain[:-4])


@pytest.mark.parametrize(
    ("text", "interval", "warmup"),
    [
        ('on("4h", close) > 0', Interval.H1, 6),
        ('on("4h", sma(close, 50)) > 0', Interval.H1, 202),
        ('sma(on("4h", close), 10) > 0', Interval.H1, 15),
        ('on("4h", close)[3] > 0', Interval.H1, 9),
        ('on("1d", close) > on("4h", close)', Interval.H1, 46),
        ('on("4h", sma(close, 50)) > 0', Interval.H4, 49),
        ('on("1d", rsi(close, 14)) > 50', Interval.M1, 16 * 1440 - 2),
    ],
)
def test_the_warm_up_is_counted_in_bars_of_the_run(text: str, interval: Interval, warmup: int) -> None:
    assert compile_rules(Rules(text)).warmup(None, interval.milliseconds) == warmup


PARAMETERS = (
    Parameter("frame", ParameterType.CHOICE, "4h", choices=("4h", "1d")),
    Parameter("other", ParameterType.CHOICE, "x", choices=("x", "4h")),
    Parameter("n", ParameterType.INT, 3, 1, 5_000),
)


def compiled(text: str) -> CompiledRules:
    return compile_rules(Rules(text), PARAMETERS)


def test_the_interval_may_be_a_parameter() -> None:
    rule = compiled("on(frame, close) > on(frame, sma(close, n))")
    defaults: dict[str, Any] = {"frame": "4h", "other": "x", "n": 3}
    assert rule.warmup(defaults, HOUR) == 14
    assert rule.warmup(defaults | {"frame": "1d"}, HOUR) == 94
    assert rule.indicators == ("on", "sma")
    assert rule.uses_intervals
    assert not compiled("close > 1").uses_intervals


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('on("5h", close) > 0', "is one of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d, 1w; got '5h'."),
        ("on(other, close) > 0", "got 'x'."),
        ("on(4, close) > 0", 'The interval of on() is a text such as "4h"; got a number.'),
        ('on("4h", 3) > 0', "on() takes a number series or a condition; got a number."),
        ('on("4h", macd(close)).hist > 0', "the several results of macd(): choose .macd, .signal or .hist."),
        ('on("4h", macd(close).hist).hist > 0', "on() has one result and no members"),
        ('on("4h", on("1d", close)) > 0', "on() cannot stand inside another on()."),
        ('on("4h") > 0', "on() takes (interval, expression); got 1 argument, without expression."),
        ("on > 0", "on is a function: write on(interval, expression)."),
        ('on("4h", close)', "A rule is a condition"),
        ('on("4h", close[-1]) > 0', "later bars have no name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(text: str, message: str) -> None:
    with pytest.raises(RuleIssues, match=r".") as caught:
        compiled(text)
    assert message in caught.value.issues[0].message, caught.value.issues


@pytest.mark.parametrize("interval", [Interval.D1, Interval.H6, Interval.H8, Interval.W1])
def test_bars_that_do_not_make_up_the_interval_are_refused(interval: Interval) -> None:
    rule = compiled('on("4h", close) > 0')
    message = r'on\("4h", ...\) needs bars of 4h, or of an interval that divides it; these are '
    with pytest.raises(RuleIssues, match=message + interval.value):
        rule.warmup(None, interval.milliseconds)
    with pytest.raises(RuleIssues, match=message):
        rule.signals(random_bars(5, interval))


def test_the_history_of_a_rule_is_bounded() -> None:
    rule = compiled('on("1w", sma(close, n)) > 0')
    values: dict[str, Any] = {"frame": "4h", "other": "x", "n": 98}
    assert rule.warmup(values, MINUTE) == 99 * 10_080 - 2 < MAXIMUM_HISTORY
    with pytest.raises(RuleIssues, match="This needs 1007998 bars before its first value; at most 1000000"):
        rule.warmup(values | {"n": 99}, MINUTE)


def test_columns_that_runs_share_are_told_apart_by_their_interval() -> None:
    bars, shared = random_bars(300, Interval.H1), SharedColumns(10**7)
    rules = [
        compile_rules(Rules(text))
        for text in (
            "close > sma(close, 3)",
            'close > on("4h", sma(close, 3))',
            'on("1d", close > sma(close, 3))',
            'on("4h", close > sma(close, 3))',
        )
    ]
    for rule in (*rules, *rules):
        found = rule.signals(bars, None, None, shared)
        np.testing.assert_array_equal(found.entry_long, rule.signals(bars).entry_long)
        assert found.entry_long.any()


def test_a_chart_draws_what_is_inside_a_condition_of_a_higher_interval() -> None:
    bars = random_bars(60, Interval.H1)
    rule = compiled('on("4h", close > sma(close, n) and true) and close > on("1d", high)')
    assert [line.text for line in rule.lines(bars)] == ['on("4h", sma(close, n))', 'on("1d", high)']
