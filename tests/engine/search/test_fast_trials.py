"""The search kernel gives the figures that the engine gives, for every spec that it takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.core.intervals import Interval
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars, Floats
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel, Sizing, SizingKind
from gql_trader.engine.rules import Rules, compile_rules
from gql_trader.engine.search import fast, figures
from gql_trader.engine.search.fast import FastTrials, takes
from gql_trader.engine.search.scoring import METRICS
from gql_trader.engine.search.setting import Setting
from gql_trader.engine.search.trials import Trial, run_trials
from gql_trader.engine.signals import RawSignals, Signals
from gql_trader.engine.trading_days import TradingDays
from tests.factories.candles import random_bars

NOTHING = compile_rules(Rules(entry_long="close > open"))


def _figures(setting: Setting, signals: Signals, spec: ExecutionSpec) -> Floats:
    result = simulation.run(setting.bars, signals, spec, setting.initial_capital, setting.start)
    measured = metrics.compute(
        result, setting.bars.slice(setting.start, len(setting.bars)), setting.trading_days
    )
    values = (getattr(measured, name) for name in METRICS)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _assert_equal(found: Floats | None, expected: Floats) -> None:
    assert found is not None
    trades = METRICS.index("trades")
    assert found[trades] == expected[trades]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


specs = st.builds(
    ExecutionSpec,
    direction=st.sampled_from(Direction),
    maker_fee=st.sampled_from([0.0, 0.0002]),
    taker_fee=st.sampled_from([0.0, 0.001, 0.05]),
    slippage=st.sampled_from([0.0, 0.0005, 0.02]),
    sizing=st.sampled_from(
        [
            Sizing(),
            Sizing(SizingKind.EQUITY_FRACTION, 0.3),
            Sizing(SizingKind.CASH, 500.0),
            Sizing(SizingKind.QUANTITY, 3.0),
        ]
    ),
    stop_loss=st.sampled_from([None, 0.005, 0.02, 0.5]),
    take_profit=st.sampled_from([None, 0.01, 0.04, 0.9]),
    trailing_stop=st.sampled_from([None, 0.004, 0.015, 0.3]),
    amount_precision=st.sampled_from([None, 8, 2, 0]),
    min_notional=st.sampled_from([0.0, 800.0]),
)


def _signals(random: np.random.Generator, n: int, density: float) -> Signals:
    return Signals(*(random.random(n) < density for _ in range(4)))


@settings(max_examples=150, deadline=None)
@given(
    specs,
    st.integers(0, 2**31 - 1),
    st.integers(1, 400),
    st.sampled_from([0.003, 0.03, 0.3]),
    st.sampled_from([Interval.M15, Interval.H1, Interval.H8, Interval.D1]),
    st.sampled_from(TradingDays),
)
def test_every_spec_that_it_takes_has_the_figures_of_the_engine(
    spec: ExecutionSpec, seed: int, n: int, density: float, interval: Interval, days: TradingDays
) -> None:
    random = np.random.default_rng(seed)
    bars = random_bars(n, interval, seed=seed % 1000)
    setting = Setting(bars, int(random.integers(0, n)), NOTHING, 10_000.0, days)
    warmup = int(random.integers(0, n + 1))
    raw = RawSignals.of(_signals(random, n, density), warmup)
    assert takes(spec)
    _assert_equal(FastTrials(setting).run(raw, spec), _figures(setting, raw.masked(), spec))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    "spec", [ExecutionSpec(), ExecutionSpec(stop_loss=0.02, trailing_stop=0.05, take_profit=0.3)]
)
def test_long_positions_that_pass_over_many_blocks(direction: Direction, spec: ExecutionSpec) -> None:
    spec = replace(spec, fill=FillModel.NEXT_OPEN, maker_fee=0.0, direction=direction)
    bars = random_bars(20_000, Interval.M15, seed=3)
    setting = Setting(bars, 0, NOTHING, 10_000.0, TradingDays.EVERY_DAY)
    raw = RawSignals.of(_signals(np.random.default_rng(1), len(bars), 0.0005))
    _assert_equal(FastTrials(setting).run(raw, spec), _figures(setting, raw.masked(), spec))


def test_prices_that_hardly_move_and_prices_that_repeat() -> None:
    n = 600
    close = np.repeat([100.0, 100.0, 101.0, 99.0, 100.0, 100.0], 100)
    bars = random_bars(n, seed=1)
    flat = Bars(bars.time, close, close, close, close, bars.volume, bars.interval)
    setting = Setting(flat, 0, NOTHING, 10_000.0, TradingDays.EVERY_DAY)
    signals = Signals.none(n)
    signals.entry_long[5] = signals.entry_short[250] = signals.exit_long[240] = True
    for spec in (ExecutionSpec(), ExecutionSpec(direction=Direction.BOTH, trailing_stop=0.01)):
        raw = RawSignals.of(signals)
        _assert_equal(FastTrials(setting).run(raw, spec), _figures(setting, signals, spec))


@pytest.mark.parametrize(
    "spec",
    [
        ExecutionSpec(fill=FillModel.CLOSE),
        ExecutionSpec(leverage=3.0),
        ExecutionSpec(funding_rate_per_day=0.001),
        ExecutionSpec(trailing_stop=0.02, trailing_activation=0.01),
        ExecutionSpec(minimal_roi=((0, 0.05),)),
        ExecutionSpec(max_daily_loss=0.05),
        ExecutionSpec(daily_target=0.05),
        ExecutionSpec(max_daily_trades=2),
        ExecutionSpec(cooldown_bars=3),
        ExecutionSpec(sizing=Sizing(SizingKind.RISK_FRACTION, 0.01), stop_loss=0.02),
    ],
)
def test_what_it_does_not_know_is_left_to_the_engine(spec: ExecutionSpec) -> None:
    assert not takes(spec)
    bars = random_bars(500, seed=2)
    setting = Setting(bars, 10, NOTHING, 10_000.0, TradingDays.EVERY_DAY)
    found = run_trials(setting, [Trial({}, spec)])
    expected = _figures(setting, NOTHING.signals(bars, {}), spec)
    assert np.array_equal([found[name][0] for name in METRICS], expected, equal_nan=True)


def test_a_trial_with_more_trades_than_there_is_room_for_is_left_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast, "MOST_TRADES", 5)
    bars = random_bars(500, seed=2)
    setting = Setting(bars, 0, NOTHING, 10_000.0, TradingDays.EVERY_DAY)
    spec = ExecutionSpec(stop_loss=0.001)
    expected = _figures(setting, NOTHING.signals(bars, {}), spec)
    assert expected[METRICS.index("trades")] > 5
    assert FastTrials(setting).run(RawSignals.of(NOTHING.signals(bars, {})), spec) is None
    found = run_trials(setting, [Trial({}, spec)])
    assert np.array_equal([found[name][0] for name in METRICS], expected, equal_nan=True)


def test_the_figures_are_in_the_order_in_which_they_are_named() -> None:
    names = [name.upper() for name in METRICS]
    assert [getattr(figures, name) for name in names] == list(range(len(names)))
