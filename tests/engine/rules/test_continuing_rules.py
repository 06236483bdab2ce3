"""Rules told bar after bar say what they say over all bars at once, digit by digit."""

import gc
import tracemalloc

import numpy as np
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import CompiledRules, ParameterValues, RuleIssues, Rules, compile_rules
from gql_trader.strategies.builtin import BUILTIN_STRATEGIES
from tests.engine.indicators.test_continuing import assert_same_bits
from tests.engine.rules.test_rule_properties import calls
from tests.factories.random_bars import random_bars

SIGNALS = ("entry_long", "exit_long", "entry_short", "exit_short")


def check(
    compiled: CompiledRules, bars: Bars, cuts: list[int], values: ParameterValues | None = None
) -> None:
    signals, lines = compiled.signals_and_lines(bars, values)
    continued = compiled.continued(values, bars.interval)
    heard = [continued.extend(bars.slice(a, b)) for a, b in zip([0, *cuts], [*cuts, len(bars)], strict=True)]
    assert continued.bars == len(bars)
    for name in SIGNALS:
        found = np.concatenate([getattr(said, name) for said, _ in heard])
        np.testing.assert_array_equal(found, getattr(signals, name))
    for number, line in enumerate(lines):
        parts = [drawn[number] for _, drawn in heard]
        assert {(each.text, each.plot) for each in parts} == {(line.text, line.plot)}
        assert_same_bits(np.concatenate([each.values for each in parts]), line.values)


def gaps(bars: Bars, seed: int) -> Bars:
    """Return some of the bars: single ones and whole hours are missing."""
    random = np.random.default_rng(seed)
    kept = random.random(len(bars)) > 0.05
    for start in random.integers(0, len(bars), 3):
        kept[start : start + int(random.integers(1, 30))] = False
    names = ("time", "open", "high", "low", "close", "volume")
    return Bars(**{name: getattr(bars, name)[kept] for name in names}, interval=bars.interval)


CUTS = st.lists(st.integers(0, 200), max_size=12).map(sorted)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls(), calls(), CUTS, st.integers(0, 5), st.booleans())
def test_continued_rules_say_what_whole_ones_say(
    left: str, right: str, cuts: list[int], seed: int, higher: bool
) -> None:
    if higher:
        right = f'on("1h", {right})'
    texts = (
        f"{left} > {right}",
        f"crossover({left}, {right})[1]",
        f"not {right} < 3",
        f"{left} < {right}[2]",
    )
    try:
        compiled = compile_rules(Rules(*texts, plots=(left,)))
    except RuleIssues:
        reject()
    bars = gaps(random_bars(220, seed, interval=900_000), seed)
    check(compiled, bars, [min(each, len(bars)) for each in cuts])


def test_built_in_strategies_say_bar_by_bar_what_they_say_at_once() -> None:
    bars = random_bars(700, seed=8)
    for builtin in BUILTIN_STRATEGIES.values():
        compiled = compile_rules(builtin.rules, builtin.parameters)
        check(compiled, bars, [500, *range(501, 560)])


def test_higher_intervals_go_on_in_their_middle_and_over_gaps() -> None:
    text = 'on("1h", sum(volume, 2)) > on("4h", ema(close, 3)) or on("1w", close) > on("1h", close[1])'
    compiled = compile_rules(
        Rules(text, plots=('on("1h", open)', 'on("4h", high + low)', 'on("1w", volume)'))
    )
    for seed in range(8):
        # Begins in the middle of an hour; hours begin without their first bars, and some are missing.
        whole = random_bars(900, seed, interval=900_000)
        bars = gaps(whole.slice(3 + seed, len(whole)), seed)
        check(compiled, bars, list(range(len(bars))))
        check(compiled, bars, sorted(np.random.default_rng(seed).integers(0, len(bars), 9).tolist()))


def test_what_is_remembered_grows_with_the_look_back_and_not_with_the_bars() -> None:
    def size(text: str) -> int:
        return compile_rules(Rules(text)).continued(None, 60_000).size

    assert size("close > sma(close, 10)") < 10_000
    assert 400_000 < size("close > sma(close, 10000)") < 1_000_000
    assert size('close > on("1w", close)') > 48 * 7 * 24 * 60


def test_what_is_remembered_is_no_more_than_is_said() -> None:
    text = 'close > on("1w", close) and crossover(sma(close, 500), sma(close, 900)) and adx(50) > 3'
    compiled = compile_rules(Rules(text, plots=('on("1d", high)',)))
    bars = random_bars(2_000, seed=1, interval=60_000)
    compiled.continued(None, bars.interval).extend(bars)
    gc.collect()
    tracemalloc.start()
    continued = compiled.continued(None, bars.interval)
    continued.extend(bars.slice(0, 1_300))
    for at in range(1_300, len(bars)):
        continued.extend(bars.slice(at, at + 1))
    gc.collect()
    remembered, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert remembered < continued.size + 100_000
