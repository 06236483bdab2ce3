"""The simulation: a state machine that turns bars and signals into a ledger and an equity curve.

Feeding one bar at a time gives, bit for bit, what feeding all at once gives. That is how a bot equals its
backtest, and how a run is interrupted, watched and resumed.
"""

import struct
from collections.abc import Callable
from math import isfinite
from typing import Final

import numpy as np

from gql_trader.engine import kernel_arrays
from gql_trader.engine.bars import Bars, Floats, Integers, require
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.kernel import layout, loop
from gql_trader.engine.ledger import LEDGER_FLOATS, LEDGER_INTEGERS, ledger_of
from gql_trader.engine.results import GuardFigures, OpenPosition, Result
from gql_trader.engine.signals import Signals

__all__ = ["CorruptStateError", "Result", "Signals", "Simulation", "SimulationStoppedError", "run"]

_STATE_PREFIX: Final = struct.Struct("<4sHHH")
_STATE_MAGIC: Final = b"GTSS"
_STATE_FORMAT: Final = 2
STATE_HEADER: Final = _STATE_PREFIX.pack(
    _STATE_MAGIC, _STATE_FORMAT, layout.STATE_FLOATS, layout.STATE_INTEGERS + 1
)
"""What an exported state begins with; then its numbers follow, and its counts."""
_FEWEST_ROWS: Final = 256
_BARS_PER_ROW: Final = 200
_MOST_ROWS_AT_FIRST: Final = 8_192
_BARS_PER_REPORT: Final = 65_536
_REPORTS: Final = 100


class SimulationStoppedError(Exception):
    """`run` was asked to stop before its last bar."""


class CorruptStateError(ValueError):
    """The bytes are not a simulation's state, or one of another format."""


class Simulation:
    """One account trading one market under one spec.

    Parameters
    ----------
    spec
        Costs, size and protective levels, already checked for their ranges.
    initial_capital
        Account currency, positive.
    start
        First bar that may trade, counted from the first bar of the series. What the signals say at the
        close of the bar before it fills at its open.

    Raises
    ------
    ValueError
        If the capital is not a positive number or the start is negative.
    """

    _trades: int
    """Rows of the ledger that are written."""

    def __init__(self, spec: ExecutionSpec, initial_capital: float, start: int = 0) -> None:
        if not (isfinite(initial_capital) and initial_capital > 0):
            raise ValueError(f"initial capital must be a positive number; got {initial_capital!r}")
        if start < 0:
            raise ValueError(f"start must not be negative; got {start}")
        self._spec, self._choice = kernel_arrays.spec_arrays(spec)
        self._state = np.zeros(layout.STATE_FLOATS)
        self._counts = np.zeros(layout.STATE_INTEGERS, dtype=np.int64)
        for mark in (layout.BALANCE, layout.EQUITY, layout.DAY_START_EQUITY, layout.PEAK_EQUITY):
            self._state[mark] = initial_capital
        self._counts[layout.NEXT_BAR] = start
        self._counts[layout.DAY] = layout.NO_DAY
        self._initial_capital = initial_capital
        self._first_bar = start
        self._begun = start == 0
        self._allocate()

    @property
    def next_bar(self) -> int:
        """The bar that is simulated next, counted from the first bar of the series."""
        return int(self._counts[layout.NEXT_BAR])

    @property
    def equity(self) -> float:
        """Account currency, marked at the last close."""
        return float(self._state[layout.EQUITY])

    @property
    def cash(self) -> float:
        """Account currency that is not bound in the open position as margin or fee; never negative."""
        if not self.in_position:
            return float(self._state[layout.BALANCE])
        stake = self._state[layout.MARGIN] + self._state[layout.ENTRY_FEE]
        # Margin and fee may be all there is, and their sum round up.
        return max(float(self._state[layout.BALANCE] - stake), 0.0)

    @property
    def position(self) -> float:
        """Base currency held, negative when short, 0.0 without a position."""
        return float(self._counts[layout.SIDE] * self._state[layout.QUANTITY]) if self.in_position else 0.0

    @property
    def in_position(self) -> bool:
        """Whether a position is open."""
        return bool(self._counts[layout.SIDE] != 0)

    @property
    def open_position(self) -> OpenPosition | None:
        """The position that is held; None without one."""
        if not self.in_position:
            return None
        return OpenPosition(
            side=int(self._counts[layout.SIDE]),
            quantity=float(self._state[layout.QUANTITY]),
            entry_price=float(self._state[layout.ENTRY_PRICE]),
            entry_fee=float(self._state[layout.ENTRY_FEE]),
            entry_time=int(self._counts[layout.ENTRY_TIME]),
            entry_index=int(self._counts[layout.ENTRY_INDEX]),
        )

    @property
    def closed_trades(self) -> int:
        """Trades closed since the start, those before `restore` included."""
        return int(self._counts[layout.TRADES])

    @property
    def balance(self) -> float:
        """Account currency: initial capital and the profits of the closed trades."""
        return float(self._state[layout.BALANCE])

    @property
    def last_close(self) -> float:
        """Price at which the last bar closed, and the position is marked; 0.0 before the first bar."""
        return float(self._state[layout.LAST_CLOSE])

    @property
    def guards(self) -> GuardFigures:
        """What the guards look at, after the last bar."""
        counted = self._choice[layout.GUARDED] and self._begun and self._counts[layout.LAST_TIME] > 0
        return GuardFigures(
            day=int(self._counts[layout.DAY]) if counted else -1,
            day_start_equity=float(self._state[layout.DAY_START_EQUITY]),
            day_entries=int(self._counts[layout.DAY_ENTRIES]),
            halted=bool(self._counts[layout.HALTED] == layout.FOR_THE_DAY),
            resting_bars=max(0, int(self._counts[layout.NO_ENTRY_BEFORE]) - self.next_bar),
            peak_equity=float(self._state[layout.PEAK_EQUITY]) if self._spec[layout.MAX_DRAWDOWN] else 0.0,
            drawn_down=bool(self._counts[layout.HALTED] == layout.FOR_GOOD),
        )

    def advance(self, bars: Bars, signals: Signals, stop: int | None = None, *, offset: int = 0) -> None:
        """Simulate the bars from `next_bar` up to `stop`.

        Parameters
        ----------
        bars, signals
            A window on the series, of equal length, with valid bars (low ≤ open, close ≤ high) and without
            anything that a later bar would change. It must contain `next_bar`, and the bar before it at the
            very start, whose signals fill at the open; later only new bars are needed.
        stop
            Bar of the series to stop before; None: the window's end.
        offset
            Bar of the series that the window begins with.

        Raises
        ------
        ValueError
            If the window does not contain the bars asked for, or the simulation is finished.
        """
        end = offset + len(bars)
        stop = end if stop is None else stop
        begin = self.next_bar
        if len(signals) != len(bars):
            raise ValueError(f"{len(bars)} bars need as many signals; got {len(signals)}")
        if not offset <= begin <= stop <= end:
            raise ValueError(f"bars {begin} to {stop} are not in the window of bars {offset} to {end}")
        if self._counts[layout.FINISHED]:
            raise ValueError("the simulation is finished")
        flags = kernel_arrays.flags(signals)
        if not self._begun:
            if begin == offset:
                raise ValueError(f"the signals of bar {begin - 1}, before the start, are missing")
            self._counts[layout.PENDING] = sum(
                code * int(column[begin - 1 - offset]) for code, column in zip(_CODES, flags, strict=True)
            )
            self._begun = True
        if begin == stop:
            return
        self._reserve(stop - self._first_bar)
        time, prices = require(bars.time, np.int64), kernel_arrays.prices(bars)
        while self.next_bar < stop:
            self._trades = loop.simulate(
                self._state,
                self._counts,
                self._spec,
                self._choice,
                time,
                *prices,
                *flags,
                bars.interval,
                offset,
                stop,
                self._equity[self.next_bar - self._first_bar :],
                self._rows,
                self._values,
                self._trades,
            )
            self._make_room()

    def finish(self) -> None:
        """Close an open position at the last close, reason END_OF_DATA; the last equity becomes final cash.

        Raises
        ------
        ValueError
            If the simulation is finished already.
        """
        if self._counts[layout.FINISHED]:
            raise ValueError("the simulation is finished")
        if self.in_position:
            loop.close_out(
                self._state,
                self._counts,
                self._spec,
                self._choice,
                self._rows,
                self._values,
                self._trades,
            )
            self._trades += 1
            if self.next_bar > self._first_bar:  # not just restored: the last bar is among these
                self._equity[self.next_bar - 1 - self._first_bar] = self.equity
        self._counts[layout.FINISHED] = 1

    def result(self) -> Result:
        """Return what was done since the start, or since `restore`; equity is a view."""
        equity = self._equity[: self.next_bar - self._first_bar]
        return Result(
            ledger=ledger_of(self._rows, self._values, self._trades),
            equity=equity,
            start=self._first_bar,
            initial_capital=self._initial_capital,
            final_equity=self.equity,
            bars_in_position=int(self._counts[layout.BARS_IN_POSITION]),
            traded_notional=float(self._state[layout.TRADED_NOTIONAL]),
            fees_paid=float(self._state[layout.FEES_PAID]),
            funding_paid=float(self._state[layout.FUNDING_PAID]),
        )

    def export_state(self) -> bytes:
        """Return all that the next bar depends on; not the ledger and equity so far."""
        prefix = _STATE_PREFIX.pack(
            _STATE_MAGIC, _STATE_FORMAT, layout.STATE_FLOATS, layout.STATE_INTEGERS + 1
        )
        counts = np.append(self._counts, int(self._begun)).astype("<i8")
        capital = np.append(self._state, self._initial_capital).astype("<f8")
        return prefix + capital.tobytes() + counts.tobytes()

    @classmethod
    def restore(cls, spec: ExecutionSpec, data: bytes) -> "Simulation":
        """Return a simulation that goes on where another one was exported.

        Its ledger and equity begin with the next bar; counts and sums go on.

        Parameters
        ----------
        spec
            The same spec as before.
        data
            From `export_state`.

        Raises
        ------
        CorruptStateError
            If the bytes are not such a state.
        """
        floats, integers = layout.STATE_FLOATS + 1, layout.STATE_INTEGERS + 1
        if len(data) != _STATE_PREFIX.size + 8 * (floats + integers):
            raise CorruptStateError(f"{len(data)} bytes are not a simulation's state")
        expected = (_STATE_MAGIC, _STATE_FORMAT, layout.STATE_FLOATS, integers)
        if _STATE_PREFIX.unpack_from(data) != expected:
            raise CorruptStateError("these bytes are not a simulation's state of a known format")
        state = np.frombuffer(data, "<f8", floats, _STATE_PREFIX.size).astype(np.float64)
        counts = np.frombuffer(data, "<i8", integers, _STATE_PREFIX.size + 8 * floats).astype(np.int64)
        simulation = cls(spec, float(state[-1]), int(counts[layout.NEXT_BAR]))
        simulation._state[:] = state[:-1]
        simulation._counts[:] = counts[:-1]
        simulation._begun = bool(counts[-1])
        return simulation

    def _allocate(self) -> None:
        self._trades = 0
        self._rows: Integers = np.empty((len(LEDGER_INTEGERS), _FEWEST_ROWS), dtype=np.int64)
        self._values: Floats = np.empty((len(LEDGER_FLOATS), _FEWEST_ROWS))
        self._equity: Floats = np.empty(0)

    def _make_room(self) -> None:
        rows = self._rows.shape[1]
        if rows - self._trades < _FEWEST_ROWS // 2:
            self._make_rows(2 * rows)

    def _make_rows(self, wanted: int) -> None:
        """Make the ledger's rows as many as wanted, unless there are more."""
        rows, values = self._rows, self._values
        if wanted <= rows.shape[1]:
            return
        self._rows = np.empty((len(rows), wanted), dtype=np.int64)
        self._values = np.empty((len(values), wanted))
        self._rows[:, : self._trades] = rows[:, : self._trades]
        self._values[:, : self._trades] = values[:, : self._trades]

    def _reserve(self, bars: int) -> None:
        if bars > len(self._equity):
            done = self.next_bar - self._first_bar
            # Doubling keeps bar after bar cheap; the first chunk of a known length is not rounded up.
            equity = np.empty(bars if done == 0 else max(bars, 2 * len(self._equity)))
            equity[:done] = self._equity[:done]
            self._equity = equity


_CODES = (layout.ENTER_LONG, layout.EXIT_LONG, layout.ENTER_SHORT, layout.EXIT_SHORT)


def run(
    bars: Bars,
    signals: Signals,
    spec: ExecutionSpec,
    initial_capital: float,
    start: int = 0,
    on_progress: Callable[[int, float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Result:
    """Simulate all bars from `start` and close what is open at the end.

    Parameters
    ----------
    bars, signals
        The whole series, of equal length; valid bars.
    spec
        Costs, size and protective levels, already checked for their ranges.
    initial_capital
        Account currency, positive.
    start
        First bar that may trade.
    on_progress
        Called at most a hundred times with the index of the last bar done and the equity at its close.
    should_stop
        Asked before every chunk.

    Raises
    ------
    SimulationStoppedError
        If `should_stop` returned true.
    ValueError
        If there is no bar to simulate, or the capital is not a positive number.
    """
    n = len(bars)
    if not 0 <= start < n:
        raise ValueError(f"start must be one of the {n} bars; got {start}")
    simulation = Simulation(spec, initial_capital, start)
    simulation._reserve(n - start)
    simulation._make_rows(min((n - start) // _BARS_PER_ROW, _MOST_ROWS_AT_FIRST))
    watched = on_progress is not None or should_stop is not None
    step = max(_BARS_PER_REPORT, -(-(n - start) // _REPORTS)) if watched else n
    for stop in (*range(start + step, n, step), n):
        if should_stop is not None and should_stop():
            raise SimulationStoppedError
        simulation.advance(bars, signals, stop)
        if on_progress is not None:
            on_progress(stop - 1, simulation.equity)
    simulation.finish()
    return simulation.result()
