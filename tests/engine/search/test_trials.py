"""Trials share what they have in common, and what each gets does not depend on the others."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from gql_trader.engine import metrics, simulation
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.indicators import implementations
from gql_trader.engine.metrics import Metrics
from gql_trader.engine.rules import Parameter, ParameterType, Rules, compile_rules, evaluator
from gql_trader.engine.rules.sharing import SharedColumns
from gql_trader.engine.search import trials
from gql_trader.engine.search.scoring import METRICS, Goal, Objective, best_of
from gql_trader.engine.search.trials import Setting, Trial, _by_tiles, run_trials
from gql_trader.engine.trading_days import TradingDays
from tests.factories.candles import random_bars

BARS = random_bars(3_000, seed=5)
RULES = compile_rules(
    Rules(
        entry_long="crossover(ema(close, fast), sma(close, slow)) and rsi(close, 14) < 70",
        exit_long="crossunder(ema(close, fast), sma(close, slow))",
    ),
    (Parameter("fast", ParameterType.INT, 5), Parameter("slow", ParameterType.INT, 20)),
)
SETTING = Setting(BARS, 100, RULES, 10_000.0, TradingDays.EVERY_DAY)
TRIALS = [
    Trial({"fast": fast, "slow": slow}, ExecutionSpec(stop_loss=stop))
    for fast in (3, 5, 8)
    for slow in (20, 30)
    for stop in (None, 0.01)
]


def test_a_trial_gets_what_a_run_of_its_own_would_get() -> None:
    found = run_trials(SETTING, TRIALS)
    for place, trial in enumerate(TRIALS):
        assert trial.execution is not None
        signals = RULES.signals(BARS, trial.parameters)
        result = simulation.run(BARS, signals, trial.execution, 10_000.0, 100)
        measured = metrics.compute(result, BARS.slice(100, len(BARS)), TradingDays.EVERY_DAY)
        for name in METRICS:
            value = getattr(measured, name)
            assert np.array_equal(found[name][place], np.nan if value is None else value, equal_nan=True), (
                name
            )


def test_figures_that_are_asked_for_besides_are_those_of_a_run_of_its_own() -> None:
    goal = Goal([(each, 1.0) for each in Objective])
    assert {*goal.further, *METRICS} == {field.name for field in fields(Metrics)} - {"buy_and_hold_return"}
    found = run_trials(SETTING, TRIALS, further=goal.further)
    assert set(found) == {*METRICS, *goal.further}
    for place, trial in enumerate(TRIALS):
        assert trial.execution is not None
        signals = RULES.signals(BARS, trial.parameters)
        result = simulation.run(BARS, signals, trial.execution, 10_000.0, 100)
        measured = metrics.compute(result, BARS.slice(100, len(BARS)), TradingDays.EVERY_DAY)
        for name, column in found.items():
            value = getattr(measured, name)
            assert np.array_equal(column[place], np.nan if value is None else value, equal_nan=True), name


def test_a_negative_weight_looks_for_little() -> None:
    goal = Goal([(Objective.ULCER_INDEX, -2.0), (Objective.TRADES, 0.5)])
    assert goal.further == ("ulcer_index",)
    found = run_trials(SETTING, TRIALS, further=goal.further)
    expected = 0.5 * found["trades"] - 2.0 * found["ulcer_index"]
    assert goal.scores(found) == pytest.approx(expected)


def test_the_order_of_trials_changes_nothing() -> None:
    forwards, backwards = run_trials(SETTING, TRIALS), run_trials(SETTING, TRIALS[::-1])
    for name in METRICS:
        assert np.array_equal(forwards[name], backwards[name][::-1], equal_nan=True)


def test_a_combination_that_is_not_valid_has_no_figures_and_harms_no_other() -> None:
    refused = Trial({"fast": 0, "slow": 20}, ExecutionSpec())
    found = run_trials(SETTING, [refused, TRIALS[0], Trial(TRIALS[0].parameters, None)])
    alone = run_trials(SETTING, [TRIALS[0]])
    for name in METRICS:
        assert np.isnan(found[name][[0, 2]]).all()
        assert np.array_equal(found[name][1], alone[name][0], equal_nan=True)


def test_indicators_are_computed_once_for_all_trials(monkeypatch: object) -> None:
    calls: list[tuple[str, object]] = []
    compute = implementations.compute

    def counting(function: object, operands: object, bars: object, values: object) -> object:
        calls.append((function.name, tuple(values.values())))  # type: ignore[attr-defined]
        return compute(function, operands, bars, values)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator, "compute", counting)  # type: ignore[attr-defined]
    run_trials(SETTING, TRIALS)
    averages = [call for call in calls if call[0] in ("ema", "sma", "rsi")]
    assert sorted(averages) == [
        ("ema", (3,)),
        ("ema", (5,)),
        ("ema", (8,)),
        ("rsi", (14,)),
        ("sma", (20,)),
        ("sma", (30,)),
    ]


def test_columns_for_which_there_is_room_are_computed_once_and_others_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = [
        Trial({"fast": 2 + fast, "slow": 20 + slow}, ExecutionSpec())
        for fast in range(8)
        for slow in range(40)
    ]
    rules = compile_rules(Rules(entry_long="crossover(sma(close, fast), sma(close, slow))"), RULES.parameters)
    setting = Setting(BARS, 100, rules, 10_000.0, TradingDays.EVERY_DAY)
    computed: list[object] = []
    compute = implementations.compute

    def counting(function: Any, operands: Any, bars: Any, values: Any) -> Any:
        computed.append(tuple(values.values()))
        return compute(function, operands, bars, values)

    monkeypatch.setattr(evaluator, "compute", counting)
    # Not nearly room for all the 48 columns, but for those of all fast periods and a part of the slow ones.
    monkeypatch.setattr(trials, "SHARED_BYTES", 30 * 8 * len(BARS))
    found = run_trials(setting, grid)
    assert len(computed) == len(set(computed)) == 48
    monkeypatch.setattr(trials, "SHARED_BYTES", 0)
    assert np.array_equal(found["sqn"], run_trials(setting, grid)["sqn"], equal_nan=True)


@pytest.mark.parametrize(
    ("values", "columns", "blocks"),
    [
        ([25, 40], 62, [20, 24]),
        ([40, 20], 62, [24, 20]),
        ([8, 40], 30, [8, 12]),
        ([100, 100], 62, [20, 24]),
        ([1, 3, 500], 62, [4, 4, 40]),
        ([9, 9], 0, [4, 4]),
        ([], 62, []),
    ],
)
def test_blocks_are_of_values_whose_columns_fit(values: list[int], columns: int, blocks: list[int]) -> None:
    assert trials._blocks(values, columns) == blocks


def test_shared_columns_drop_what_was_used_longest_ago_and_stay_within_their_room() -> None:
    shared = SharedColumns(3 * 8 * len(BARS))
    for period in range(2, 30):
        compile_rules(Rules(entry_long=f"ema(close, {period}) > open")).signals(BARS, shared=shared)
        assert shared._bytes <= 3 * 8 * len(BARS)
    assert shared._bytes > 0


def test_scores_are_weighted_sums_of_trials_that_keep_the_constraints() -> None:
    columns = {name: np.zeros(4) for name in METRICS} | {
        "total_return": np.array([0.5, 0.9, 0.2, np.nan]),
        "sharpe_ratio": np.array([1.0, 2.0, 3.0, 1.0]),
        "trades": np.array([5.0, 1.0, 5.0, 5.0]),
        "max_drawdown": np.array([0.1, 0.1, 0.4, 0.1]),
    }
    terms = ((Objective.TOTAL_RETURN, 2.0), (Objective.SHARPE_RATIO, -1.0))
    scores = Goal(terms, min_trades=2, max_drawdown=0.4).scores(columns)
    assert np.array_equal(scores, [0.0, np.nan, -2.6, np.nan], equal_nan=True)
    assert np.isnan(Goal(terms, min_trades=2, max_drawdown=0.3).scores(columns)[2])
    assert best_of(scores) == 0
    assert best_of(np.array([1.0, 2.0, 2.0])) == 1
    assert best_of(np.array([np.nan])) is None


def test_trials_are_run_in_tiles_with_those_of_the_same_parameters_together() -> None:
    grid = [
        Trial({"fast": fast, "slow": slow, "source": "close"}, ExecutionSpec(stop_loss=stop))
        for fast in range(8)
        for slow in range(8)
        for stop in (None, 0.01)
    ]
    order = _by_tiles(grid, 100)
    assert sorted(order) == list(range(128))
    ran = [(grid[place].parameters["fast"], grid[place].parameters["slow"]) for place in order]
    assert all(ran[2 * k] == ran[2 * k + 1] for k in range(64))
    assert {pair[0] for pair in ran[:32]} == {pair[1] for pair in ran[:32]} == {0, 1, 2, 3}
