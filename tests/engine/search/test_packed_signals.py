"""Trials get signals a bit a bar, bound and computed once for all combinations, and they are the same."""

from typing import Any

import numpy as np
import pytest

from gql_trader.core.intervals import Interval
from gql_trader.engine.indicators import kernels
from gql_trader.engine.rules import Parameter, ParameterType, RuleIssues, Rules, compile_rules
from gql_trader.engine.rules.parameters import ParameterValues
from gql_trader.engine.signals import RawSignals, Signals, packed, unpacked
from tests.factories.candles import random_bars

BARS = random_bars(700, Interval.H1, seed=11)
NAMES = ("entry_long", "exit_long", "entry_short", "exit_short")


def _assert_same(found: Signals, expected: Signals) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 128, 1_000])
def test_bits_are_the_flags_again_and_none_is_set_behind_the_last_bar(n: int) -> None:
    flags = np.random.default_rng(n).random(n) < 0.5
    words = packed(flags)
    assert words.dtype == np.uint64
    assert len(words) == -(-n // 64)
    np.testing.assert_array_equal(unpacked(words, n), flags)
    assert sum(int(word).bit_count() for word in words) == int(flags.sum())


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 66, 640, 999])
def test_crossings_as_bits_are_the_crossings_next_to_nan_and_ties_too(n: int) -> None:
    random = np.random.default_rng(n)
    x, y = (random.integers(0, 3, n).astype(np.float64) for _ in range(2))
    for column in (x, y):
        column[random.random(n) < 0.05] = np.nan
        column[random.random(n) < 0.02] = np.inf
    for words, flags in zip(kernels.packed_crosses(x, y), kernels.both_crosses(x, y), strict=True):
        np.testing.assert_array_equal(unpacked(words, n), flags)
        np.testing.assert_array_equal(words, packed(flags))


def test_the_warm_up_is_masked_only_where_flags_are_asked_for() -> None:
    signals = Signals(*(np.ones(100, dtype=np.bool_) for _ in range(4)))
    raw = RawSignals.of(signals, 70)
    assert int(raw.entry_long[0]) == 2**64 - 1
    masked = raw.masked()
    for name in NAMES:
        assert np.flatnonzero(getattr(masked, name)).tolist() == list(range(70, 100))


RULES = compile_rules(
    Rules(
        entry_long="crossover(sma(source, fast), ema(close, slow)) and close > sma(close, 10)[back]",
        exit_long="crossunder(sma(source, fast), ema(close, slow))",
        entry_short="crossunder(close, on(frame, sma(close, fast))) or (strict and rsi(close, slow) > 50)",
    ),
    (
        Parameter("source", ParameterType.SOURCE, "close"),
        Parameter("fast", ParameterType.INT, 3),
        Parameter("slow", ParameterType.INT, 9),
        Parameter("back", ParameterType.INT, 1),
        Parameter("frame", ParameterType.CHOICE, "4h", choices=("4h", "1d", "7h")),
        Parameter("strict", ParameterType.BOOL, True),
    ),
)
DEFAULTS: dict[str, Any] = {
    "source": "close",
    "fast": 3,
    "slow": 9,
    "back": 1,
    "frame": "4h",
    "strict": True,
}
COMBINATIONS: list[ParameterValues] = [
    DEFAULTS,
    DEFAULTS | {"fast": 4},
    DEFAULTS | {"slow": 3},
    DEFAULTS | {"source": "high"},
    DEFAULTS | {"back": 0},
    DEFAULTS | {"frame": "1d"},
    DEFAULTS | {"strict": False},
    DEFAULTS | {"fast": 2, "slow": 2},
    DEFAULTS,
]


@pytest.mark.parametrize("capacity", [0, 20_000, 10_000_000])
def test_each_combination_has_the_signals_of_a_run_of_its_own(capacity: int) -> None:
    repeated = RULES.repeated_signals(BARS, capacity)
    for values in COMBINATIONS:
        raw = repeated.of(values)
        _assert_same(raw.masked(), RULES.signals(BARS, values))
        assert raw.warmup == RULES.warmup(values, BARS.interval)


def test_combinations_that_are_not_valid_are_refused_as_alone_and_harm_no_other() -> None:
    repeated = RULES.repeated_signals(BARS, 10**6)
    for values in (DEFAULTS | {"fast": 0}, DEFAULTS | {"frame": "7h"}, DEFAULTS | {"back": -1}):
        with pytest.raises(RuleIssues) as alone:
            RULES.signals(BARS, values)
        for _ in range(2):
            with pytest.raises(RuleIssues) as found:
                repeated.of(values)
            assert found.value.issues == alone.value.issues
        _assert_same(repeated.of(DEFAULTS).masked(), RULES.signals(BARS, DEFAULTS))


def test_what_all_indicators_of_one_combination_look_back_is_limited_and_not_that_of_all_together() -> None:
    rules = compile_rules(
        Rules(entry_long=" or ".join(f"sma(close, n) > ema(close, n + {k})" for k in range(9))),
        (Parameter("n", ParameterType.INT, 10),),
    )
    repeated = rules.repeated_signals(BARS, 10**6)
    # The simple average looks back n - 1 bars, the nine others n - 1 to n + 7, together 50,000 at most.
    limit = next(n for n in range(4_900, 5_100) if not _valid(rules, n))
    for n in (limit - 1, limit - 2, limit - 3):
        assert repeated.of({"n": n}).warmup == len(BARS) < rules.warmup({"n": n}, BARS.interval)
    with pytest.raises(RuleIssues, match="look back"):
        repeated.of({"n": limit})


def _valid(rules: object, n: int) -> bool:
    try:
        rules.check({"n": n})  # type: ignore[attr-defined]
    except RuleIssues:
        return False
    return True


def test_a_rule_that_never_holds_and_one_that_always_does() -> None:
    rules = compile_rules(
        Rules(entry_long="n > 3", exit_long="close < 0"), (Parameter("n", ParameterType.INT, 5),)
    )
    repeated = rules.repeated_signals(BARS, 10**6)
    for n in (3, 5, 3):
        _assert_same(repeated.of({"n": n}).masked(), rules.signals(BARS, {"n": n}))
    assert repeated.of({"n": 4}).bars == len(BARS)
