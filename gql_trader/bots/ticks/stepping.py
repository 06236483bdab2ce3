"""One step of a session: bars in, fills and figures out. Pure; runs in a thread of its own.

A session is a simulation that is put down after each step and taken up again by the next, which gives, bit
for bit, what one backtest over all the bars gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from gql_trader.bots.quarters import Quarter, leaves_quarter, quarters_between
from gql_trader.core.ids import TradingSessionId, UserId
from gql_trader.engine import batch
from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExecutionSpec, ExitReason, Side
from gql_trader.engine.ledger import EXIT_REASONS, Ledger
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import Simulation

_NO_EXITS = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session trades under: the same from its start to its end.

    Attributes
    ----------
    equity_every
        Every so many bars equity is noted, besides when something is traded.
    """

    session_id: TradingSessionId
    user_id: UserId
    bot_id: UUID | None
    execution: ExecutionSpec
    capital: float
    equity_every: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a session stands before a step.

    Attributes
    ----------
    revision
        Number of the write that left it there.
    state
        What the simulation exported; None: no bar was traded yet.
    last_bar_time
        Opening time of the last bar that was traded, Unix milliseconds.
    bars
        Bars traded so far.
    guards
        What its guards look at.
    signal_key
        What stands for its signals, for explaining what it did; None: that is not kept.
    rooted
        Whether its first bar and its signal key are stored, as they are from its first step on.
    """

    terms: Terms
    revision: int
    state: bytes | None
    last_bar_time: int | None
    bars: int
    guards: GuardFigures
    signal_key: UUID | None = None
    rooted: bool = False

    @property
    def session_id(self) -> TradingSessionId:
        """The session's id."""
        return self.terms.session_id


@dataclass(frozen=True, slots=True)
class Exit:
    """How a trade was closed; as in `gql_trader.engine.ledger.Ledger`."""

    time: int
    price: float
    reason: ExitReason
    profit: float
    profit_fraction: float
    fees: float
    funding: float
    bars: int
    max_favorable: float
    max_adverse: float
    equity_after: float


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade that was opened or closed in a step.

    Attributes
    ----------
    number
        1 for the first of the session.
    entry_time
        Unix milliseconds.
    exit
        None while the position is held.
    opened
        Whether it was opened in this step.
    """

    number: int
    side: Side
    quantity: float
    entry_time: int
    entry_price: float
    entry_fee: float
    exit: Exit | None
    opened: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Where a session stands after a step, and what was traded in it.

    Attributes
    ----------
    bars
        How many were traded.
    balance, equity, cash
        Account currency.
    last_close
        Price at which the position is marked; None before the first bar.
    tripped
        Whether a daily guard has tripped in this step and still holds.
    points
        Opening times (Unix milliseconds) of bars whose equity is noted, and the equity at their closes.
    leaves_quarter
        Whether the first of the bars opened in a later quarter of an hour than the last bar before them.
    quarters
        Those that ended within the step, without the ones in which nothing has changed.
    """

    standing: Standing
    bars: int
    anchor_time: int | None
    balance: float
    equity: float
    cash: float
    last_close: float | None
    guards_before: GuardFigures
    tripped: bool
    trades: tuple[Trade, ...]
    points: tuple[tuple[int, float], ...]
    finished: bool
    leaves_quarter: bool = False
    quarters: tuple[Quarter, ...] = ()


def take_step(
    before: Standing, bars: Bars, signals: Signals, start: int, stop: int, *, finish: bool = False
) -> Step:
    """Trade the bars of a window that were not traded yet.

    Parameters
    ----------
    bars, signals
        The window that the session's signals are computed on, from its first bar.
    start
        Index of the first bar that may trade; it counts for the first step.
    stop
        Index of the bar to stop before.
    finish
        Close an open position at the last close, reason END_OF_DATA; no step may follow.
    """
    if before.state is None:
        simulation, at, new = Simulation(before.terms.execution, before.terms.capital, start), 0, start
    else:
        simulation = Simulation.restore(before.terms.execution, before.state)
        assert before.last_bar_time is not None, "a session with a state has traded a bar"
        new = int(np.searchsorted(bars.time, before.last_bar_time, side="right"))
        at = new
    stop = max(stop, new)
    held = simulation.closed_trades + 1 if simulation.in_position else 0
    first = simulation.next_bar
    if stop > new:
        window = signals_from(signals, at, stop)
        simulation.advance(bars.slice(at, stop), window, offset=first - (new - at))
    if finish:
        simulation.finish()
    result = simulation.result()
    trades = _trades(before.terms.execution, simulation, result.ledger, held)
    traded = {int(index) - first for index in (*result.ledger.exit_index, *result.ledger.entry_index)}
    if (position := simulation.open_position) is not None:
        traded.add(position.entry_index - first)
    done = stop - new
    noted = sorted(
        {at for at in traded if 0 <= at < done}
        | set(range(-(before.bars + 1) % before.terms.equity_every, done, before.terms.equity_every))
        | ({done - 1} if finish and done else set())
    )
    points = [(int(bars.time[new + at]), float(result.equity[at])) for at in noted]
    last_bar_time = int(bars.time[stop - 1]) if done else before.last_bar_time
    if finish and not done and before.last_bar_time is not None:
        # The position was closed at the close of a bar that an earlier step has traded.
        points.append((before.last_bar_time, simulation.equity))
    guards = simulation.guards
    begun = before.state is not None or done > 0
    return Step(
        standing=Standing(
            terms=before.terms,
            revision=before.revision + 1,
            state=simulation.export_state() if begun else None,
            last_bar_time=last_bar_time,
            bars=before.bars + done,
            guards=guards,
            signal_key=before.signal_key,
            rooted=before.rooted,
        ),
        bars=done,
        anchor_time=int(bars.time[0]) if begun and len(bars) else None,
        balance=simulation.balance,
        equity=simulation.equity,
        cash=simulation.cash,
        last_close=simulation.last_close if begun else None,
        guards_before=before.guards,
        tripped=guards.tripped_since(before.guards),
        trades=trades,
        points=tuple(points),
        finished=finish,
        leaves_quarter=done > 0 and leaves_quarter(before.last_bar_time, int(bars.time[new])),
        quarters=quarters_between(bars.time[new:stop], result.equity, result.ledger.exit_index - first),
    )


def take_quiet_steps(
    before: Sequence[Standing], bars: Bars, signals: Sequence[Signals]
) -> tuple[list[Step], list[Standing]]:
    """Trade the same new bars for many sessions; return their steps, and the sessions that need their own.

    Those are the ones that open or close a position, and those that `take_step` will fail on.

    Parameters
    ----------
    bars
        Those that none of the sessions has traded yet, at least one, and not their first.
    signals
        Of these bars, for each session.
    """
    able: list[Standing] = []
    heard: list[Signals] = []
    others: list[Standing] = []
    for each, said in zip(before, signals, strict=True):
        if each.state is not None and batch.readable(each.state):
            able.append(each)
            heard.append(said)
        else:
            others.append(each)
    if not able:
        return [], others
    states = [each.state for each in able if each.state is not None]
    specs, guarded = [each.terms.execution for each in able], [each.guards for each in able]
    found = batch.advance(specs, states, bars, heard, guarded)
    n, last_bar_time = len(bars), int(bars.time[-1])
    # They have all traded the same bars before.
    leaves = leaves_quarter(able[0].last_bar_time, int(bars.time[0]))
    balance, equity, cash = found.balance.tolist(), found.equity.tolist(), found.cash.tolist()
    steps: list[Step] = []
    for at, (each, quiet, guards) in enumerate(zip(able, found.quiet.tolist(), found.guards, strict=True)):
        if not quiet:
            others.append(each)
            continue
        noted = range(-(each.bars + 1) % each.terms.equity_every, n, each.terms.equity_every)
        # By position: dataclasses.replace takes several times as long, thousands of times a bar.
        standing = Standing(
            each.terms,
            each.revision + 1,
            found.states[at],
            last_bar_time,
            each.bars + n,
            guards,
            each.signal_key,
            each.rooted,
        )
        steps.append(
            Step(
                standing=standing,
                bars=n,
                anchor_time=None,
                balance=balance[at],
                equity=equity[at],
                cash=cash[at],
                last_close=found.last_close,
                guards_before=each.guards,
                tripped=guards is not each.guards and guards.tripped_since(each.guards),
                trades=(),
                points=tuple((int(bars.time[bar]), float(found.marks[at, bar])) for bar in noted),
                finished=False,
                leaves_quarter=leaves,
                quarters=quarters_between(bars.time, found.marks[at], _NO_EXITS) if n > 1 else (),
            )
        )
    return steps, others


def signals_from(signals: Signals, start: int, stop: int | None = None) -> Signals:
    """Return the signals of bars ``start`` to ``stop`` (exclusive; None: to the end) as views."""
    columns = (signals.entry_long, signals.exit_long, signals.entry_short, signals.exit_short)
    return Signals(*(column[start:stop] for column in columns))


def _trades(execution: ExecutionSpec, simulation: Simulation, ledger: Ledger, held: int) -> tuple[Trade, ...]:
    first = simulation.closed_trades - len(ledger) + 1
    found = []
    for at in range(len(ledger)):
        quantity, price = float(ledger.quantity[at]), float(ledger.entry_price[at])
        found.append(
            Trade(
                number=first + at,
                side=ledger.side_of(at),
                quantity=quantity,
                entry_time=int(ledger.entry_time[at]),
                entry_price=price,
                # As the engine computes it.
                entry_fee=quantity * price * execution.taker_fee,
                exit=Exit(
                    time=int(ledger.exit_time[at]),
                    price=float(ledger.exit_price[at]),
                    reason=EXIT_REASONS[int(ledger.exit_reason[at])],
                    profit=float(ledger.profit[at]),
                    profit_fraction=float(ledger.profit_fraction[at]),
                    fees=float(ledger.fees[at]),
                    funding=float(ledger.funding[at]),
                    bars=int(ledger.bars[at]),
                    max_favorable=float(ledger.max_favorable[at]),
                    max_adverse=float(ledger.max_adverse[at]),
                    equity_after=float(ledger.equity_after[at]),
                ),
                opened=first + at != held,
            )
        )
    position = simulation.open_position
    if position is not None and simulation.closed_trades + 1 != held:
        found.append(
            Trade(
                number=simulation.closed_trades + 1,
                side=Side.LONG if position.side > 0 else Side.SHORT,
                quantity=position.quantity,
                entry_time=position.entry_time,
                entry_price=position.entry_price,
                entry_fee=position.entry_fee,
                exit=None,
                opened=True,
            )
        )
    return tuple(found)
