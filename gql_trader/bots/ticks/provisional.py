"""What the engine would do if the bar that is under way ended as it stands. Pure; nothing of it is booked.

A stop or a liquidation that the bar has reached by then is reached when it ends, too; a target gives way to a
stop that the bar reaches later, since of both inside one bar the stop is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gql_trader.engine import batch
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec, ExitReason
from gql_trader.engine.ledger import EXIT_REASONS
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import Simulation

_AT_THE_CLOSE = (ExitReason.SIGNAL, ExitReason.DAILY_LIMIT)
"""What closes a position at a close, if not at an open: at a price that is not known before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session that holds a position would stand.

    Attributes
    ----------
    equity
        Account currency.
    reason, price
        How the position would be closed, and at what price, slippage included; None: it would be held.
    """

    equity: float
    reason: ExitReason | None = None
    price: float | None = None


def standings(
    executions: Sequence[ExecutionSpec], states: Sequence[bytes], bar: Bars
) -> list[Standing | None]:
    """Return where simulations that hold positions would stand after one more bar; None: cannot be told.

    Parameters
    ----------
    executions, states
        Spec and exported state of each, after the bar before this one.
    bar
        One bar, valid as far as it goes.
    """
    able = [at for at, state in enumerate(states) if batch.readable(state)]
    found: list[Standing | None] = [None] * len(states)
    if not able:
        return found
    after = batch.advance(
        [executions[at] for at in able],
        [states[at] for at in able],
        bar,
        [Signals.none(len(bar))] * len(able),
    )
    for place, at in enumerate(able):
        if after.quiet[place]:
            found[at] = Standing(float(after.equity[place]))
        else:
            found[at] = _closed(executions[at], states[at], bar)
    return found


def _closed(execution: ExecutionSpec, state: bytes, bar: Bars) -> Standing:
    simulation = Simulation.restore(execution, state)
    simulation.advance(bar, Signals.none(len(bar)), offset=simulation.next_bar)
    ledger = simulation.result().ledger
    reason = EXIT_REASONS[int(ledger.exit_reason[0])]
    if reason in _AT_THE_CLOSE and int(ledger.exit_time[0]) > int(bar.time[0]):
        return Standing(simulation.equity)
    return Standing(simulation.equity, reason, float(ledger.exit_price[0]))
