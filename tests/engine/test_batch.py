"""Simulations advanced together are, bit for bit, those advanced alone."""

import numpy as np
import pytest

from gql_trader.engine import batch
from gql_trader.engine.execution import Direction, ExecutionSpec, FillModel
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import Simulation
from tests.factories.markets import random_bars, random_signals

SPECS = [
    ExecutionSpec(),
    ExecutionSpec(fill=FillModel.CLOSE, stop_loss=0.03, slippage=0.001),
    ExecutionSpec(direction=Direction.BOTH, take_profit=0.05, trailing_stop=0.02, cooldown_bars=4),
    ExecutionSpec(direction=Direction.SHORT, leverage=3.0, funding_rate_per_day=0.01),
    ExecutionSpec(max_daily_loss=0.02, daily_target=0.03, max_daily_trades=1),
    ExecutionSpec(minimal_roi=((0, 0.05), (300, 0.01)), amount_precision=2, min_notional=10.0),
]


@pytest.mark.parametrize("chunk", [1, 7])
def test_what_is_quiet_ends_in_the_state_that_each_simulation_ends_in(chunk: int) -> None:
    random = np.random.default_rng(5)
    n, begin = 400, 20
    bars, signals = random_bars(random, n), random_signals(random, n, 0.03)

    def window(at: int) -> Signals:
        columns = (signals.entry_long, signals.exit_long, signals.entry_short, signals.exit_short)
        return Signals(*(column[at : at + chunk] for column in columns))

    alone = [Simulation(spec, 10_000.0, 1) for spec in SPECS]
    for each in alone:
        each.advance(bars, signals, begin)
    quiet = 0
    for at in range(begin, n - chunk + 1, chunk):
        states = [each.export_state() for each in alone]
        assert all(map(batch.readable, states))
        guards = [each.guards for each in alone]
        said = [window(at)] * len(SPECS)
        found = batch.advance(SPECS, states, bars.slice(at, at + chunk), said, guards)
        assert batch.advance(SPECS, states, bars.slice(at, at + chunk), said).guards == found.guards
        for place, spec in enumerate(SPECS):
            traded = alone[place].closed_trades, alone[place].open_position
            fresh = Simulation.restore(spec, states[place])
            fresh.advance(bars.slice(at, at + chunk), window(at), offset=at)
            alone[place] = fresh
            assert bool(found.quiet[place]) == ((fresh.closed_trades, fresh.open_position) == traded)
            if not found.quiet[place]:
                continue
            quiet += 1
            assert found.states[place] == fresh.export_state()
            assert found.balance[place] == fresh.balance
            assert found.equity[place] == fresh.equity
            assert found.cash[place] == fresh.cash
            assert found.guards[place] == fresh.guards
            assert (found.guards[place] is guards[place]) == (fresh.guards == guards[place])
            assert found.last_close == fresh.last_close
            assert np.array_equal(found.marks[place], fresh.result().equity)
    assert quiet > (n // chunk)
    assert sum(each.closed_trades for each in alone) > 20


def test_states_that_cannot_be_advanced_are_known() -> None:
    simulation = Simulation(ExecutionSpec(), 10_000.0)
    bars = random_bars(np.random.default_rng(1), 3)
    simulation.advance(bars, Signals.none(3))
    state = simulation.export_state()
    assert batch.readable(state)
    assert not batch.readable(b"damaged")
    assert not batch.readable(b"X" + state[1:])
    assert not batch.readable(state[:-8])
    simulation.finish()
    assert not batch.readable(simulation.export_state())
