"""The kernel equals the reference simulator exactly, however the bars are fed to it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, FillModel, Sizing, SizingKind
from gql_trader.engine.kernel import layout
from gql_trader.engine.ledger import EXIT_REASONS, LEDGER_FLOATS, LEDGER_INTEGERS, Ledger
from gql_trader.engine.simulation import Simulation, run
from tests.engine.cases import Case, cases, part
from tests.engine.reference_simulator import ReferenceSimulator
from tests.factories.markets import bars_of, random_bars, random_signals, signals_at


def reference(case: Case) -> ReferenceSimulator:
    return ReferenceSimulator(case.spec, case.capital).run(case.bars, case.signals, case.start)


def rows(ledger: Ledger) -> list[tuple[object, ...]]:
    columns = [getattr(ledger, name).tolist() for name in (*LEDGER_INTEGERS, *LEDGER_FLOATS)]
    columns[1] = [EXIT_REASONS[number] for number in columns[1]]
    return list(zip(*columns, strict=True))


def reference_rows(expected: ReferenceSimulator) -> list[tuple[object, ...]]:
    names = (*LEDGER_INTEGERS, *LEDGER_FLOATS)
    return [tuple(getattr(trade, name) for name in names) for trade in expected.trades]


def assert_equals_reference(simulation: Simulation, expected: ReferenceSimulator) -> None:
    result = simulation.result()
    assert rows(result.ledger) == reference_rows(expected)
    assert result.equity.tolist() == expected.equity
    assert result.final_equity == expected.cash
    assert result.bars_in_position == expected.bars_in_position
    assert result.fees_paid == expected.fees_paid
    assert result.funding_paid == expected.funding_paid
    assert result.traded_notional == expected.traded_notional


@settings(max_examples=500, deadline=None)
@given(cases())
def test_all_bars_at_once(case: Case) -> None:
    result = run(case.bars, case.signals, case.spec, case.capital, case.start)
    expected = reference(case)
    assert rows(result.ledger) == reference_rows(expected)
    assert result.equity.tolist() == expected.equity
    assert result.final_equity == expected.cash
    assert result.bars_in_position == expected.bars_in_position
    assert result.fees_paid == expected.fees_paid
    assert result.funding_paid == expected.funding_paid
    assert result.traded_notional == expected.traded_notional


@settings(max_examples=200, deadline=None)
@given(cases())
def test_one_bar_at_a_time_in_windows_that_hold_nothing_else(case: Case) -> None:
    simulation = Simulation(case.spec, case.capital, case.start)
    for i in range(case.start, len(case.bars)):
        # Only the very first window needs the bar before it, whose signals fill at its open.
        begin = i - 1 if i == case.start and i > 0 else i
        simulation.advance(
            case.bars.slice(begin, i + 1), part(case.signals, begin, i + 1), i + 1, offset=begin
        )
    simulation.finish()
    assert_equals_reference(simulation, reference(case))


@settings(max_examples=200, deadline=None)
@given(cases(), st.lists(st.integers(0, 20), max_size=20))
def test_random_chunks(case: Case, lengths: list[int]) -> None:
    simulation = Simulation(case.spec, case.capital, case.start)
    for length in lengths:
        stop = min(simulation.next_bar + length, len(case.bars))
        simulation.advance(case.bars, case.signals, stop)
    simulation.advance(case.bars, case.signals)
    simulation.finish()
    assert_equals_reference(simulation, reference(case))


@settings(max_examples=200, deadline=None)
@given(cases(), st.integers(0, 60))
def test_state_exported_and_restored_in_the_middle(case: Case, bars: int) -> None:
    middle = min(case.start + bars, len(case.bars))
    first = Simulation(case.spec, case.capital, case.start)
    first.advance(case.bars, case.signals, middle)

    second = Simulation.restore(case.spec, first.export_state())
    second.advance(case.bars, case.signals)
    second.finish()

    expected = reference(case)
    done, rest = first.result(), second.result()
    assert rows(done.ledger) + rows(rest.ledger) == reference_rows(expected)
    whole = done.equity.tolist() + rest.equity.tolist()
    if middle == len(case.bars) and whole:
        whole[-1] = second.equity  # finishing marks the last bar, which the first simulation holds
    assert whole == expected.equity
    assert rest.final_equity == expected.cash
    assert rest.fees_paid == expected.fees_paid
    assert rest.funding_paid == expected.funding_paid


@pytest.mark.parametrize("fill", FillModel)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("density", [0.004, 0.3])
@pytest.mark.parametrize("trailing_stop", [None, 0.04])
def test_long_runs_with_more_trades_than_the_first_buffers_hold(
    fill: FillModel, direction: Direction, density: float, trailing_stop: float | None
) -> None:
    random = np.random.default_rng(7)
    spec = ExecutionSpec(
        fill,
        direction=direction,
        stop_loss=0.05,
        take_profit=0.08,
        trailing_stop=trailing_stop,
        taker_fee=0.0001,
    )
    case = Case(random_bars(random, 5_000), random_signals(random, 5_000, density), spec, 10_000.0, 3)
    expected = reference(case)
    if density == 0.3:
        assert len(expected.trades) > 2 * 256
    simulation = Simulation(spec, case.capital, case.start)
    simulation.advance(case.bars, case.signals)
    simulation.finish()
    assert_equals_reference(simulation, expected)


@pytest.mark.parametrize("fill", FillModel)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    "changes",
    [
        {"minimal_roi": ((0, 0.5), (300, 0.06), (3_000, 0.03), (9_000, 0.0))},
        {"max_daily_loss": 0.03, "daily_target": 0.05},
        {"max_daily_loss": 0.04, "minimal_roi": ((60, 0.2), (6_000, 0.05)), "trailing_stop": 0.1},
        {"max_daily_trades": 1, "cooldown_bars": 7, "daily_target": 0.04, "leverage": 3.0},
        {"funding_rate_per_day": 0.001, "daily_target": 0.1},
        {"max_drawdown": 0.25},
        {"max_drawdown": 0.2, "max_daily_loss": 0.04, "trailing_stop": 0.1},
    ],
)
def test_long_positions_under_tables_and_guards(
    fill: FillModel, direction: Direction, changes: dict[str, Any]
) -> None:
    random = np.random.default_rng(11)
    spec = ExecutionSpec(fill, direction=direction, taker_fee=0.0001, **changes)
    bars = random_bars(random, 1_500, volatility=0.004, missing=0.1, interval=1_800_000)
    case = Case(bars, random_signals(random, len(bars), 0.01), spec, 10_000.0, 3)
    expected = reference(case)
    assert len(expected.trades) > 5
    simulation = Simulation(spec, case.capital, case.start)
    for stop in (40, 1_000, 1_001, len(bars)):
        simulation.advance(case.bars, case.signals, stop)
    simulation.finish()
    assert_equals_reference(simulation, expected)


@pytest.mark.parametrize("zone", ["America/New_York", "America/St_Johns", "Asia/Kolkata"])
@pytest.mark.parametrize("fill", FillModel)
def test_days_of_a_time_zone_with_clocks_that_are_set_back(zone: str, fill: FillModel) -> None:
    # In St John's that happened a minute past midnight: the old day was shown once more.
    random = np.random.default_rng(5)
    spec = ExecutionSpec(
        fill, max_daily_loss=0.02, daily_target=0.03, max_daily_trades=3, taker_fee=0.0001, timezone=zone
    )
    bars = random_bars(random, 2_000, volatility=0.004, missing=0.05, interval=900_000)
    shift = int(datetime(2009, 10, 24, 0, 15, tzinfo=UTC).timestamp() * 1000) - int(bars.time[0])
    case = Case(
        replace(bars, time=bars.time + shift), random_signals(random, len(bars), 0.05), spec, 10_000.0, 3
    )
    expected = reference(case)
    assert ExitReason.DAILY_LIMIT in {trade.exit_reason for trade in expected.trades}
    in_utc = ReferenceSimulator(replace(spec, timezone=None), 10_000.0).run(case.bars, case.signals, 3)
    assert in_utc.trades != expected.trades
    simulation = Simulation(spec, case.capital, case.start)
    simulation.advance(case.bars, case.signals)
    simulation.finish()
    assert_equals_reference(simulation, expected)


@pytest.mark.parametrize("extra", [0, 1])
def test_two_trades_closed_by_one_bar_fit_wherever_the_buffer_ends(extra: int) -> None:
    # Enter; then reverse at the open and be stopped inside the same bar, over and over. One trade more or
    # less in front puts the pair on both sides of every end of the buffers.
    quiet, stopped = (100.0, 100.0, 100.0, 100.0), (100.0, 110.0, 100.0, 100.0)
    bars = bars_of([quiet] * (1 + 2 * extra) + [quiet, stopped] * 400)
    n, first = len(bars), 2 * extra
    signals = signals_at(
        n,
        entry_long=[*range(0, first, 2), *range(first, n - 1, 2)],
        exit_long=range(1, first, 2),
        entry_short=range(first + 1, n, 2),
    )
    spec = ExecutionSpec(direction=Direction.BOTH, stop_loss=0.05, sizing=Sizing(SizingKind.CASH, 1.0))
    case = Case(bars, signals, spec, 10_000.0, 0)
    expected = reference(case)
    assert len(expected.trades) == 800 + extra
    assert [trade.exit_index for trade in expected.trades[extra : extra + 2]] == [first + 2] * 2
    simulation = Simulation(spec, case.capital)
    simulation.advance(bars, signals)
    simulation.finish()
    assert_equals_reference(simulation, expected)


def test_random_cases_reach_every_exit_reason_on_both_sides() -> None:
    # What keeps the comparisons above from being empty.
    seen: set[tuple[int, ExitReason]] = set()
    spec = ExecutionSpec(
        direction=Direction.BOTH,
        stop_loss=0.05,
        take_profit=0.06,
        trailing_stop=0.055,
    )
    patient = ExecutionSpec(direction=Direction.BOTH, minimal_roi=((600, 0.02),), max_daily_loss=0.05)
    careful = ExecutionSpec(direction=Direction.BOTH, max_drawdown=0.1)
    wild = ExecutionSpec(direction=Direction.BOTH, leverage=3.0)
    for seed in range(12):
        random = np.random.default_rng(seed)
        for protected in (spec, patient, careful, wild):
            bars = random_bars(random, 300, volatility=0.15 if protected is wild else 0.02)
            case = Case(bars, random_signals(random, 300, 0.02), protected, 10_000.0, 0)
            seen |= {(trade.side, trade.exit_reason) for trade in reference(case).trades}
    assert {reason for side, reason in seen if side < 0} == set(ExitReason)
    assert {reason for side, reason in seen if side > 0} == set(ExitReason)


def test_exit_reasons_have_the_numbers_that_the_kernel_writes() -> None:
    assert EXIT_REASONS[layout.BY_SIGNAL] is ExitReason.SIGNAL
    assert EXIT_REASONS[layout.BY_STOP_LOSS] is ExitReason.STOP_LOSS
    assert EXIT_REASONS[layout.BY_TAKE_PROFIT] is ExitReason.TAKE_PROFIT
    assert EXIT_REASONS[layout.BY_TRAILING_STOP] is ExitReason.TRAILING_STOP
    assert EXIT_REASONS[layout.BY_ROI] is ExitReason.ROI
    assert EXIT_REASONS[layout.BY_DAILY_LIMIT] is ExitReason.DAILY_LIMIT
    assert EXIT_REASONS[layout.BY_LIQUIDATION] is ExitReason.LIQUIDATION
    assert EXIT_REASONS[layout.AT_END_OF_DATA] is ExitReason.END_OF_DATA
    assert EXIT_REASONS[layout.BY_MAX_DRAWDOWN] is ExitReason.MAX_DRAWDOWN
