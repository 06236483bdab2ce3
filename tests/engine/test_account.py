"""Leverage, funding, sizes, tables of returns and guards, by examples worked out by hand."""

from typing import Any

import pytest

from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, FillModel, Sizing, SizingKind
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import Result, Simulation, run
from tests.factories.markets import HOUR, START, bars_of, exits, signals_at

CAPITAL = 1_000.0
DAY = 24 * HOUR
FLAT = (100.0, 100.0, 100.0, 100.0)

Rows = list[tuple[float, float, float, float]]


def free(**changes: object) -> ExecutionSpec:
    """A spec without costs."""
    return ExecutionSpec(**({"maker_fee": 0.0, "taker_fee": 0.0} | changes))  # type: ignore[arg-type]


def at(price: float) -> tuple[float, float, float, float]:
    """A bar of one price."""
    return (price, price, price, price)


def result_of(rows: Rows, spec: ExecutionSpec, interval: int = HOUR, **signals: list[int]) -> Result:
    return run(bars_of(rows, interval), signals_at(len(rows), **signals), spec, CAPITAL)


def long(rows: Rows, spec: ExecutionSpec, interval: int = HOUR) -> Result:
    """Enter long at the open of the second bar."""
    return result_of(rows, spec, interval, entry_long=[0])


def short(rows: Rows, spec: ExecutionSpec, interval: int = HOUR) -> Result:
    """Enter short at the open of the second bar."""
    return result_of(rows, spec, interval, entry_short=[0])


class TestLeverage:
    def test_notional_and_fee_are_equity_times_leverage(self) -> None:
        spec = ExecutionSpec(taker_fee=0.01, leverage=3.0)
        ledger = long([FLAT, FLAT, at(101.0)], spec).ledger
        assert ledger.quantity[0] * 100 * 1.01 == pytest.approx(3_000.0, rel=1e-15)
        half = ExecutionSpec(taker_fee=0.01, leverage=3.0, sizing=Sizing(SizingKind.EQUITY_FRACTION, 0.5))
        assert long([FLAT, FLAT, at(101.0)], half).ledger.quantity[0] * 101 == pytest.approx(1_500.0)

    @pytest.mark.parametrize("sizing", [Sizing(SizingKind.CASH, 1e6), Sizing(SizingKind.QUANTITY, 1e6)])
    def test_every_size_is_capped_by_equity_times_leverage(self, sizing: Sizing) -> None:
        ledger = long([FLAT, FLAT, FLAT], free(leverage=2.0, sizing=sizing)).ledger
        assert ledger.quantity[0] == 20.0

    def test_gains_and_losses_are_those_of_the_whole_position(self) -> None:
        result = long([FLAT, FLAT, at(110.0), at(95.0)], free(leverage=4.0))
        assert result.equity.tolist() == [1_000.0, 1_000.0, 1_400.0, 800.0]
        # What was put in is the margin of 1,000.
        assert result.ledger.profit_fraction[0] == -0.2

    def test_long_is_liquidated_at_entry_times_1_less_1_over_leverage_plus_maintenance_margin(self) -> None:
        spec = free(leverage=4.0, maintenance_margin=0.01)
        result = long([FLAT, FLAT, (90.0, 90.0, 70.0, 80.0), FLAT], spec)
        assert exits(result.ledger) == [(2, ExitReason.LIQUIDATION, 100.0 * (1 - 1 / 4 + 0.01))]
        assert result.ledger.exit_time[0] == START + 3 * HOUR
        # Just above the level nothing happens.
        safe = long([FLAT, FLAT, (90.0, 90.0, 76.01, 80.0), FLAT], spec)
        assert exits(safe.ledger) == [(3, ExitReason.END_OF_DATA, 100.0)]

    def test_short_is_liquidated_at_the_mirrored_level(self) -> None:
        spec = free(leverage=4.0, maintenance_margin=0.01, direction=Direction.SHORT)
        result = short([FLAT, FLAT, (110.0, 130.0, 110.0, 120.0), FLAT], spec)
        assert exits(result.ledger) == [(2, ExitReason.LIQUIDATION, 100.0 * (1 + 1 / 4 - 0.01))]

    def test_liquidation_loses_the_margin_all_of_it_and_no_more(self) -> None:
        spec = ExecutionSpec(
            taker_fee=0.001,
            leverage=4.0,
            maintenance_margin=0.01,
            sizing=Sizing(SizingKind.QUANTITY, 8.0),
        )
        result = long([FLAT, FLAT, (90.0, 90.0, 70.0, 80.0), FLAT], spec)
        ledger = result.ledger
        # Margin 800 / 4, entry fee 0.80; at 76 the price has lost 192, and the 8 left pay for liquidating.
        assert ledger.profit[0] == -(200.0 + 0.8)
        assert ledger.profit_fraction[0] == -1.0
        assert ledger.fees[0] == 0.8 + 8.0
        assert result.final_equity == 1_000.0 - 200.8
        # A gap beyond the price at which the margin is used up costs the margin too, and nothing of the rest.
        gapped = long([FLAT, FLAT, at(10.0), FLAT], spec)
        assert exits(gapped.ledger) == [(2, ExitReason.LIQUIDATION, 10.0)]
        assert gapped.ledger.profit[0] == -200.8
        assert gapped.ledger.fees[0] == 0.8

    def test_all_of_the_equity_may_be_lost_but_never_more(self) -> None:
        result = long([FLAT, FLAT, at(1.0), FLAT], ExecutionSpec(leverage=10.0))
        assert exits(result.ledger) == [(2, ExitReason.LIQUIDATION, 1.0)]
        assert result.final_equity == 0.0
        assert result.equity.min() == 0.0

    def test_liquidation_comes_before_a_stop_in_the_same_bar(self) -> None:
        spec = free(leverage=4.0, maintenance_margin=0.01, stop_loss=0.05)
        result = long([FLAT, FLAT, (99.0, 99.0, 70.0, 80.0), FLAT], spec)
        assert [reason for _, reason, _ in exits(result.ledger)] == [ExitReason.LIQUIDATION]
        stopped = long([FLAT, FLAT, (99.0, 99.0, 80.0, 90.0), FLAT], spec)
        assert exits(stopped.ledger) == [(2, ExitReason.STOP_LOSS, 95.0)]

    def test_level_that_slippage_put_beyond_the_open_fills_at_the_open(self) -> None:
        spec = free(leverage=50.0, maintenance_margin=0.01, slippage=0.1)
        result = long([FLAT, FLAT, FLAT], spec)
        # Bought at 110, liquidated below 108.9: at the open of the same bar, which was 100.
        assert result.ledger.exit_reason_of(0) is ExitReason.LIQUIDATION
        assert result.ledger.exit_price[0] == pytest.approx(100.0 * 0.9)
        assert result.ledger.exit_index[0] == 1

    def test_a_fee_that_leaves_less_than_the_maintenance_margin_prevents_the_entry(self) -> None:
        # Notional and fee are 50,000 in all, of which the fee is 454.5 and 1,000 are there: fine at 1 % ...
        spec = ExecutionSpec(taker_fee=0.01, leverage=50.0, maintenance_margin=0.01)
        assert len(long([FLAT, FLAT, FLAT], spec).ledger) == 1
        # ... but 5 % of fees are more than all there is.
        assert len(long([FLAT, FLAT, FLAT], ExecutionSpec(taker_fee=0.05, leverage=50.0)).ledger) == 0

    def test_fee_is_taken_before_the_margin_so_that_cash_stays_positive(self) -> None:
        simulation = Simulation(ExecutionSpec(taker_fee=0.001, leverage=10.0), CAPITAL)
        bars = bars_of([FLAT, FLAT, FLAT])
        simulation.advance(bars, signals_at(3, entry_long=[0]))
        assert simulation.in_position
        assert simulation.cash == 0.0

    def test_without_leverage_a_long_is_never_liquidated(self) -> None:
        result = long([FLAT, FLAT, at(1e-6), FLAT], free(maintenance_margin=0.4))
        assert exits(result.ledger) == [(3, ExitReason.END_OF_DATA, 100.0)]


class TestFunding:
    def test_a_day_costs_the_rate_of_the_notional(self) -> None:
        spec = free(funding_rate_per_day=0.01, sizing=Sizing(SizingKind.QUANTITY, 2.0))
        result = result_of([FLAT] * 49, spec, entry_long=[23], exit_long=[47])
        ledger = result.ledger
        assert (ledger.entry_index[0], ledger.exit_index[0]) == (24, 48)
        assert ledger.funding[0] == pytest.approx(200 * 0.01, rel=1e-12)
        assert ledger.profit[0] == -ledger.funding[0]
        assert result.funding_paid == ledger.funding[0]
        assert result.fees_paid == 0.0

    def test_shorts_pay_as_longs_do(self) -> None:
        spec = free(
            funding_rate_per_day=0.01, sizing=Sizing(SizingKind.QUANTITY, 2.0), direction=Direction.SHORT
        )
        result = result_of([FLAT] * 49, spec, entry_short=[23], exit_short=[47])
        assert result.ledger.funding[0] == pytest.approx(2.0, rel=1e-12)
        assert result.final_equity == CAPITAL - result.ledger.funding[0]

    def test_it_is_charged_on_the_notional_at_the_price_of_the_moment(self) -> None:
        spec = free(funding_rate_per_day=0.02, sizing=Sizing(SizingKind.QUANTITY, 1.0))
        rows = [FLAT, (100.0, 200.0, 100.0, 200.0), (50.0, 50.0, 50.0, 50.0), FLAT]
        result = long(rows, spec, interval=DAY)
        # A day to the close at 200, none to the open at 50, a day each to the closes at 50 and at 100.
        assert result.ledger.funding[0] == pytest.approx(0.02 * (200 + 50 + 100), rel=1e-12)
        marks = [1_000.0, 1_000 + 100 - 4.0, 1_000 - 50 - 5.0, 1_000 - 7.0]
        assert result.equity.tolist() == pytest.approx(marks, rel=1e-12)

    def test_time_that_bars_are_missing_for_costs_too(self) -> None:
        spec = free(funding_rate_per_day=0.24, sizing=Sizing(SizingKind.QUANTITY, 1.0))
        bars = bars_of([FLAT, FLAT, at(200.0)])
        bars.time[2] += 5 * HOUR
        result = run(bars, signals_at(3, entry_long=[0], exit_long=[1]), spec, CAPITAL)
        # One hour to the close at 100, five without bars to the open at 200: 1 % of the notional an hour.
        assert result.ledger.funding[0] == pytest.approx(1.0 + 5 * 2.0, rel=1e-12)

    def test_a_position_closed_inside_a_bar_pays_for_the_bar(self) -> None:
        spec = free(funding_rate_per_day=0.24, stop_loss=0.5, sizing=Sizing(SizingKind.QUANTITY, 1.0))
        result = long([FLAT, (100.0, 100.0, 40.0, 60.0), FLAT], spec)
        assert exits(result.ledger) == [(1, ExitReason.STOP_LOSS, 50.0)]
        assert result.ledger.funding[0] == pytest.approx(0.5, rel=1e-12)

    def test_it_comes_out_of_the_margin_and_moves_the_liquidation_level(self) -> None:
        spec = free(
            leverage=10.0,
            maintenance_margin=0.0,
            funding_rate_per_day=0.04,
            sizing=Sizing(SizingKind.QUANTITY, 10.0),
        )
        # Margin 100. Each day at 100 takes 40, so that of ten in the price six are left, then two.
        result = long([FLAT, FLAT, (100.0, 100.0, 97.0, 100.0), (100.0, 100.0, 97.0, 100.0)], spec, DAY)
        [(index, reason, price)] = exits(result.ledger)
        assert (index, reason) == (3, ExitReason.LIQUIDATION)
        assert price == pytest.approx(98.0, rel=1e-12)
        assert result.ledger.profit[0] == -100.0

    def test_margin_used_up_by_funding_alone_is_liquidated_at_the_close(self) -> None:
        spec = free(
            leverage=10.0,
            maintenance_margin=0.0,
            funding_rate_per_day=0.1,
            sizing=Sizing(SizingKind.QUANTITY, 10.0),
        )
        result = long([FLAT, FLAT, FLAT], spec, 7 * DAY)
        assert exits(result.ledger) == [(1, ExitReason.LIQUIDATION, 100.0)]
        assert result.equity.tolist() == [1_000.0, 900.0, 900.0]


class TestSizes:
    @pytest.mark.parametrize("direction", [Direction.LONG, Direction.SHORT])
    def test_risk_fraction_loses_that_fraction_at_the_stop_with_fees_and_slippage(
        self, direction: Direction
    ) -> None:
        spec = ExecutionSpec(
            taker_fee=0.002,
            slippage=0.001,
            direction=direction,
            stop_loss=0.05,
            sizing=Sizing(SizingKind.RISK_FRACTION, 0.02),
        )
        rows = [FLAT, FLAT, (100.0, 120.0, 80.0, 100.0), FLAT]
        result = long(rows, spec) if direction is Direction.LONG else short(rows, spec)
        assert result.ledger.exit_reason_of(0) is ExitReason.STOP_LOSS
        assert result.ledger.profit[0] == pytest.approx(-20.0, rel=1e-12)

    def test_risk_fraction_is_capped_by_the_equity(self) -> None:
        spec = free(stop_loss=0.01, sizing=Sizing(SizingKind.RISK_FRACTION, 0.5))
        assert long([FLAT] * 3, spec).ledger.quantity[0] == 10.0
        leveraged = free(stop_loss=0.01, sizing=Sizing(SizingKind.RISK_FRACTION, 0.1), leverage=20.0)
        assert long([FLAT] * 3, leveraged).ledger.quantity[0] == pytest.approx(100.0, rel=1e-12)

    @pytest.mark.parametrize(
        ("wanted", "decimals", "quantity"),
        [
            (1.23456, 2, 1.23),
            (1.239, 2, 1.23),
            (0.29, 2, 0.29),  # 0.29 × 100 is 28.999999999999996
            (1.1, 1, 1.1),
            (5.0, 0, 5.0),
            (5.99, 0, 5.0),
            (0.123456789, 18, 0.123456789),
            (3.0000000000000004, 8, 3.0),
        ],
    )
    def test_quantity_is_rounded_down_to_the_markets_precision(
        self, wanted: float, decimals: int, quantity: float
    ) -> None:
        spec = free(sizing=Sizing(SizingKind.QUANTITY, wanted), amount_precision=decimals)
        assert long([FLAT] * 3, spec).ledger.quantity.tolist() == [quantity]

    def test_what_rounds_down_to_nothing_is_not_traded(self) -> None:
        spec = free(sizing=Sizing(SizingKind.QUANTITY, 0.99), amount_precision=0)
        assert len(long([FLAT] * 3, spec).ledger) == 0

    @pytest.mark.parametrize(
        ("changes", "trades"),
        [
            ({"min_amount": 2.0}, 1),
            ({"min_amount": 2.01}, 0),
            ({"min_notional": 200.0}, 1),
            ({"min_notional": 200.01}, 0),
        ],
    )
    def test_below_the_markets_minimum_there_is_no_trade(
        self, changes: dict[str, float], trades: int
    ) -> None:
        spec = free(sizing=Sizing(SizingKind.QUANTITY, 2.0), **changes)
        assert len(long([FLAT] * 3, spec).ledger) == trades


class TestTableOfReturns:
    TABLE = ((0, 0.1), (120, 0.05), (240, 0.0))

    def test_the_age_picks_the_target(self) -> None:
        rising = (100.0, 106.0, 100.0, 104.0)
        ledger = long([FLAT, FLAT, rising, rising, FLAT], free(minimal_roi=self.TABLE)).ledger
        # Entered at the open of bar 1: bar 2 begins an hour later, bar 3 after two.
        assert exits(ledger) == [(3, ExitReason.ROI, 105.0)]

    def test_it_fills_at_the_open_that_is_beyond_the_target_of_the_moment(self) -> None:
        ledger = long([FLAT, FLAT, at(104.0), at(107.0), FLAT], free(minimal_roi=self.TABLE)).ledger
        assert exits(ledger) == [(3, ExitReason.ROI, 107.0)]

    def test_break_even_after_a_while(self) -> None:
        rows = [FLAT, FLAT, at(99.0), at(99.0), at(99.0), at(99.0), (99.0, 101.0, 99.0, 100.0), FLAT]
        assert exits(long(rows, free(minimal_roi=self.TABLE)).ledger) == [(6, ExitReason.ROI, 100.0)]

    def test_a_bar_keeps_the_target_that_it_began_with(self) -> None:
        rows = [FLAT, (100.0, 106.0, 100.0, 100.0), FLAT, FLAT]
        ledger = long(rows, free(minimal_roi=((0, 0.1), (30, 0.05))), HOUR).ledger
        assert exits(ledger) == [(3, ExitReason.END_OF_DATA, 100.0)]

    def test_before_the_first_step_there_is_no_target(self) -> None:
        rows = [FLAT, (100.0, 150.0, 100.0, 100.0), (100.0, 150.0, 100.0, 100.0), FLAT]
        ledger = long(rows, free(minimal_roi=((60, 0.05),))).ledger
        assert exits(ledger) == [(2, ExitReason.ROI, 105.0)]

    def test_it_is_a_limit_order_with_maker_fee_and_no_slippage(self) -> None:
        spec = ExecutionSpec(
            maker_fee=0.001,
            taker_fee=0.0,
            minimal_roi=((0, 0.1),),
            sizing=Sizing(SizingKind.QUANTITY, 1.0),
        )
        ledger = long([FLAT, (100.0, 120.0, 100.0, 100.0), FLAT], spec).ledger
        assert ledger.fees[0] == 100.0 * 1.1 * 0.001

    def test_the_nearer_of_take_profit_and_table_fills_and_a_stop_comes_first(self) -> None:
        wide = (100.0, 130.0, 100.0, 100.0)
        near = free(minimal_roi=((0, 0.1),), take_profit=0.2)
        assert exits(long([FLAT, wide, FLAT], near).ledger) == [(1, ExitReason.ROI, 100.0 * 1.1)]
        far = free(minimal_roi=((0, 0.2),), take_profit=0.1)
        assert exits(long([FLAT, wide, FLAT], far).ledger) == [(1, ExitReason.TAKE_PROFIT, 100.0 * 1.1)]
        both = (100.0, 130.0, 90.0, 100.0)
        stopped = free(minimal_roi=((0, 0.1),), stop_loss=0.05)
        assert exits(long([FLAT, both, FLAT], stopped).ledger) == [(1, ExitReason.STOP_LOSS, 95.0)]

    def test_shorts_have_the_target_below_their_entry(self) -> None:
        spec = free(minimal_roi=((0, 0.1),), direction=Direction.SHORT)
        assert exits(short([FLAT, (100.0, 100.0, 80.0, 100.0), FLAT], spec).ledger) == [
            (1, ExitReason.ROI, 90.0)
        ]


class TestTrailingActivation:
    def test_trailing_stop_begins_once_the_price_was_good_enough(self) -> None:
        spec = free(trailing_stop=0.05, trailing_activation=0.25)
        # 124 is not enough: the fall to 90 closes nothing. After 125 the level is 118.75.
        rows = [FLAT, (100.0, 124.0, 90.0, 100.0), (100.0, 125.0, 100.0, 124.0), (124.0, 124.0, 104.0, 104.0)]
        assert exits(long([*rows, FLAT], spec).ledger) == [(3, ExitReason.TRAILING_STOP, 118.75)]

    def test_the_bar_that_activates_it_is_not_seen_by_it(self) -> None:
        spec = free(trailing_stop=0.05, trailing_activation=0.1)
        rows = [FLAT, (100.0, 120.0, 90.0, 118.0), at(118.0), FLAT]
        assert exits(long(rows[:3], spec).ledger) == [(2, ExitReason.END_OF_DATA, 118.0)]

    def test_shorts_mirror_it(self) -> None:
        spec = free(trailing_stop=0.05, trailing_activation=0.1, direction=Direction.SHORT)
        rows = [FLAT, (100.0, 110.0, 91.0, 95.0), (95.0, 95.0, 80.0, 82.0), (82.0, 90.0, 82.0, 90.0)]
        [(index, reason, price)] = exits(short([*rows, FLAT], spec).ledger)
        assert (index, reason) == (3, ExitReason.TRAILING_STOP)
        assert price == pytest.approx(84.0, rel=1e-12)


class TestGuards:
    def test_daily_loss_closes_at_the_next_fill_and_refuses_entries_until_the_next_day(self) -> None:
        # Six bars a day. Equity falls by 10 % at the close of bar 2; the price then recovers.
        prices = [100.0, 100.0, 90.0, 92.0, 95.0, 95.0, 96.0, 97.0]
        spec = free(max_daily_loss=0.1)
        result = result_of([at(price) for price in prices], spec, interval=4 * HOUR, entry_long=[0, 3, 4, 6])
        assert exits(result.ledger) == [
            (3, ExitReason.DAILY_LIMIT, 92.0),
            (7, ExitReason.END_OF_DATA, 97.0),
        ]
        assert result.ledger.entry_index.tolist() == [1, 7]
        assert result.equity[3:7].tolist() == [920.0] * 4

    def test_a_signal_for_the_first_open_of_the_next_day_is_allowed(self) -> None:
        prices = [100.0, 100.0, 90.0, 92.0, 95.0, 95.0, 96.0, 97.0]
        result = result_of(
            [at(price) for price in prices], free(max_daily_loss=0.1), interval=4 * HOUR, entry_long=[0, 5]
        )
        assert result.ledger.entry_index.tolist() == [1, 6]

    def test_daily_target_works_the_same_way_upwards(self) -> None:
        prices = [100.0, 100.0, 105.0, 104.0, 110.0, 110.0, 96.0]
        result = result_of(
            [at(price) for price in prices], free(daily_target=0.05), interval=4 * HOUR, entry_long=[0, 3]
        )
        assert exits(result.ledger) == [(3, ExitReason.DAILY_LIMIT, 104.0)]

    def test_a_day_counts_from_the_last_mark_of_the_day_before(self) -> None:
        # 20 % are lost over two days, never 15 % in one.
        prices = [100.0, 100.0, 100.0, 100.0, 95.0, 90.0, 85.0, 80.0, 80.0]
        rows = [at(price) for price in prices]
        result = result_of(rows, free(max_daily_loss=0.15), interval=4 * HOUR, entry_long=[0])
        assert exits(result.ledger) == [(8, ExitReason.END_OF_DATA, 80.0)]
        # The second day begins with 900: 11 % less are 801.
        tighter = result_of(rows, free(max_daily_loss=0.11), interval=4 * HOUR, entry_long=[0])
        assert exits(tighter.ledger) == [(8, ExitReason.DAILY_LIMIT, 80.0)]

    def test_losses_of_closed_positions_count_too(self) -> None:
        prices = [100.0, 100.0, 90.0, 90.0, 90.0]
        spec = free(max_daily_loss=0.05, stop_loss=0.06)
        result = result_of([at(price) for price in prices], spec, entry_long=[0, 2, 3])
        assert exits(result.ledger) == [(2, ExitReason.STOP_LOSS, 90.0)]

    def test_limit_reached_at_the_last_close_of_a_day_still_closes_the_position(self) -> None:
        rows = [at(price) for price in [100.0, 100.0, 80.0, 85.0, 86.0]]
        result = result_of(rows, free(max_daily_loss=0.1), interval=DAY, entry_long=[0])
        assert exits(result.ledger) == [(3, ExitReason.DAILY_LIMIT, 85.0)]
        # The new day has begun with that open: an entry is allowed at once.
        again = result_of(rows, free(max_daily_loss=0.1), interval=DAY, entry_long=[0, 2])
        assert again.ledger.entry_index.tolist() == [1, 3]

    def test_a_protective_level_at_the_open_comes_before_the_guard(self) -> None:
        rows = [FLAT, FLAT, (100.0, 100.0, 96.0, 96.0), at(90.0), FLAT]
        result = long(rows, free(max_daily_loss=0.04, stop_loss=0.05))
        assert exits(result.ledger) == [(3, ExitReason.STOP_LOSS, 90.0)]

    def test_fills_at_the_close_close_it_at_the_next_close(self) -> None:
        rows = [FLAT, (100.0, 100.0, 80.0, 80.0), (85.0, 90.0, 84.0, 88.0), FLAT]
        result = long(rows, free(fill=FillModel.CLOSE, max_daily_loss=0.1))
        assert exits(result.ledger) == [(2, ExitReason.DAILY_LIMIT, 88.0)]

    def test_a_drawdown_from_the_highest_close_closes_at_the_next_fill_and_ends_all_trading(self) -> None:
        # The peak is 1,200 at bar 2; 960 at bar 4 is 20 % less, on another day.
        prices = [100.0, 100.0, 120.0, 97.0, 96.0, 90.0, 150.0, 200.0, 300.0]
        rows = [at(price) for price in prices]
        result = result_of(rows, free(max_drawdown=0.2), interval=DAY, entry_long=[0, 5, 6])
        assert exits(result.ledger) == [(5, ExitReason.MAX_DRAWDOWN, 90.0)]
        assert result.equity.tolist() == [1_000.0, 1_000.0, 1_200.0, 970.0, 960.0, 900.0, 900.0, 900.0, 900.0]

    def test_a_drawdown_counts_from_the_starting_capital_at_least(self) -> None:
        rows = [at(price) for price in [100.0, 100.0, 90.0, 95.0, 95.0]]
        result = result_of(rows, free(max_drawdown=0.1), entry_long=[0, 3])
        assert exits(result.ledger) == [(3, ExitReason.MAX_DRAWDOWN, 95.0)]
        deeper = result_of(rows, free(max_drawdown=0.11), entry_long=[0, 3])
        assert exits(deeper.ledger) == [(4, ExitReason.END_OF_DATA, 95.0)]

    def test_of_a_day_and_a_drawdown_on_one_close_the_drawdown_counts(self) -> None:
        rows = [at(price) for price in [100.0, 100.0, 80.0, 85.0, 86.0]]
        result = result_of(rows, free(max_drawdown=0.1, max_daily_loss=0.1), interval=DAY, entry_long=[0, 2])
        assert exits(result.ledger) == [(3, ExitReason.MAX_DRAWDOWN, 85.0)]

    def test_daily_trades_limit_entries_and_close_nothing(self) -> None:
        signals: dict[str, Any] = {"entry_long": [0, 2, 4, 6], "exit_long": [1, 3, 5]}
        rows = [FLAT] * 9
        result = result_of(rows, free(max_daily_trades=2), **signals)
        assert result.ledger.entry_index.tolist() == [1, 3]
        assert [reason for _, reason, _ in exits(result.ledger)] == [ExitReason.SIGNAL] * 2
        # With four bars a day, the third and the fourth belong to the second day.
        daily = result_of(rows, free(max_daily_trades=2), interval=6 * HOUR, **signals)
        assert daily.ledger.entry_index.tolist() == [1, 3, 5, 7]
        assert result_of(
            rows, free(max_daily_trades=1), interval=6 * HOUR, **signals
        ).ledger.entry_index.tolist() == [1, 5]

    def test_an_entry_at_the_close_of_the_days_last_bar_belongs_to_that_day(self) -> None:
        spec = free(fill=FillModel.CLOSE, max_daily_trades=1)
        # Four bars a day: the closes of bars 2 and 3 are on the first day, though bar 3 ends at midnight.
        result = result_of([FLAT] * 6, spec, 6 * HOUR, entry_long=[1, 3, 4], exit_long=[2])
        assert result.ledger.entry_index.tolist() == [1, 4]

    def test_cooldown_keeps_out_of_the_market_for_as_many_bars_after_an_exit(self) -> None:
        signals: dict[str, Any] = {"entry_long": [0, 2, 3, 4, 5], "exit_long": [1]}
        entered = {
            bars: result_of([FLAT] * 8, free(cooldown_bars=bars), **signals).ledger.entry_index.tolist()
            for bars in (0, 1, 2, 3)
        }
        # The exit fills at the open of bar 2; a signal of bar 2 would enter at the open of bar 3.
        assert entered == {0: [1, 3], 1: [1, 4], 2: [1, 5], 3: [1, 6]}

    def test_cooldown_also_forbids_a_reversal(self) -> None:
        spec = free(cooldown_bars=1, direction=Direction.BOTH)
        result = result_of([FLAT] * 5, spec, entry_long=[0], entry_short=[1])
        assert exits(result.ledger) == [(2, ExitReason.SIGNAL, 100.0)]


def test_guards_and_funding_survive_in_an_exported_state() -> None:
    rows = [at(price) for price in [100.0, 100.0, 90.0, 92.0, 95.0, 95.0]]
    spec = free(max_daily_loss=0.05, funding_rate_per_day=0.01, leverage=2.0)
    bars, signals = bars_of(rows), signals_at(6, entry_long=[0, 3, 4])
    whole = run(bars, signals, spec, CAPITAL)
    for middle in range(1, 6):
        first = Simulation(spec, CAPITAL)
        first.advance(bars, signals, middle)
        second = Simulation.restore(spec, first.export_state())
        second.advance(bars, signals)
        second.finish()
        assert second.equity == whole.final_equity
        assert second.result().funding_paid == whole.funding_paid
        assert len(first.result().ledger) + len(second.result().ledger) == len(whole.ledger) == 1


def test_a_run_without_signals_costs_nothing_whatever_is_switched_on() -> None:
    spec = ExecutionSpec(
        leverage=5.0, funding_rate_per_day=0.1, max_daily_loss=0.01, minimal_roi=((0, 0.01),), cooldown_bars=3
    )
    result = run(bars_of([FLAT, at(50.0), at(200.0)]), Signals.none(3), spec, CAPITAL)
    assert result.equity.tolist() == [CAPITAL] * 3
