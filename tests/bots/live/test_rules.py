"""The rules of live bots against the engine's reference: the same bars, the same decisions."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from gql_trader.bots.live.bots.deciding import decide
from gql_trader.bots.live.bots.rules import (
    Holding,
    Wishes,
    exit_at,
    exit_inside,
    problem_of,
    quantity_to_enter,
)
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import Direction, ExecutionSpec, ExitReason, Side, Sizing, SizingKind
from gql_trader.engine.signals import Signals
from tests.engine.reference_simulator import ReferenceSimulator, Trade

HOUR = Interval.H1.milliseconds
LEVELS = {ExitReason.STOP_LOSS, ExitReason.TRAILING_STOP, ExitReason.TAKE_PROFIT, ExitReason.ROI}


def random_bars(random: Random, n: int, *, gaps: bool = True) -> Bars:
    """Bars with wide ranges, at prices that come again, so that levels are also met exactly."""
    rows, close = [], 100.0
    for _ in range(n):
        opened = round(close + (random.choice([0, 0, random.uniform(-2, 2)]) if gaps else 0), 0)
        close = round(opened + random.uniform(-3, 3), 0)
        low, high = min(opened, close), max(opened, close)
        rows.append((opened, high + random.randint(0, 2), low - random.randint(0, 2), close))
    opened, high, low, closes = np.array(rows, np.float64).T
    return Bars(HOUR * np.arange(n, dtype=np.int64), opened, high, low, closes, np.ones(n), HOUR)


def random_signals(random: Random, n: int, share: float) -> Signals:
    return Signals(*(np.array([random.random() < share for _ in range(n)]) for _ in range(4)))


def random_spec(random: Random, direction: Direction) -> ExecutionSpec:
    def maybe(*values: float) -> float | None:
        return random.choice([None, *values])

    trailing = maybe(0.02, 0.03, 0.05)
    return ExecutionSpec(
        maker_fee=0.0,
        taker_fee=0.0,
        direction=direction,
        stop_loss=maybe(0.02, 0.03, 0.04),
        take_profit=maybe(0.02, 0.03, 0.05),
        trailing_stop=trailing,
        trailing_activation=None if trailing is None else maybe(0.01, 0.02),
        minimal_roi=random.choice([(), ((0, 0.05), (60, 0.03), (180, 0.01), (300, 0.0))]),
    )


def first_exit(spec: ExecutionSpec, bars: Bars, trade: Trade) -> tuple[int, ExitReason] | None:
    """Return the bar on which live levels close the position of a trade, and why; None up to its end."""
    side = Side.LONG if trade.side > 0 else Side.SHORT
    held = Holding(side, trade.entry_price, trade.entry_time, trade.entry_price)
    for at in range(trade.entry_index, len(bars)):
        opening, low, high = int(bars.time[at]), float(bars.low[at]), float(bars.high[at])
        if at > trade.entry_index:
            if reason := exit_at(spec, held, float(bars.open[at]), opening):
                return at, reason
            if at == trade.exit_index and trade.exit_reason is ExitReason.SIGNAL:
                return None
        if reason := exit_inside(spec, held, low, high, opening):
            return at, reason
        held = held.improved(low, high)
    return None


@pytest.mark.parametrize("direction", list(Direction))
def test_levels_close_positions_of_both_sides_on_the_bar_and_for_the_reason_of_the_engine(
    direction: Direction,
) -> None:
    random, seen = Random(direction.value), set[tuple[int, ExitReason]]()
    for _ in range(150):
        bars, signals = random_bars(random, 60), random_signals(random, 60, 0.15)
        spec = random_spec(random, direction)
        for trade in ReferenceSimulator(spec, 1000.0).run(bars, signals).trades:
            expected = (trade.exit_index, trade.exit_reason) if trade.exit_reason in LEVELS else None
            assert first_exit(spec, bars, trade) == expected, (spec, trade)
            seen.add((trade.side, trade.exit_reason))
    sides = {Direction.LONG: [1], Direction.SHORT: [-1], Direction.BOTH: [1, -1]}[direction]
    assert seen >= {(side, reason) for side in sides for reason in LEVELS}


def decided(spec: ExecutionSpec, bars: Bars, signals: Signals) -> list[tuple[Side, int, int, ExitReason]]:
    """Return side, entry, exit and reason of the positions of an exchange that fills each close at once."""
    wishes, found = Wishes.of(signals, spec.direction), list[tuple[Side, int, int, ExitReason]]()
    held: Holding | None = None
    for at in range(len(bars) - 1):
        known, closing = bars.slice(0, at + 1), int(bars.time[at]) + bars.interval
        seen = Wishes(*(getattr(wishes, name)[: at + 1] for name in Wishes.__slots__))
        decision = decide(spec, seen, known, at, held)
        if held is not None and decision.leaves is not None:
            found.append((held.side, held.entered_at, closing, decision.leaves))
            held = None
        if held is None and decision.enters is not None:
            price = float(bars.close[at])
            held = Holding(decision.enters, price, closing, price)
    return found


@pytest.mark.parametrize("direction", list(Direction))
def test_at_each_close_is_decided_what_the_engine_does_by_the_next_open(direction: Direction) -> None:
    random, reasons, reversed_ = Random(direction.value), set[ExitReason](), 0
    for _ in range(80):
        bars, signals = random_bars(random, 60, gaps=False), random_signals(random, 60, 0.25)
        spec = random_spec(random, direction)
        engine = [
            (Side.LONG if each.side > 0 else Side.SHORT, each.entry_time, each.exit_time, each.exit_reason)
            for each in ReferenceSimulator(spec, 1000.0).run(bars, signals).trades
            if each.exit_time <= bars.time[-1]
        ]
        assert decided(spec, bars, signals) == engine, spec
        reasons |= {each[3] for each in engine}
        reversed_ += sum(first[2] == then[1] and first[0] is not then[0] for first, then in pairwise(engine))
    assert reasons >= {*LEVELS, ExitReason.SIGNAL}
    assert (reversed_ > 100) is (direction is Direction.BOTH)


def test_a_stop_that_the_exchange_holds_is_left_to_it_but_not_the_targets() -> None:
    held = Holding(Side.SHORT, 100.0, 0, 100.0)
    spec = ExecutionSpec(direction=Direction.SHORT, stop_loss=0.02, take_profit=0.03)
    assert exit_inside(spec, held, 96.0, 103.0, 0) is ExitReason.STOP_LOSS
    assert exit_inside(spec, held, 96.0, 103.0, 0, stops=False) is ExitReason.TAKE_PROFIT
    assert exit_inside(spec, held, 98.0, 103.0, 0, stops=False) is None


@pytest.mark.parametrize("direction", list(Direction))
def test_contradicting_signals_mean_what_they_mean_to_the_engine(direction: Direction) -> None:
    signals = random_signals(Random(3), 400, 0.5)
    wishes, engine = (
        Wishes.of(signals, direction),
        ReferenceSimulator(ExecutionSpec(direction=direction), 1.0),
    )
    for at in range(400):
        flags = engine.flags(signals, at)
        entry = Side.LONG if flags.enter_long else Side.SHORT if flags.enter_short else None
        assert wishes.entry(at) is entry
        # As the engine leaves a position: by its own exit, or by an entry of the other side.
        assert wishes.exits(Side.LONG)[at] == (flags.exit_long or flags.enter_short)
        assert wishes.exits(Side.SHORT)[at] == (flags.exit_short or flags.enter_long)


def test_as_much_is_traded_as_the_engine_would_of_both_sides() -> None:
    random = Random(5)
    for _ in range(400):
        kind = random.choice(list(SizingKind))
        value = {SizingKind.CASH: 400.0, SizingKind.QUANTITY: 3.0}.get(kind, random.uniform(0.05, 1.0))
        spec = ExecutionSpec(
            taker_fee=random.choice([0.0, 0.001]),
            slippage=random.choice([0.0, 0.002]),
            direction=Direction.BOTH,
            sizing=Sizing(kind, value),
            stop_loss=random.uniform(0.01, 0.2),
            leverage=float(random.randint(1, 5)),
            amount_precision=4,
        )
        side, price = random.choice(list(Side)), random.uniform(50, 150)
        engine = ReferenceSimulator(spec, 1000.0, cash=1000.0)
        at = engine.latest_day
        engine.enter(side, price, 0, 0, at)
        assert engine.position is not None
        quantity = quantity_to_enter(spec, side, Decimal(1000), price, 4)
        assert float(quantity) == engine.position.quantity


def test_what_live_bots_cannot_do_is_told() -> None:
    short = ExecutionSpec(direction=Direction.SHORT)
    problem = problem_of(short, contracts=False)
    assert problem is not None
    assert problem[0] == "direction"
    assert "Only contracts can be sold short" in problem[1]
    for spec in (short, replace(short, direction=Direction.BOTH, leverage=3.0)):
        assert problem_of(spec, contracts=True) is None
    for spec, field in (
        (replace(short, leverage=2.5), "leverage"),
        (replace(short, funding_rate_per_day=0.001), "fundingRatePerDay"),
    ):
        assert (problem_of(spec, contracts=True) or [None])[0] == field
