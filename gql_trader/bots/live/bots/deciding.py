"""What a live bot does at the close of a bar: the rules of `rules` in the engine's order. Pure."""

from dataclasses import dataclass

import numpy as np

from gql_trader.bots.live.bots import rules
from gql_trader.bots.live.bots.rules import Holding, Wishes
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec, ExitReason, Side

_AT_THE_OPEN = 30_000
"""A position that was opened this soon after a bar, in milliseconds, was held all through it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the newest of some bars asks for.

    Attributes
    ----------
    leaves
        Why a position, or what is about to be one, is to be closed; None: it is not.
    enters
        What to open, if nothing is held, or once nothing is held any more; None: nothing.
    """

    leaves: ExitReason | None
    enters: Side | None


def decide(
    spec: ExecutionSpec,
    wishes: Wishes,
    bars: Bars,
    done: int,
    held: Holding | None,
    *,
    opening: Side | None = None,
    stops: bool = True,
    guards: ExitReason | None = None,
) -> Decision:
    """Return what to do at the close of the last bar, in the engine's order.

    Levels that the bars have met, levels that the close is beyond as the next open may be, guards, signals.
    Of several bars that come late any closes a position, and only the last one opens one.

    Parameters
    ----------
    done
        The first bar that was not decided on.
    held
        The position, with its best price at its entry; None: nothing is held.
    opening
        What an order is about to open; its exit is known by signals and guards only.
    stops
        False: the exchange holds the stop, and is beyond the close only if it has failed to act on it.
    guards
        What the guards ask for.
    """
    last = len(bars) - 1
    reverses, leaves = rules.may_reverse(spec), None
    if held is not None:
        leaves = first_exit(spec, held, bars, done, stops=stops)
        if leaves is None:
            closing = int(bars.time[last]) + bars.interval
            leaves = rules.exit_at(spec, after(held, bars, last + 1), float(bars.close[last]), closing)
            # As at an open: nothing is opened at the price at which a level has closed a position.
            reverses = reverses and leaves is None
    leaves = leaves or guards
    side = opening if held is None else held.side
    if leaves is None and side is not None and bool(wishes.exits(side)[done:].any()):
        leaves = ExitReason.SIGNAL
    return Decision(leaves, wishes.entry(last) if side is None or reverses else None)


def after(held: Holding, bars: Bars, stop: int) -> Holding:
    """Return a position with the best price of the bars before one."""
    first = _begun(held, bars)
    if first >= stop:
        return held
    return held.improved(float(bars.low[first:stop].min()), float(bars.high[first:stop].max()))


def first_exit(
    spec: ExecutionSpec, held: Holding, bars: Bars, start: int, *, stops: bool
) -> ExitReason | None:
    """Return why the first bar from one on closes a position that does, by its prices; None: none does."""
    for at in range(max(start, _begun(held, bars)), len(bars)):
        low, high, opening = float(bars.low[at]), float(bars.high[at]), int(bars.time[at])
        # The trailing stop follows a bar only from the next one on.
        before = after(held, bars, at)
        if reason := rules.exit_inside(spec, before, low, high, opening, stops=stops):
            return reason
    return None


def _begun(held: Holding, bars: Bars) -> int:
    """Return the first bar that a position was held all through."""
    # Of a bar in which it was opened late it is not known when its prices were met.
    return int(np.searchsorted(bars.time, held.entered_at - _AT_THE_OPEN))
