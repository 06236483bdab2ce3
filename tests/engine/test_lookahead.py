"""Signals that know the future change when it is taken away; all others do not."""

import numpy as np
import pytest

from gql_trader.engine.bars import Bars
from gql_trader.engine.lookahead import SignalKind, changes_at, cut_points
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.signals import Signals
from tests.factories.markets import signals_at
from tests.factories.random_bars import random_bars


def _prophet(bars: Bars) -> Signals:
    """Enter before the next bar is the highest of all: knows one bar more than it may."""
    signals = Signals.none(len(bars))
    highest = np.maximum.accumulate(bars.close)
    signals.entry_long[:-1] = (bars.close[1:] == highest[1:]) & (bars.close[1:] > bars.close[:-1])
    return signals


def test_a_signal_that_knows_the_next_bar_is_found_at_its_own_bar() -> None:
    bars = random_bars(400, 2)
    signals = _prophet(bars)
    entries = np.flatnonzero(signals.entry_long)
    assert 3 < len(entries) < 40
    found = [
        change
        for cut in cut_points(signals, 0, 32).tolist()
        for change in changes_at(cut, bars, signals, _prophet)
    ]
    assert found
    for change in found:
        assert change.signal is SignalKind.ENTRY_LONG
        assert (change.bar, change.with_future, change.without, change.changed) == (
            change.cut - 1,
            True,
            False,
            1,
        )
        assert change.bar in entries


@pytest.mark.parametrize("rule", ["crossover(ema(close, 3), ema(close, 9))", "close > vwap()", "hour == 4"])
def test_rules_never_change(rule: str) -> None:
    compiled, bars = compile_rules(Rules(rule, f"not ({rule})")), random_bars(300, 5)
    signals = compiled.signals(bars)
    for cut in cut_points(signals, 20, 16).tolist():
        assert changes_at(cut, bars, signals, compiled.signals, 20) == []


def test_half_of_the_cuts_are_right_behind_signals() -> None:
    signals = signals_at(1_000, entry_long=[5, 100, 400], exit_short=[700], entry_short=[999])
    cuts = cut_points(signals, 50, 20)
    assert {101, 401, 701} <= set(cuts.tolist())
    assert len(cuts) <= 20
    assert (np.diff(cuts) > 0).all()
    assert cuts[0] > 50
    assert cuts[-1] == 999
    many = cut_points(signals_at(1_000, entry_long=range(1_000)), 0, 20)
    assert len(many) <= 20


def test_a_single_bar_has_nothing_to_cut() -> None:
    assert len(cut_points(signals_at(1), 0, 32)) == 0
    assert cut_points(signals_at(2, entry_long=[0]), 0, 32).tolist() == [1]
