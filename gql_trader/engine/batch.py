"""Many simulations on the same bars and signals at once: what bots do at the close of a bar.

On most bars nothing is traded. Those simulations are advanced here without an object for each, which takes
a tenth of the time; the others are left as they were, for `Simulation` to advance. The kernel is the same, so
that the states are, bit for bit, those that `Simulation` exports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gql_trader.engine import kernel, kernel_arrays
from gql_trader.engine.bars import Bars, Flags, Floats, Integers
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.ledger import LEDGER_FLOATS, LEDGER_INTEGERS
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import STATE_HEADER

_ROWS = 64
_FLOATS, _INTEGERS = kernel.STATE_FLOATS + 1, kernel.STATE_INTEGERS + 1
_SIZE = len(STATE_HEADER) + 8 * (_FLOATS + _INTEGERS)


@dataclass(frozen=True, slots=True)
class Advanced:
    """Simulations after the bars.

    Attributes
    ----------
    quiet
        bool[k], whether nothing was opened or closed; what follows counts for these only.
    states
        k states, as `Simulation.export_state` returns them.
    balance, equity, cash
        float64[k], account currency.
    marks
        float64[k, n], equity at the close of each bar.
    last_close
        Price at which positions are marked.
    guards
        What the guards of each look at.
    """

    quiet: Flags
    states: list[bytes]
    balance: Floats
    equity: Floats
    cash: Floats
    marks: NDArray[np.float64]
    last_close: float
    guards: list[GuardFigures]


def readable(state: bytes) -> bool:
    """Return whether a state is one that `advance` takes: of this format, begun and not finished."""
    if len(state) != _SIZE or not state.startswith(STATE_HEADER):
        return False
    counts = np.frombuffer(state, "<i8", _INTEGERS, len(state) - 8 * _INTEGERS)
    return bool(counts[-1]) and not counts[kernel.FINISHED]


def advance(
    specs: Sequence[ExecutionSpec], states: Sequence[bytes], bars: Bars, signals: Signals
) -> Advanced:
    """Advance simulations by the same bars.

    Parameters
    ----------
    specs
        The spec of each of the k simulations.
    states
        What each exported before these bars; all of them `readable`.
    bars, signals
        n ≥ 1 bars, of equal length, that none of the simulations has seen.
    """
    k, n = len(states), len(bars)
    raw = np.frombuffer(b"".join(states), np.uint8).reshape(k, _SIZE)[:, len(STATE_HEADER) :]
    floats = np.ascontiguousarray(raw[:, : 8 * _FLOATS]).view("<f8").astype(np.float64)
    integers = np.ascontiguousarray(raw[:, 8 * _FLOATS :]).view("<i8").astype(np.int64)
    # The kernel takes rows of exactly its own width.
    state = np.ascontiguousarray(floats[:, :-1])
    counts = np.ascontiguousarray(integers[:, :-1])
    held = counts[:, [kernel.SIDE, kernel.ENTRY_INDEX, kernel.TRADES]].copy()
    marks = np.empty((k, n))
    rows = np.empty((_ROWS, len(LEDGER_INTEGERS)), dtype=np.int64)
    values = np.empty((_ROWS, len(LEDGER_FLOATS)))
    time, prices = kernel_arrays.require(bars.time, np.int64), kernel_arrays.prices(bars)
    flags = kernel_arrays.flags(signals)
    offsets = counts[:, kernel.NEXT_BAR].tolist()
    for at, (spec, offset) in enumerate(zip(specs, offsets, strict=True)):
        numbers, choice = _arrays(spec)
        kernel.simulate(
            state[at],
            counts[at],
            numbers,
            choice,
            time,
            *prices,
            *flags,
            bars.interval,
            offset,
            offset + n,
            marks[at],
            rows,
            values,
        )
    after = counts[:, [kernel.SIDE, kernel.ENTRY_INDEX, kernel.TRADES]]
    quiet: Flags = (held == after).all(axis=1)
    floats[:, :-1], integers[:, :-1] = state, counts
    bound = np.where(counts[:, kernel.SIDE] != 0, state[:, kernel.MARGIN] + state[:, kernel.ENTRY_FEE], 0.0)
    packed = np.empty((k, _SIZE), np.uint8)
    packed[:, : len(STATE_HEADER)] = np.frombuffer(STATE_HEADER, np.uint8)
    packed[:, len(STATE_HEADER) : -8 * _INTEGERS] = floats.astype("<f8").view(np.uint8)
    packed[:, -8 * _INTEGERS :] = integers.astype("<i8").view(np.uint8)
    whole = packed.tobytes()
    return Advanced(
        quiet=quiet,
        states=[whole[at * _SIZE : (at + 1) * _SIZE] for at in range(k)],
        balance=state[:, kernel.BALANCE],
        equity=state[:, kernel.EQUITY],
        cash=np.maximum(state[:, kernel.BALANCE] - bound, 0.0),
        marks=marks,
        last_close=float(bars.close[-1]),
        guards=_guards(specs, state, counts),
    )


def _guards(specs: Sequence[ExecutionSpec], state: Floats, counts: Integers) -> list[GuardFigures]:
    return [
        GuardFigures(
            day=day if _arrays(spec)[1][kernel.GUARDED] else -1,
            day_start_equity=start,
            day_entries=entries,
            halted=halted == kernel.FOR_THE_DAY,
            resting_bars=max(0, rests),
            peak_equity=peak if _arrays(spec)[0][kernel.MAX_DRAWDOWN] else 0.0,
            drawn_down=halted == kernel.FOR_GOOD,
        )
        for spec, day, start, entries, halted, rests, peak in zip(
            specs,
            counts[:, kernel.DAY].tolist(),
            state[:, kernel.DAY_START_EQUITY].tolist(),
            counts[:, kernel.DAY_ENTRIES].tolist(),
            counts[:, kernel.HALTED].tolist(),
            (counts[:, kernel.NO_ENTRY_BEFORE] - counts[:, kernel.NEXT_BAR]).tolist(),
            state[:, kernel.PEAK_EQUITY].tolist(),
            strict=True,
        )
    ]


@lru_cache(maxsize=10_000)
def _arrays(spec: ExecutionSpec) -> tuple[Floats, Integers]:
    numbers, choice = kernel_arrays.spec_arrays(spec)
    numbers.setflags(write=False)
    choice.setflags(write=False)
    return numbers, choice
