"""What must hold of every run, whatever the market, the signals and the spec."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.engine.bars import Bars, Floats, Integers
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, FillModel, Sizing, SizingKind
from gql_trader.engine.ledger import EXIT_REASONS, Ledger
from gql_trader.engine.simulation import Result, Simulation, run
from tests.engine.cases import Case, cases, part
from tests.engine.reference_simulator import day_of
from tests.factories.markets import bars_of_closes, signals_at

DAY = 86_400_000

LIQUIDATION = EXIT_REASONS.index(ExitReason.LIQUIDATION)
TAKE_PROFIT = EXIT_REASONS.index(ExitReason.TAKE_PROFIT)
STOP_LOSS = EXIT_REASONS.index(ExitReason.STOP_LOSS)
ROI = EXIT_REASONS.index(ExitReason.ROI)
END_OF_DATA = EXIT_REASONS.index(ExitReason.END_OF_DATA)


def result_of(case: Case) -> Result:
    return run(case.bars, case.signals, case.spec, case.capital, case.start)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_profits_and_initial_capital_add_up_to_the_final_cash(case: Case) -> None:
    result = result_of(case)
    cash = case.capital
    for profit, after in zip(result.ledger.profit, result.ledger.equity_after, strict=True):
        cash += profit
        assert cash == after  # added in order, not even rounding differs
    assert cash == result.final_equity == result.equity[-1]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_cash_is_never_negative(case: Case) -> None:
    simulation = Simulation(case.spec, case.capital, case.start)
    for stop in range(case.start + 1, len(case.bars) + 1):
        simulation.advance(case.bars, case.signals, stop)
        # With leverage, marks a rounding above the price that uses the margin up may round below nothing.
        rounding = 0.0 if case.spec.leverage == 1.0 else 1e-12 * case.capital
        assert simulation.cash >= 0.0
        assert simulation.equity >= -rounding
    simulation.finish()
    assert simulation.cash == simulation.equity >= 0.0


def test_cash_is_nothing_where_margin_and_fee_are_all_there_is_and_round_up() -> None:
    bars = bars_of_closes([100.0] * 60)
    spec = ExecutionSpec(maker_fee=0.0, taker_fee=0.1, leverage=1.5, maintenance_margin=0.0)
    simulation = Simulation(spec, 10_000.0)
    found = []
    for stop in range(1, 61):
        simulation.advance(bars, signals_at(60, entry_long=[17, 24, 49], exit_long=[35]), stop)
        found.append(simulation.cash)
    assert simulation.in_position
    assert min(found) == 0.0


def stakes(case: Case, ledger: Ledger) -> Floats:
    """What each trade put in: the entry's fee, and margin as far as the account had it."""
    notional = ledger.quantity * ledger.entry_price
    fee = notional * case.spec.taker_fee
    before = ledger.equity_after - ledger.profit
    return np.minimum(notional / case.spec.leverage, before - fee) + fee


@settings(max_examples=200, deadline=None)
@given(cases())
def test_profit_is_the_price_difference_less_costs_and_never_more_than_the_stake_is_lost(case: Case) -> None:
    result = result_of(case)
    ledger = result.ledger
    stake = stakes(case, ledger)
    difference = ledger.side * ledger.quantity * (ledger.exit_price - ledger.entry_price)
    liquidated = ledger.exit_reason == LIQUIDATION
    tolerance = 1e-9 * (np.abs(ledger.equity_after) + ledger.quantity * ledger.entry_price)
    expected = np.where(liquidated, -stake, np.maximum(difference - ledger.fees - ledger.funding, -stake))
    assert np.all(np.abs(ledger.profit - expected) <= tolerance)
    assert np.all(ledger.profit >= -stake - tolerance)
    assert np.all(ledger.profit_fraction >= -1.0)
    assert np.all(ledger.profit_fraction[liquidated] == -1.0)
    assert np.all(ledger.fees >= 0.0)
    assert np.all(ledger.funding >= 0.0)
    assert np.all((ledger.funding > 0.0) <= (case.spec.funding_rate_per_day > 0.0))
    limit = (ledger.exit_reason == TAKE_PROFIT) | (ledger.exit_reason == ROI)
    exit_rate = np.where(limit, case.spec.maker_fee, case.spec.taker_fee)
    full = ledger.quantity * (ledger.entry_price * case.spec.taker_fee + ledger.exit_price * exit_rate)
    solvent = ~liquidated & (difference - full - ledger.funding > -stake + tolerance)
    assert np.allclose(ledger.fees[solvent], full[solvent], rtol=1e-12)
    assert np.isclose(ledger.funding.sum(), result.funding_paid, rtol=1e-12)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_guards_are_never_exceeded_by_an_entry(case: Case) -> None:
    result = result_of(case)
    ledger, spec, bars = result.ledger, case.spec, case.bars
    # An entry at the open belongs to the bar's own day; one at its close to the day that ends or goes on.
    moments = ledger.entry_time - (1 if spec.fill is FillModel.CLOSE else 0)
    days = _days(moments, spec.timezone)
    if spec.max_daily_trades is not None:
        assert all(np.count_nonzero(days == day) <= spec.max_daily_trades for day in days)
    if spec.cooldown_bars:
        assert np.all(ledger.entry_index[1:] - ledger.exit_index[:-1] > spec.cooldown_bars)
    closing_days = _days(bars.time[case.start :] + bars.interval - 1, spec.timezone)
    # The very last mark is what closing at the end of the data left, which is too late for a guard.
    for at, equity in enumerate(result.equity[:-1].tolist()):
        before = np.flatnonzero(closing_days[:at] < closing_days[at])
        begun = float(result.equity[before[-1]]) if len(before) else case.capital
        down, up = spec.max_daily_loss, spec.daily_target
        if (down and equity <= begun * (1.0 - down)) or (up and equity >= begun * (1.0 + up)):
            later = (ledger.entry_index > case.start + at) & (days == closing_days[at])
            assert not np.any(later)
            # What is open is closed where signals fill next, if nothing closed it there before.
            fill = case.start + at + 1
            held = (ledger.entry_index < fill) & (ledger.exit_index > fill)
            assert not np.any(held)


def _days(moments: Integers, zone: str | None) -> Integers:
    return np.array([day_of(moment, zone).toordinal() for moment in moments.tolist()], np.int64)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_nothing_is_opened_after_the_drawdown_has_reached_its_limit(case: Case) -> None:
    result = result_of(case)
    limit = case.spec.max_drawdown
    equity = result.equity[:-1]
    peaks = np.maximum.accumulate(np.maximum(equity, case.capital))
    reached = np.flatnonzero(equity <= peaks * (1.0 - limit)) if limit is not None else np.array([], np.int64)
    if len(reached):
        assert np.all(result.ledger.entry_index <= case.start + reached[0])
        assert np.all(result.ledger.exit_index <= case.start + reached[0] + 1)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_quantities_are_whole_steps_of_the_market_and_not_below_its_minimum(case: Case) -> None:
    ledger, spec = result_of(case).ledger, case.spec
    assert np.all(ledger.quantity >= spec.min_amount)
    assert np.all(ledger.quantity * ledger.entry_price >= spec.min_notional)
    if spec.amount_precision is not None and spec.amount_precision <= 8:
        for quantity in ledger.quantity.tolist():
            if quantity < 1e6:  # a float has no 16 digits for more
                assert quantity == round(quantity, spec.amount_precision)


@settings(max_examples=200, deadline=None)
@given(cases(), st.sampled_from([0.001, 0.01, 0.2]), st.sampled_from([0.01, 0.05, 0.5]))
def test_a_stop_at_its_level_loses_exactly_the_fraction_at_risk(case: Case, risk: float, stop: float) -> None:
    spec = replace(
        case.spec,
        sizing=Sizing(SizingKind.RISK_FRACTION, risk),
        stop_loss=stop,
        trailing_stop=None,
        trailing_activation=None,
        amount_precision=None,
        funding_rate_per_day=0.0,
        leverage=1.0,
    )
    ledger = run(case.bars, case.signals, spec, case.capital, case.start).ledger
    before = ledger.equity_after - ledger.profit
    level = ledger.entry_price * (1 - ledger.side * stop) * (1 - ledger.side * spec.slippage)
    capped = ledger.quantity * ledger.entry_price * (1 + spec.taker_fee) > before * (1 - 1e-9)
    at_level = (ledger.exit_reason == STOP_LOSS) & np.isclose(ledger.exit_price, level, rtol=1e-12)
    exact = at_level & ~capped
    assert np.allclose(-ledger.profit[exact], risk * before[exact], rtol=1e-9)
    assert np.all(-ledger.profit[at_level] <= risk * before[at_level] * (1 + 1e-9))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_fills_are_inside_their_bars_before_slippage(case: Case) -> None:
    ledger, spec, bars = result_of(case).ledger, case.spec, case.bars
    entries = ledger.entry_price / (1 + ledger.side * spec.slippage)
    limit = (ledger.exit_reason == TAKE_PROFIT) | (ledger.exit_reason == ROI)
    exits = np.where(limit, ledger.exit_price, ledger.exit_price / (1 - ledger.side * spec.slippage))
    for price, index in ((entries, ledger.entry_index), (exits, ledger.exit_index)):
        assert np.all(price >= bars.low[index] * (1 - 1e-12))
        assert np.all(price <= bars.high[index] * (1 + 1e-12))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_one_position_at_a_time_in_order_and_not_before_the_start(case: Case) -> None:
    result = result_of(case)
    ledger = result.ledger
    assert np.all(ledger.entry_index >= case.start)
    assert np.all(ledger.entry_index <= ledger.exit_index)
    assert np.all(ledger.entry_index[1:] >= ledger.exit_index[:-1])
    assert np.all(ledger.entry_time <= ledger.exit_time)
    assert np.all(ledger.entry_time[1:] >= ledger.exit_time[:-1])
    assert np.all(ledger.quantity > 0)
    assert np.all(ledger.max_favorable >= 0)
    assert np.all(ledger.max_adverse >= 0)
    assert ledger.bars.sum() == result.bars_in_position <= len(case.bars) - case.start
    assert np.isclose(ledger.fees.sum(), result.fees_paid, rtol=1e-12)
    traded = ledger.quantity * (ledger.entry_price + ledger.exit_price)
    assert np.isclose(traded.sum(), result.traded_notional, rtol=1e-12)
    allowed = {Direction.LONG: {1}, Direction.SHORT: {-1}, Direction.BOTH: {1, -1}}[case.spec.direction]
    assert set(ledger.side.tolist()) <= allowed


@settings(max_examples=200, deadline=None)
@given(cases())
def test_entries_follow_an_entry_signal_and_signal_exits_a_signal(case: Case) -> None:
    ledger, signals = result_of(case).ledger, case.signals
    lag = 1 if case.spec.fill is FillModel.NEXT_OPEN else 0
    for trade in range(len(ledger)):
        long = ledger.side[trade] > 0
        entry = ledger.entry_index[trade] - lag
        assert (signals.entry_long if long else signals.entry_short)[entry]
        assert not (signals.exit_long if long else signals.exit_short)[entry]
        if ledger.exit_reason_of(trade) is ExitReason.SIGNAL:
            last = ledger.exit_index[trade] - lag
            own = (signals.exit_long if long else signals.exit_short)[last]
            opposite = (signals.entry_short if long else signals.entry_long)[last]
            assert own or (opposite and case.spec.direction is Direction.BOTH)


@settings(max_examples=200, deadline=None)
@given(cases(shortest=2))
def test_the_future_never_changes_the_past(case: Case) -> None:
    whole = result_of(case)
    n = case.start + (len(case.bars) - case.start + 1) // 2
    past = run(case.bars.slice(0, n), part(case.signals, 0, n), case.spec, case.capital, case.start)
    assert past.equity[:-1].tolist() == whole.equity[: n - case.start - 1].tolist()
    closed = past.ledger.exit_reason != END_OF_DATA
    for name in ("entry_index", "exit_index", "exit_price", "profit", "exit_reason", "max_adverse"):
        column = getattr(past.ledger, name)[closed]
        assert column.tolist() == getattr(whole.ledger, name)[: len(column)].tolist()


@settings(max_examples=200, deadline=None)
@given(cases())
def test_shorting_a_market_is_going_long_on_its_mirror_image(case: Case) -> None:
    # Prices p and c − p move oppositely; without costs and levels the profits per unit are the same.
    risky = case.spec.sizing.kind is SizingKind.RISK_FRACTION
    sizing = Sizing() if risky else case.spec.sizing
    spec = ExecutionSpec(fill=case.spec.fill, maker_fee=0.0, taker_fee=0.0, sizing=sizing)
    bars = case.bars
    centre = 2 * float(bars.high.max()) + 1.0
    mirrored = Bars(
        bars.time,
        centre - bars.open,
        centre - bars.low,
        centre - bars.high,
        centre - bars.close,
        bars.volume,
        bars.interval,
    )
    s = case.signals
    swapped = replace(s, entry_short=s.entry_long, exit_short=s.exit_long)
    long = run(bars, s, spec, case.capital, case.start).ledger
    short = run(mirrored, swapped, replace(spec, direction=Direction.SHORT), case.capital, case.start).ledger
    if LIQUIDATION in short.exit_reason.tolist():
        return
    assert long.entry_index.tolist() == short.entry_index.tolist()
    assert long.exit_index.tolist() == short.exit_index.tolist()
    rise = long.exit_price - long.entry_price
    assert np.allclose(rise, short.entry_price - short.exit_price, rtol=0, atol=1e-9 * centre)
    assert np.allclose(short.profit / short.quantity, rise, rtol=0, atol=1e-9 * centre)
