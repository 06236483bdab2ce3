"""What must hold of every run, whatever the market, the signals and the spec."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExitReason, FillModel
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.engine.simulation import Result, Simulation, run
from tests.engine.cases import Case, cases, part

LIQUIDATION = EXIT_REASONS.index(ExitReason.LIQUIDATION)
TAKE_PROFIT = EXIT_REASONS.index(ExitReason.TAKE_PROFIT)
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
        assert simulation.cash >= 0.0
        assert simulation.equity >= 0.0
    simulation.finish()
    assert simulation.cash == simulation.equity >= 0.0


@settings(max_examples=200, deadline=None)
@given(cases())
def test_profit_is_the_price_difference_less_fees_and_never_more_than_the_stake_is_lost(case: Case) -> None:
    ledger = result_of(case).ledger
    difference = ledger.side * ledger.quantity * (ledger.exit_price - ledger.entry_price)
    stake = ledger.quantity * ledger.entry_price * (1 + case.spec.taker_fee)
    expected = np.maximum(difference - ledger.fees, -stake)
    assert np.allclose(ledger.profit, expected, rtol=1e-9, atol=1e-9 * case.capital)
    assert np.all(ledger.profit_fraction >= -1.0)
    assert np.allclose(ledger.profit_fraction, ledger.profit / stake, rtol=1e-9, atol=1e-12)
    exit_rate = np.where(ledger.exit_reason == TAKE_PROFIT, case.spec.maker_fee, case.spec.taker_fee)
    full = ledger.quantity * (ledger.entry_price * case.spec.taker_fee + ledger.exit_price * exit_rate)
    assert np.all(ledger.fees <= full * (1 + 1e-12))
    solvent = difference - full > -stake * (1 - 1e-9)
    assert np.allclose(ledger.fees[solvent], full[solvent], rtol=1e-12)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_fills_are_inside_their_bars_before_slippage(case: Case) -> None:
    ledger, spec, bars = result_of(case).ledger, case.spec, case.bars
    entries = ledger.entry_price / (1 + ledger.side * spec.slippage)
    limit = ledger.exit_reason == TAKE_PROFIT
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
    spec = replace(
        case.spec,
        taker_fee=0.0,
        slippage=0.0,
        stop_loss=None,
        take_profit=None,
        trailing_stop=None,
        direction=Direction.LONG,
    )
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
