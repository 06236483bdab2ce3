"""What the simulation does, by examples worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import (
    Direction,
    ExecutionSpec,
    ExitReason,
    FillModel,
    Side,
    Sizing,
    SizingKind,
)
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import (
    CorruptStateError,
    Result,
    Simulation,
    SimulationStoppedError,
    run,
)
from tests.factories.markets import HOUR, START, bars_of, exits, random_bars, random_signals, signals_at

CAPITAL = 1_000.0


def free(**changes: object) -> ExecutionSpec:
    """A spec without costs."""
    return ExecutionSpec(**({"maker_fee": 0.0, "taker_fee": 0.0} | changes))  # type: ignore[arg-type]


FLAT = (100.0, 100.0, 100.0, 100.0)


def test_signal_fills_at_the_next_open() -> None:
    rows = [FLAT, (125.0, 140.0, 120.0, 130.0), (150.0, 150.0, 140.0, 145.0), (90.0, 90.0, 90.0, 90.0)]
    result = run(bars_of(rows), signals_at(4, entry_long=[0], exit_long=[1]), free(), CAPITAL)

    ledger = result.ledger
    assert len(ledger) == 1
    assert ledger.side_of(0) is Side.LONG
    assert ledger.exit_reason_of(0) is ExitReason.SIGNAL
    assert (ledger.entry_index[0], ledger.exit_index[0], ledger.bars[0]) == (1, 2, 1)
    assert (ledger.entry_price[0], ledger.exit_price[0]) == (125.0, 150.0)
    assert (ledger.entry_time[0], ledger.exit_time[0]) == (START + HOUR, START + 2 * HOUR)
    assert ledger.quantity[0] == 8.0
    assert (ledger.profit[0], ledger.profit_fraction[0], ledger.equity_after[0]) == (200.0, 0.2, 1_200.0)
    assert (ledger.max_favorable[0], ledger.max_adverse[0]) == (0.2, 0.04)
    assert result.equity.tolist() == [1_000.0, 1_040.0, 1_200.0, 1_200.0]
    assert (result.final_equity, result.traded_notional, result.fees_paid) == (1_200.0, 2_200.0, 0.0)
    assert result.bars_in_position == 1


def test_close_fill_takes_the_signals_own_close() -> None:
    bars = bars_of([FLAT, (100.0, 120.0, 100.0, 120.0), (130.0, 140.0, 130.0, 140.0)])
    spec = free(fill=FillModel.CLOSE)
    ledger = run(bars, signals_at(3, entry_long=[0], exit_long=[1]), spec, CAPITAL).ledger

    assert (ledger.entry_price[0], ledger.exit_price[0]) == (100.0, 120.0)
    assert (ledger.entry_index[0], ledger.exit_index[0], ledger.bars[0]) == (0, 1, 1)
    assert (ledger.entry_time[0], ledger.exit_time[0]) == (START + HOUR, START + 2 * HOUR)


def test_taker_fees_and_slippage_are_paid_on_both_market_fills() -> None:
    bars = bars_of([FLAT, FLAT, (200.0, 200.0, 200.0, 200.0)])
    spec = ExecutionSpec(
        maker_fee=0.05, taker_fee=0.01, slippage=0.1, sizing=Sizing(SizingKind.QUANTITY, 2.0)
    )
    result = run(bars, signals_at(3, entry_long=[0], exit_long=[1]), spec, CAPITAL)

    ledger = result.ledger
    assert ledger.entry_price[0] == pytest.approx(110.0, abs=1e-12)
    assert ledger.exit_price[0] == pytest.approx(180.0, abs=1e-12)
    assert ledger.fees[0] == pytest.approx(2 * 110 * 0.01 + 2 * 180 * 0.01, abs=1e-12)  # 5.80
    assert ledger.profit[0] == pytest.approx(2 * (180 - 110) - 5.8, abs=1e-12)  # 134.20
    assert ledger.profit_fraction[0] == pytest.approx(134.2 / (220 + 2.2), abs=1e-15)
    assert result.fees_paid == pytest.approx(5.8, abs=1e-12)
    assert result.traded_notional == pytest.approx(220 + 360, abs=1e-12)
    assert result.final_equity == pytest.approx(1_134.2, abs=1e-12)


def test_take_profit_is_a_limit_order_with_maker_fee_and_no_slippage() -> None:
    bars = bars_of([FLAT, (100.0, 112.0, 100.0, 105.0), FLAT])
    spec = ExecutionSpec(
        maker_fee=0.001,
        taker_fee=0.0,
        slippage=0.0,
        take_profit=0.1,
        sizing=Sizing(SizingKind.QUANTITY, 1.0),
    )
    ledger = run(bars, signals_at(3, entry_long=[0]), spec, CAPITAL).ledger

    [(index, reason, price)] = exits(ledger)
    assert (index, reason) == (1, ExitReason.TAKE_PROFIT)
    assert price == 100.0 * 1.1
    assert ledger.fees[0] == 100.0 * 1.1 * 0.001
    # Slippage of the entry moves the target, which is anchored at the entry's price, but not its fill.
    slipping = ExecutionSpec(slippage=0.05, take_profit=0.1, sizing=Sizing(SizingKind.QUANTITY, 1.0))
    wide = bars_of([FLAT, (100.0, 120.0, 100.0, 105.0), FLAT])
    [(_, _, price)] = exits(run(wide, signals_at(3, entry_long=[0]), slipping, CAPITAL).ledger)
    assert price == 100.0 * 1.05 * 1.1


def test_stop_fills_at_its_level_inside_the_bar() -> None:
    bars = bars_of([FLAT, FLAT, (99.0, 99.0, 90.0, 98.0), FLAT])
    result = run(bars, signals_at(4, entry_long=[0]), free(stop_loss=0.05), CAPITAL)
    assert exits(result.ledger) == [(2, ExitReason.STOP_LOSS, 95.0)]
    assert result.ledger.exit_time[0] == START + 3 * HOUR
    assert result.ledger.bars[0] == 2


def test_stop_fills_at_open_when_bar_gaps_through_it() -> None:
    bars = bars_of([FLAT, FLAT, (90.0, 96.0, 89.0, 95.0), FLAT])
    result = run(bars, signals_at(4, entry_long=[0]), free(stop_loss=0.05), CAPITAL)
    assert exits(result.ledger) == [(2, ExitReason.STOP_LOSS, 90.0)]
    assert result.ledger.exit_time[0] == START + 2 * HOUR
    assert result.ledger.bars[0] == 1
    assert result.bars_in_position == 1


def test_take_profit_keeps_the_better_price_of_a_gap() -> None:
    bars = bars_of([FLAT, FLAT, (120.0, 121.0, 119.0, 120.0), FLAT])
    ledger = run(bars, signals_at(4, entry_long=[0]), free(take_profit=0.1), CAPITAL).ledger
    assert exits(ledger) == [(2, ExitReason.TAKE_PROFIT, 120.0)]


def test_stop_is_taken_when_stop_and_target_are_both_inside_one_bar() -> None:
    bars = bars_of([FLAT, FLAT, (100.0, 120.0, 80.0, 110.0), FLAT])
    spec = free(stop_loss=0.05, take_profit=0.1)
    assert exits(run(bars, signals_at(4, entry_long=[0]), spec, CAPITAL).ledger) == [
        (2, ExitReason.STOP_LOSS, 95.0)
    ]


def test_target_at_the_open_comes_before_a_stop_inside_the_same_bar() -> None:
    bars = bars_of([FLAT, FLAT, (115.0, 120.0, 80.0, 110.0), FLAT])
    spec = free(stop_loss=0.05, take_profit=0.1)
    assert exits(run(bars, signals_at(4, entry_long=[0]), spec, CAPITAL).ledger) == [
        (2, ExitReason.TAKE_PROFIT, 115.0)
    ]


def test_stop_works_on_the_entry_bar() -> None:
    bars = bars_of([FLAT, (100.0, 101.0, 90.0, 100.0), FLAT])
    result = run(bars, signals_at(3, entry_long=[0]), free(stop_loss=0.05), CAPITAL)
    assert exits(result.ledger) == [(1, ExitReason.STOP_LOSS, 95.0)]
    assert result.ledger.entry_index[0] == 1
    assert result.ledger.bars[0] == 1


def test_stop_does_not_see_the_bar_whose_close_was_the_entry() -> None:
    bars = bars_of([(100.0, 130.0, 50.0, 100.0), FLAT, FLAT])
    spec = free(fill=FillModel.CLOSE, stop_loss=0.05, take_profit=0.05)
    assert exits(run(bars, signals_at(3, entry_long=[0]), spec, CAPITAL).ledger) == [
        (2, ExitReason.END_OF_DATA, 100.0)
    ]


def test_stop_that_slippage_put_beyond_the_open_fills_at_the_open_not_above_the_bar() -> None:
    bars = bars_of([FLAT, FLAT, FLAT])
    spec = free(slippage=0.1, stop_loss=0.01, sizing=Sizing(SizingKind.QUANTITY, 1.0))
    ledger = run(bars, signals_at(3, entry_long=[0]), spec, CAPITAL).ledger
    # Bought at 110, so the level is 108.9; the market never was there. Sold at 100 less slippage.
    assert exits(ledger) == [(1, ExitReason.STOP_LOSS, 90.0)]


def test_touching_a_level_exactly_is_meeting_it() -> None:
    bars = bars_of([FLAT, (100.0, 100.0, 95.0, 100.0), FLAT])
    assert exits(run(bars, signals_at(3, entry_long=[0]), free(stop_loss=0.05), CAPITAL).ledger) == [
        (1, ExitReason.STOP_LOSS, 95.0)
    ]
    bars = bars_of([FLAT, (100.0, 125.0, 100.0, 100.0), FLAT])
    assert exits(run(bars, signals_at(3, entry_long=[0]), free(take_profit=0.25), CAPITAL).ledger) == [
        (1, ExitReason.TAKE_PROFIT, 125.0)
    ]


@pytest.mark.parametrize(
    ("open_", "changes", "reason"),
    [
        (75.0, {"stop_loss": 0.25}, ExitReason.STOP_LOSS),
        (75.0, {"trailing_stop": 0.25}, ExitReason.TRAILING_STOP),
        (125.0, {"take_profit": 0.25}, ExitReason.TAKE_PROFIT),
    ],
)
def test_an_open_exactly_at_a_level_fills_at_the_open_before_any_signal(
    open_: float, changes: dict[str, float], reason: ExitReason
) -> None:
    bars = bars_of([FLAT, FLAT, (open_, open_, open_, open_), FLAT])
    ledger = run(bars, signals_at(4, entry_long=[0], exit_long=[1]), free(**changes), CAPITAL).ledger
    assert exits(ledger) == [(2, reason, open_)]
    assert (ledger.exit_time[0], ledger.bars[0]) == (START + 2 * HOUR, 1)


def test_a_short_whose_price_opens_exactly_doubled_is_liquidated_at_the_open() -> None:
    bars = bars_of([FLAT, FLAT, (200.0, 200.0, 200.0, 200.0), FLAT])
    signals = signals_at(4, entry_short=[0], exit_short=[1])
    ledger = run(bars, signals, free(direction=Direction.SHORT), CAPITAL).ledger
    assert exits(ledger) == [(2, ExitReason.LIQUIDATION, 200.0)]
    assert ledger.exit_time[0] == START + 2 * HOUR


def test_trailing_stop_never_sees_its_own_bar() -> None:
    # The bar's high of 120 would put the level at 108, above its low; but it holds only from the next bar.
    bars = bars_of([FLAT, FLAT, (100.0, 120.0, 100.0, 119.0), (119.0, 119.0, 107.0, 110.0), FLAT])
    ledger = run(bars, signals_at(5, entry_long=[0]), free(trailing_stop=0.1), CAPITAL).ledger
    assert exits(ledger) == [(3, ExitReason.TRAILING_STOP, 108.0)]


def test_trailing_stop_does_not_fall_back() -> None:
    rows = [
        FLAT,
        FLAT,
        (100.0, 120.0, 100.0, 115.0),
        (115.0, 116.0, 110.0, 112.0),
        (112.0, 112.0, 105.0, 106.0),
    ]
    ledger = run(bars_of(rows), signals_at(5, entry_long=[0]), free(trailing_stop=0.1), CAPITAL).ledger
    assert exits(ledger) == [(4, ExitReason.TRAILING_STOP, 108.0)]


def test_trailing_stop_starts_at_its_distance_from_the_entry() -> None:
    bars = bars_of([FLAT, (100.0, 100.0, 89.0, 95.0), FLAT])
    ledger = run(bars, signals_at(3, entry_long=[0]), free(trailing_stop=0.1), CAPITAL).ledger
    assert exits(ledger) == [(1, ExitReason.TRAILING_STOP, 90.0)]


def test_nearer_of_two_stops_fills_and_the_fixed_one_wins_a_tie() -> None:
    bars = bars_of([FLAT, (100.0, 100.0, 80.0, 95.0), FLAT])

    def reason(stop_loss: float, trailing_stop: float) -> tuple[int, ExitReason, float]:
        spec = free(stop_loss=stop_loss, trailing_stop=trailing_stop)
        return exits(run(bars, signals_at(3, entry_long=[0]), spec, CAPITAL).ledger)[0]

    assert reason(0.1, 0.05) == (1, ExitReason.TRAILING_STOP, 95.0)
    assert reason(0.05, 0.1) == (1, ExitReason.STOP_LOSS, 95.0)
    assert reason(0.1, 0.1) == (1, ExitReason.STOP_LOSS, 90.0)


def test_open_below_both_stops_is_the_fixed_stop() -> None:
    rows = [FLAT, (100.0, 120.0, 100.0, 119.0), (85.0, 86.0, 84.0, 85.0), FLAT]
    spec = free(stop_loss=0.1, trailing_stop=0.1)
    assert exits(run(bars_of(rows), signals_at(4, entry_long=[0]), spec, CAPITAL).ledger) == [
        (2, ExitReason.STOP_LOSS, 85.0)
    ]


def test_stop_beyond_the_open_comes_before_a_signal_and_the_signal_lapses() -> None:
    rows = [FLAT, FLAT, (90.0, 90.0, 90.0, 90.0), (90.0, 90.0, 90.0, 90.0)]
    spec = free(stop_loss=0.05, direction=Direction.BOTH)
    result = run(bars_of(rows), signals_at(4, entry_long=[0], entry_short=[1]), spec, CAPITAL)
    assert exits(result.ledger) == [(2, ExitReason.STOP_LOSS, 90.0)]


def test_signal_at_the_open_comes_before_a_stop_inside_the_bar() -> None:
    rows = [FLAT, FLAT, (99.0, 99.0, 50.0, 60.0), FLAT]
    result = run(bars_of(rows), signals_at(4, entry_long=[0], exit_long=[1]), free(stop_loss=0.05), CAPITAL)
    assert exits(result.ledger) == [(2, ExitReason.SIGNAL, 99.0)]


def test_entry_after_a_stop_inside_the_bar_waits_for_the_next_open() -> None:
    rows = [FLAT, FLAT, (100.0, 100.0, 90.0, 92.0), (93.0, 93.0, 93.0, 93.0)]
    result = run(bars_of(rows), signals_at(4, entry_long=[0, 2]), free(stop_loss=0.05), CAPITAL)
    assert result.ledger.entry_index.tolist() == [1, 3]
    assert result.ledger.entry_price.tolist() == [100.0, 93.0]


def test_exit_wins_over_an_entry_on_the_same_bar() -> None:
    bars = bars_of([FLAT] * 5)
    held = run(bars, signals_at(5, entry_long=[0, 2], exit_long=[2]), free(), CAPITAL)
    assert exits(held.ledger) == [(3, ExitReason.SIGNAL, 100.0)]
    flat = run(bars, signals_at(5, entry_long=[2], exit_long=[2]), free(), CAPITAL)
    assert len(flat.ledger) == 0


def test_entries_of_both_sides_on_the_same_bar_cancel_each_other() -> None:
    bars = bars_of([FLAT] * 5)
    spec = free(direction=Direction.BOTH)
    assert len(run(bars, signals_at(5, entry_long=[1], entry_short=[1]), spec, CAPITAL).ledger) == 0
    held = run(bars, signals_at(5, entry_long=[0, 2], entry_short=[2]), spec, CAPITAL)
    assert exits(held.ledger) == [(4, ExitReason.END_OF_DATA, 100.0)]


def test_opposite_signal_reverses_at_the_open_with_both() -> None:
    rows = [FLAT, FLAT, (110.0, 110.0, 110.0, 110.0), (110.0, 110.0, 99.0, 99.0)]
    spec = free(direction=Direction.BOTH)
    result = run(bars_of(rows), signals_at(4, entry_long=[0], entry_short=[1]), spec, CAPITAL)

    ledger = result.ledger
    assert [ledger.side_of(0), ledger.side_of(1)] == [Side.LONG, Side.SHORT]
    assert (ledger.exit_index[0], ledger.entry_index[1]) == (2, 2)
    assert (ledger.exit_price[0], ledger.entry_price[1]) == (110.0, 110.0)
    assert ledger.equity_after.tolist() == [1_100.0, 1_210.0]
    assert result.equity.tolist() == [1_000.0, 1_000.0, 1_100.0, 1_210.0]
    assert result.bars_in_position == 3


@pytest.mark.parametrize(("direction", "sides"), [(Direction.LONG, [1]), (Direction.SHORT, [-1])])
def test_a_direction_that_is_not_allowed_neither_opens_nor_closes(
    direction: Direction, sides: list[int]
) -> None:
    bars = bars_of([FLAT] * 6)
    signals = signals_at(6, entry_long=[0, 2], entry_short=[1, 3])
    ledger = run(bars, signals, free(direction=direction), CAPITAL).ledger
    assert ledger.side.tolist() == sides
    assert ledger.exit_reason_of(0) is ExitReason.END_OF_DATA


def test_open_position_is_closed_at_the_last_close_as_a_market_order() -> None:
    bars = bars_of([FLAT, (100.0, 120.0, 100.0, 110.0)])
    spec = ExecutionSpec(taker_fee=0.01, slippage=0.1, sizing=Sizing(SizingKind.QUANTITY, 1.0))
    result = run(bars, signals_at(2, entry_long=[0]), spec, CAPITAL)
    [(index, reason, price)] = exits(result.ledger)
    assert (index, reason) == (1, ExitReason.END_OF_DATA)
    assert price == pytest.approx(99.0, abs=1e-12)
    assert result.final_equity == pytest.approx(1_000 - 11 - 1.1 - 0.99, abs=1e-12)
    assert result.equity[-1] == result.final_equity
    assert result.ledger.exit_time[0] == START + 2 * HOUR


def test_signal_of_the_last_bar_never_fills_at_an_open() -> None:
    assert len(run(bars_of([FLAT] * 3), signals_at(3, entry_long=[2]), free(), CAPITAL).ledger) == 0


def test_nothing_trades_before_the_start_but_the_bar_before_it_may_signal() -> None:
    bars = bars_of([FLAT] * 6)
    result = run(bars, signals_at(6, entry_long=[1], exit_long=[2]), free(), CAPITAL, start=3)
    assert len(result.ledger) == 0
    assert (result.start, len(result.equity)) == (3, 3)
    assert run(bars, signals_at(6, entry_long=[2]), free(), CAPITAL, start=3).ledger.entry_index.tolist() == [
        3
    ]


def test_short_gains_when_the_price_falls_and_mirrors_the_levels() -> None:
    rows = [FLAT, FLAT, (100.0, 101.0, 79.0, 80.0), (100.0, 106.0, 79.0, 100.0)]
    signals = signals_at(4, entry_short=[0], exit_short=[1])
    result = run(bars_of(rows[:3]), signals_at(3, entry_short=[0]), free(direction=Direction.SHORT), CAPITAL)
    assert result.ledger.profit[0] == 200.0
    assert result.ledger.max_favorable[0] == 0.21
    assert result.ledger.max_adverse[0] == 0.01

    stopped = free(direction=Direction.SHORT, stop_loss=0.05, take_profit=0.2)
    assert exits(
        run(bars_of([FLAT, rows[3], FLAT]), signals_at(3, entry_short=[0]), stopped, CAPITAL).ledger
    ) == [(1, ExitReason.STOP_LOSS, 105.0)]
    target = free(direction=Direction.SHORT, take_profit=0.2)
    assert exits(
        run(bars_of([FLAT, rows[3], FLAT]), signals_at(3, entry_short=[0]), target, CAPITAL).ledger
    ) == [(1, ExitReason.TAKE_PROFIT, 80.0)]
    trailing = free(direction=Direction.SHORT, trailing_stop=0.1)
    falling = bars_of([FLAT, (100.0, 100.0, 50.0, 54.0), (54.0, 56.0, 54.0, 56.0)])
    [(index, reason, price)] = exits(run(falling, signals_at(3, entry_short=[0]), trailing, CAPITAL).ledger)
    assert (index, reason) == (2, ExitReason.TRAILING_STOP)
    assert price == pytest.approx(55.0, abs=1e-12)
    assert len(signals) == 4


def test_short_loses_its_margin_and_no_more_when_the_price_doubles() -> None:
    rows = [FLAT, FLAT, (150.0, 230.0, 150.0, 220.0), FLAT]
    spec = ExecutionSpec(
        direction=Direction.SHORT, taker_fee=0.01, slippage=0.02, sizing=Sizing(SizingKind.QUANTITY, 4.0)
    )
    result = run(bars_of(rows), signals_at(4, entry_short=[0]), spec, CAPITAL)
    ledger = result.ledger
    assert ledger.exit_reason_of(0) is ExitReason.LIQUIDATION
    assert ledger.exit_price[0] == 2 * 98.0 * 1.02
    assert ledger.profit[0] == -(4 * 98.0 + 4 * 98.0 * 0.01)
    assert ledger.profit_fraction[0] == -1.0
    # Nothing of the margin is left to pay the exit's fee from.
    assert ledger.fees[0] == result.fees_paid == 4 * 98.0 * 0.01
    assert result.final_equity == 1_000 - 4 * 98.0 * 1.01


def test_short_is_liquidated_at_the_open_of_a_gap_over_twice_its_price() -> None:
    rows = [FLAT, FLAT, (300.0, 300.0, 300.0, 300.0), FLAT]
    result = run(bars_of(rows), signals_at(4, entry_short=[0]), free(direction=Direction.SHORT), CAPITAL)
    assert exits(result.ledger) == [(2, ExitReason.LIQUIDATION, 300.0)]
    assert result.equity.tolist() == [1_000.0, 1_000.0, 0.0, 0.0]


def test_an_account_without_money_does_not_trade() -> None:
    rows = [FLAT, FLAT, (300.0, 300.0, 300.0, 300.0), FLAT, FLAT, FLAT]
    signals = signals_at(6, entry_short=[0, 3, 4])
    assert len(run(bars_of(rows), signals, free(direction=Direction.SHORT), CAPITAL).ledger) == 1


@pytest.mark.parametrize(
    ("sizing", "quantity"),
    [
        (Sizing(SizingKind.EQUITY_FRACTION, 1.0), 1_000 / (100 * 1.01)),
        (Sizing(SizingKind.EQUITY_FRACTION, 0.5), 500 / (100 * 1.01)),
        (Sizing(SizingKind.CASH, 300.0), 3.0),
        (Sizing(SizingKind.CASH, 5_000.0), 1_000 / (100 * 1.01)),
        (Sizing(SizingKind.QUANTITY, 2.5), 2.5),
        (Sizing(SizingKind.QUANTITY, 50.0), 1_000 / (100 * 1.01)),
    ],
)
def test_sizes(sizing: Sizing, quantity: float) -> None:
    spec = ExecutionSpec(taker_fee=0.01, sizing=sizing)
    ledger = run(bars_of([FLAT] * 3), signals_at(3, entry_long=[0]), spec, CAPITAL).ledger
    assert ledger.quantity[0] == pytest.approx(quantity, rel=1e-15)
    assert ledger.quantity[0] * 100 * 1.01 <= CAPITAL


def test_equity_fraction_grows_with_the_account() -> None:
    rows = [FLAT, FLAT, (120.0, 120.0, 120.0, 120.0), (120.0, 120.0, 120.0, 120.0), FLAT]
    spec = free(sizing=Sizing(SizingKind.EQUITY_FRACTION, 0.5))
    ledger = run(bars_of(rows), signals_at(5, entry_long=[0, 2], exit_long=[1]), spec, CAPITAL).ledger
    assert ledger.quantity.tolist() == [5.0, 550 / 120]


def test_amounts_that_the_ledger_cannot_show_are_not_traded() -> None:
    bars = bars_of([FLAT] * 3)
    spec = free(sizing=Sizing(SizingKind.QUANTITY, 9e-9))
    assert len(run(bars, signals_at(3, entry_long=[0]), spec, CAPITAL).ledger) == 0


def test_largest_moves_count_bars_held_to_their_close_and_the_exits_own_price() -> None:
    rows = [FLAT, (100.0, 108.0, 97.0, 105.0), (105.0, 140.0, 90.0, 100.0), FLAT]
    ledger = run(bars_of(rows), signals_at(4, entry_long=[0]), free(stop_loss=0.05), CAPITAL).ledger
    # In the bar of the stop neither 140 nor 90 is known to have come while the position was open.
    assert exits(ledger) == [(2, ExitReason.STOP_LOSS, 95.0)]
    assert ledger.max_favorable[0] == 0.08
    assert ledger.max_adverse[0] == 0.05


def test_gaps_between_bars_change_times_only() -> None:
    bars = bars_of([FLAT, FLAT, FLAT])
    time = bars.time + np.array([0, 0, 5 * HOUR])
    gapped = Bars(time, bars.open, bars.high, bars.low, bars.close, bars.volume, HOUR)
    ledger = run(gapped, signals_at(3, entry_long=[0]), free(), CAPITAL).ledger
    assert (ledger.bars[0], ledger.exit_time[0]) == (2, START + 8 * HOUR)


def test_columns_mapped_read_only_are_taken_as_they_are() -> None:
    random = np.random.default_rng(1)
    bars = random_bars(random, 100)
    for column in (bars.time, bars.open, bars.high, bars.low, bars.close):
        column.flags.writeable = False
    signals = random_signals(random, 100, 0.1)
    assert len(run(bars, signals, free(), CAPITAL).ledger) > 1


def test_columns_of_another_layout_are_copied() -> None:
    random = np.random.default_rng(1)
    bars, signals = random_bars(random, 100), random_signals(random, 100, 0.1)
    table = np.column_stack([bars.open, bars.high, bars.low, bars.close])
    columns = {name: table[:, at] for at, name in enumerate(("open", "high", "low", "close"))}
    strided = replace(bars, **columns)  # type: ignore[arg-type]
    expected = run(bars, signals, free(), CAPITAL)
    assert np.array_equal(run(strided, signals, free(), CAPITAL).equity, expected.equity)


def test_progress_tells_each_chunk_and_changes_nothing() -> None:
    random = np.random.default_rng(3)
    bars, signals = random_bars(random, 140_000), random_signals(random, 140_000, 0.01)
    seen: list[tuple[int, float]] = []
    watched = run(
        bars, signals, free(), CAPITAL, 10, on_progress=lambda bar, equity: seen.append((bar, equity))
    )
    plain = run(bars, signals, free(), CAPITAL, 10)
    assert np.array_equal(watched.equity, plain.equity)
    assert [bar for bar, _ in seen] == [10 + 65_535, 10 + 131_071, 139_999]
    assert [equity for _, equity in seen[:2]] == [plain.equity[65_535], plain.equity[131_071]]


def test_a_run_that_is_told_to_stop_stops() -> None:
    bars = bars_of([FLAT] * 3)
    with pytest.raises(SimulationStoppedError):
        run(bars, Signals.none(3), free(), CAPITAL, should_stop=lambda: True)


def test_position_and_equity_can_be_asked_between_bars() -> None:
    bars = bars_of([FLAT, FLAT, (100.0, 110.0, 100.0, 110.0)])
    simulation = Simulation(free(direction=Direction.BOTH), CAPITAL)
    signals = signals_at(3, entry_short=[0])
    simulation.advance(bars, signals, 1)
    assert (simulation.position, simulation.equity, simulation.cash) == (0.0, 1_000.0, 1_000.0)
    simulation.advance(bars, signals)
    assert (simulation.position, simulation.equity, simulation.in_position) == (-10.0, 900.0, True)
    assert simulation.cash == 0.0
    simulation.finish()
    assert (simulation.position, simulation.equity, simulation.in_position) == (0.0, 900.0, False)


def test_misuse_is_refused() -> None:
    bars, signals = bars_of([FLAT] * 4), Signals.none(4)
    for capital in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="capital"):
            Simulation(free(), capital)
    with pytest.raises(ValueError, match="start"):
        Simulation(free(), CAPITAL, -1)
    with pytest.raises(ValueError, match="start must be one of the 4 bars"):
        run(bars, signals, free(), CAPITAL, start=4)
    simulation = Simulation(free(), CAPITAL, 2)
    with pytest.raises(ValueError, match="as many signals"):
        simulation.advance(bars, Signals.none(3))
    with pytest.raises(ValueError, match="not in the window"):
        simulation.advance(bars, signals, 5)
    with pytest.raises(ValueError, match="bar 1, before the start"):
        simulation.advance(bars.slice(2, 4), Signals.none(2), offset=2)
    simulation.advance(bars, signals)
    with pytest.raises(ValueError, match="not in the window"):
        simulation.advance(bars, signals, 3)
    simulation.finish()
    with pytest.raises(ValueError, match="finished"):
        simulation.finish()
    with pytest.raises(ValueError, match="finished"):
        simulation.advance(bars, signals, 4)


def test_a_damaged_state_is_refused() -> None:
    data = Simulation(free(), CAPITAL).export_state()
    with pytest.raises(CorruptStateError):
        Simulation.restore(free(), data[:-1])
    with pytest.raises(CorruptStateError):
        Simulation.restore(free(), b"X" + data[1:])


def test_result_of_an_unfinished_simulation_holds_closed_trades_only() -> None:
    bars = bars_of([FLAT] * 3)
    simulation = Simulation(free(), CAPITAL)
    simulation.advance(bars, signals_at(3, entry_long=[0]))
    result: Result = simulation.result()
    assert len(result.ledger) == 0
    assert result.traded_notional == 1_000.0
