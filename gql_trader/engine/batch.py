"""Many simulations on the same bars and signals at once: what bots do at the close of a bar.

On most bars nothing is traded. Those simulations are advanced here without an object for each, which takes
a tenth of the time; the others are left as they were, for `Simulation` to advance. The kernel is the same, so
that the states are, bit for bit, those that `Simulation` exports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from gql_trader.engine import kernel_arrays
from gql_trader.engine.bars import Bars, Flags, Floats, Integers, require
from gql_trader.engine.execution import ExecutionSpec
from gql_trader.engine.kernel import layout, loop
from gql_trader.engine.ledger import LEDGER_FLOATS, LEDGER_INTEGERS
from gql_trader.engine.results import GuardFigures
from gql_trader.engine.signals import Signals
from gql_trader.engine.simulation import STATE_HEADER

_ROWS = 64
_FLOATS, _INTEGERS = layout.STATE_FLOATS + 1, layout.STATE_INTEGERS + 1
_INTEGER = Struct("<q")
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
        What the guards of each look at; the very objects that were given, where nothing has changed.
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
    [finished] = _INTEGER.unpack_from(state, _SIZE + 8 * (layout.FINISHED - _INTEGERS))
    [begun] = _INTEGER.unpack_from(state, _SIZE - 8)
    return bool(begun) and not finished


def advance(
    specs: Sequence[ExecutionSpec],
    states: Sequence[bytes],
    bars: Bars,
    signals: Sequence[Signals],
    guards: Sequence[GuardFigures] | None = None,
) -> Advanced:
    """Advance simulations by the same bars.

    Parameters
    ----------
    specs
        The spec of each of the k simulations.
    states
        What each exported before these bars; all of them `readable`.
    bars
        n ≥ 1 bars, of equal length, that none of the simulations has seen.
    signals
        Of these bars, for each simulation; those that are the same object are looked at once.
    guards
        What the guards of each looked at before these bars, if that is known.
    """
    k, n = len(states), len(bars)
    raw = np.frombuffer(b"".join(states), np.uint8).reshape(k, _SIZE)[:, len(STATE_HEADER) :]
    floats = np.ascontiguousarray(raw[:, : 8 * _FLOATS]).view("<f8").astype(np.float64)
    integers = np.ascontiguousarray(raw[:, 8 * _FLOATS :]).view("<i8").astype(np.int64)
    # The kernel takes rows of exactly its own width.
    state = np.ascontiguousarray(floats[:, :-1])
    counts = np.ascontiguousarray(integers[:, :-1])
    held = counts[:, [layout.SIDE, layout.ENTRY_INDEX, layout.TRADES]].copy()
    marks = np.empty((k, n))
    rows = np.empty((len(LEDGER_INTEGERS), _ROWS), dtype=np.int64)
    values = np.empty((len(LEDGER_FLOATS), _ROWS))
    time, prices = require(bars.time, np.int64), kernel_arrays.prices(bars)
    flags = {id(each): kernel_arrays.flags(each) for each in {id(each): each for each in signals}.values()}
    offsets = counts[:, layout.NEXT_BAR].tolist()
    # Most share their spec; looking it up by its content takes longer than advancing a simulation.
    arrays = {id(spec): _arrays(spec) for spec in {id(spec): spec for spec in specs}.values()}
    ruled = [arrays[id(spec)] for spec in specs]
    watched = _watched(ruled, state, counts)
    for at, ((numbers, choice), offset, said) in enumerate(zip(ruled, offsets, signals, strict=True)):
        loop.simulate(
            state[at],
            counts[at],
            numbers,
            choice,
            time,
            *prices,
            *flags[id(said)],
            bars.interval,
            offset,
            offset + n,
            marks[at],
            rows,
            values,
            0,
        )
    after = counts[:, [layout.SIDE, layout.ENTRY_INDEX, layout.TRADES]]
    quiet: Flags = (held == after).all(axis=1)
    floats[:, :-1], integers[:, :-1] = state, counts
    bound = np.where(counts[:, layout.SIDE] != 0, state[:, layout.MARGIN] + state[:, layout.ENTRY_FEE], 0.0)
    packed = np.empty((k, _SIZE), np.uint8)
    packed[:, : len(STATE_HEADER)] = np.frombuffer(STATE_HEADER, np.uint8)
    packed[:, len(STATE_HEADER) : -8 * _INTEGERS] = floats.astype("<f8").view(np.uint8)
    packed[:, -8 * _INTEGERS :] = integers.astype("<i8").view(np.uint8)
    whole = packed.tobytes()
    return Advanced(
        quiet=quiet,
        states=[whole[at * _SIZE : (at + 1) * _SIZE] for at in range(k)],
        balance=state[:, layout.BALANCE],
        equity=state[:, layout.EQUITY],
        cash=np.maximum(state[:, layout.BALANCE] - bound, 0.0),
        marks=marks,
        last_close=float(bars.close[-1]),
        guards=_guards(guards, watched, _watched(ruled, state, counts)),
    )


_Watched = tuple[NDArray[np.int64], NDArray[np.float64]]


def _watched(ruled: Sequence[tuple[Floats, Integers]], state: Floats, counts: Integers) -> _Watched:
    """Return what guards look at, in the order of `GuardFigures`: its integers, and its floats."""
    guarded = np.array([choice[layout.GUARDED] for _, choice in ruled], bool)
    limited = np.array([numbers[layout.MAX_DRAWDOWN] for numbers, _ in ruled], bool)
    halted = counts[:, layout.HALTED]
    integers = (
        np.where(guarded, counts[:, layout.DAY], -1),
        counts[:, layout.DAY_ENTRIES],
        halted == layout.FOR_THE_DAY,
        np.maximum(0, counts[:, layout.NO_ENTRY_BEFORE] - counts[:, layout.NEXT_BAR]),
        halted == layout.FOR_GOOD,
    )
    floats = (state[:, layout.DAY_START_EQUITY], np.where(limited, state[:, layout.PEAK_EQUITY], 0.0))
    return np.column_stack(integers), np.column_stack(floats)


def _guards(given: Sequence[GuardFigures] | None, before: _Watched, after: _Watched) -> list[GuardFigures]:
    if given is None:
        return [_figures(*row) for row in zip(*(each.tolist() for each in after), strict=True)]
    changed = (before[0] != after[0]).any(axis=1) | (before[1] != after[1]).any(axis=1)
    guards = list(given)
    for at in np.flatnonzero(changed).tolist():
        guards[at] = _figures(*(each[at].tolist() for each in after))
    return guards


def _figures(integers: Sequence[int], floats: Sequence[float]) -> GuardFigures:
    day, entries, halted, rests, drawn_down = integers
    start, peak = floats
    return GuardFigures(day, start, entries, bool(halted), rests, peak, bool(drawn_down))


@lru_cache(maxsize=10_000)
def _arrays(spec: ExecutionSpec) -> tuple[Floats, Integers]:
    numbers, choice = kernel_arrays.spec_arrays(spec)
    numbers.setflags(write=False)
    choice.setflags(write=False)
    return numbers, choice
