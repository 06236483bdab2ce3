"""Walk-forward: parameters are chosen on what came before, and only what came after is the result."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gql_trader.backtests.execution import execution_to_json
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import DomainErrors, InvalidInput
from gql_trader.core.intervals import DAY
from gql_trader.engine import metrics, simulation
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.rules import Parameter, ParameterType, Rules, compile_rules
from gql_trader.engine.search.scoring import METRICS
from gql_trader.engine.search.space import Axis, Space
from gql_trader.engine.search.trials import Setting
from gql_trader.engine.trading_days import TradingDays
from gql_trader.infra.column_codec import decode_columns
from gql_trader.optimizations import planning, repository, running
from gql_trader.optimizations.ranges import axes_to_json
from gql_trader.optimizations.types import ChunkKind, SearchMethod, WalkForward
from gql_trader.optimizations.walking import walk
from gql_trader.optimizations.windows import Window, plan_windows, windows_of, windows_to_json
from tests.factories.candles import random_bars
from tests.factories.optimizations import Searches, assert_same

BARS = random_bars(1_500, seed=7)
START = datetime(2024, 1, 1, tzinfo=UTC)
LOOKBACK = 31


def _day(number: float) -> int:
    return to_milliseconds(START) + int(number * DAY)


def test_windows_roll_or_grow_and_tests_follow_each_other_without_a_gap() -> None:
    end = START + timedelta(days=62.5)
    rolling = plan_windows(BARS.time, START, end, WalkForward(20, 10))
    assert rolling == [
        Window(_day(0), _day(20), _day(30)),
        Window(_day(10), _day(30), _day(40)),
        Window(_day(20), _day(40), _day(50)),
        Window(_day(30), _day(50), _day(60)),
        Window(_day(40), _day(60), _day(62.5) + 1),
    ]
    anchored = plan_windows(BARS.time, START, end, WalkForward(20, 10, anchored=True))
    assert [each.train_start for each in anchored] == [_day(0)] * 5
    assert [each.test_start for each in anchored] == [each.test_start for each in rolling]
    assert plan_windows(BARS.time, START, end, WalkForward(63, 10)) == []


def test_windows_without_bars_are_left_out() -> None:
    kept = (BARS.time < _day(25)) | (BARS.time >= _day(45))
    windows = plan_windows(BARS.time[kept], START, START + timedelta(days=62), WalkForward(10, 10))
    # From day 25 to 45 nothing was traded: no test on days 30 to 40, and none behind it without a training.
    assert [(each.test_start - _day(0)) // DAY for each in windows] == [10, 20, 50, 60]


RULES = compile_rules(
    Rules(
        entry_long="crossover(ema(close, fast), ema(close, slow))",
        exit_long="crossunder(ema(close, fast), ema(close, slow))",
    ),
    (Parameter("fast", ParameterType.INT, 5), Parameter("slow", ParameterType.INT, 20)),
)
SPACE = Space((Axis("fast", (3, 5, 8)), Axis("slow", (20, 30))))


def _search(windows: list[Window]) -> Any:
    return SimpleNamespace(
        walk_forward=windows_to_json(WalkForward(20, 10), windows),
        trials_total=6 * len(windows),
        method=SearchMethod.GRID.value,
        seed=1,
        axes=axes_to_json(SPACE),
        objectives=[{"metric": "TOTAL_RETURN", "weight": 1.0}],
        min_trades=1,
        max_drawdown=None,
        parameters={"fast": 5, "slow": 20},
        execution=execution_to_json(ExecutionSpec(stop_loss=0.03)),
        warmup_bars=LOOKBACK - 1,
    )


def _run(bars: Bars) -> tuple[Any, list[Any], Setting, Any]:
    """Return a search, its chunks as they would be stored, its setting and its walk."""
    windows = plan_windows(BARS.time, START, START + timedelta(days=62.5), WalkForward(20, 10))
    search = _search(windows)
    setting = Setting(bars, 0, RULES, 10_000.0, TradingDays.EVERY_DAY)
    chunks = []
    for chunk in planning.plan_chunks(6, [480] * len(windows)):
        if chunk.kind is ChunkKind.TRIALS:
            row = SimpleNamespace(first_trial=chunk.first, trial_count=chunk.count)
            found = running.compute_trials(search, row, [], setting, lambda _: None)  # type: ignore[arg-type]
            chunks.append(
                SimpleNamespace(
                    first_trial=chunk.first,
                    trial_count=chunk.count,
                    scores=found.scores,
                    trials=found.trials,
                )
            )
    walked = walk(search, chunks, setting, LOOKBACK, lambda _: None)  # type: ignore[arg-type]
    return search, chunks, setting, walked


def test_the_curve_is_the_chain_of_the_tests_each_with_the_best_of_its_training() -> None:
    search, chunks, _, walked = _run(BARS)
    capital, curve = 10_000.0, []
    for number, window in enumerate(windows_of(search)):
        scores = [decode_columns(row.scores)["score"] for row in chunks]
        inside = np.concatenate(scores)[number * 6 : number * 6 + 6]
        best = int(np.nanargmax(inside))
        values: dict[str, Any] = SPACE.values(SPACE.grid(best, 1)[0].tolist())
        assert walked.windows[number]["trial"] == number * 6 + best + 1
        assert walked.windows[number]["values"] == values
        low, high = np.searchsorted(BARS.time, (window.test_start, window.test_end))
        part = BARS.slice(low - LOOKBACK, high)
        result = simulation.run(
            part, RULES.signals(part, values), ExecutionSpec(stop_loss=0.03), capital, LOOKBACK
        )
        assert (result.ledger.entry_time >= window.test_start).all()
        assert (result.ledger.exit_time <= window.test_end).all()
        measured = metrics.compute(result, BARS.slice(low, high), TradingDays.EVERY_DAY)
        assert walked.windows[number]["outOfSample"]["total_return"] == measured.total_return
        capital = result.final_equity
        curve.append(result.equity)
    assert np.array_equal(walked.equity, np.concatenate(curve))
    assert walked.time[0] == windows_of(search)[0].test_start
    assert np.array_equal(walked.time, BARS.time[BARS.time >= walked.time[0]])
    assert walked.metrics["total_return"] == capital / 10_000.0 - 1.0
    assert walked.metrics["trades"] == sum(each["outOfSample"]["trades"] for each in walked.windows)


@pytest.mark.parametrize("number", [0, 2])
def test_nothing_that_comes_later_changes_a_choice_or_a_test(number: int) -> None:
    search, _, _, walked = _run(BARS)
    window = windows_of(search)[number]
    # From the first bar of the test on, everything is different.
    changed = _different_from(BARS, window.test_start)
    _, _, _, other = _run(changed)
    before, after = walked.windows, other.windows
    for place in range(number + 1):
        assert after[place]["trial"] == before[place]["trial"]
        assert after[place]["inSample"] == before[place]["inSample"]
    for place in range(number):
        assert after[place] == before[place]
    assert after[number]["outOfSample"] != before[number]["outOfSample"]
    # From the end of the test on.
    _, _, _, later = _run(_different_from(BARS, window.test_end))
    assert later.windows[: number + 1] == before[: number + 1]
    done = np.searchsorted(walked.time, window.test_end)
    assert np.array_equal(later.equity[:done], walked.equity[:done])
    assert not np.array_equal(later.equity[done:], walked.equity[done:])


def _different_from(bars: Bars, moment: int) -> Bars:
    wave = np.where(bars.time >= moment, 1.3 + 0.2 * np.sin(np.arange(len(bars)) / 9.0), 1.0)
    close = bars.close * wave
    open_ = bars.open * wave
    return replace(
        bars,
        open=open_,
        close=close,
        high=np.maximum(bars.high * wave, np.maximum(open_, close)),
        low=np.minimum(bars.low * wave, np.minimum(open_, close)),
    )


async def test_a_walk_through_workers_is_the_same_for_any_method_and_number_of_workers(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MOST_TRIALS", 4)
    wanted: dict[str, Any] = {"walk_forward": WalkForward(30, 15)}
    for method, trials in ((SearchMethod.GRID, None), (SearchMethod.TPE, 12)):
        row = await searches.complete(**wanted, method=method, trials=trials)
        assert (row.status, row.trials_total) == ("COMPLETED", 4 * (trials or 18)), row.error
        again, _ = await searches.submit(**wanted, method=method, trials=trials, force=True)
        while numbers := await searches.queued(again.id):
            await running_chunk(searches, again.id, numbers[-1])
        assert_same(await searches.figures(again.id), await searches.figures(row.id))
        async with searches.desk.runtime.unit_of_work() as uow:
            reports = await repository.reports(uow.session, [row.id, again.id])
        assert reports[row.id].summary == reports[again.id].summary
        assert reports[row.id].equity == reports[again.id].equity
        assert set(reports[row.id].summary["metrics"]) == set(METRICS)


async def running_chunk(searches: Searches, key: Any, number: int) -> None:
    """Run one chunk as a worker would."""
    from gql_trader.optimizations.jobs import run_chunk

    await run_chunk({"runtime": searches.desk.runtime}, str(key), number)


async def test_windows_that_do_not_fit_are_refused(searches: Searches) -> None:
    for days, path in (((90, 10), "trainDays"), ((1, 0), "testDays"), ((0, 1), "trainDays")):
        with pytest.raises((InvalidInput, DomainErrors)) as refusal:
            await searches.submit(walk_forward=WalkForward(*days))
        errors: Any = getattr(refusal.value, "errors", (refusal.value,))
        assert [error.path for error in errors] == [("walkForward", path)]
