"""The simulation's loop, compiled: `state, bars, signals → state, fills, equity`."""

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS, INTEGERS_IN, compiled
from gql_trader.engine.kernel.bar import one_bar
from gql_trader.engine.kernel.fills import close_position
from gql_trader.engine.kernel.guards import unguarded
from gql_trader.engine.kernel.layout import (
    AT_END_OF_DATA,
    BALANCE,
    BARS_IN_POSITION,
    CLOSINGS_PER_BAR,
    ENTER_LONG,
    ENTER_SHORT,
    ENTRY_FEE,
    ENTRY_PRICE,
    EQUITY,
    EVERY_BAR,
    EXIT_LONG,
    EXIT_SHORT,
    FILL_AT_CLOSE,
    GUARDED,
    HELD_BARS,
    LAST_CLOSE,
    LAST_TIME,
    LONG_ALLOWED,
    MAX_DRAWDOWN,
    NEXT_BAR,
    PEAK_EQUITY,
    PENDING,
    QUANTITY,
    ROI_STEPS,
    SHORT_ALLOWED,
    SIDE,
    TARGET_LEVEL,
)
from gql_trader.engine.kernel.levels import roi_level, same_return_step
from gql_trader.engine.kernel.scans import (
    mark,
    next_position,
    quiet_long,
    quiet_short,
    quiet_without_position,
    until_a_flag,
)


@compiled(allocates=False)
def _flags(entry_long: Flags, exit_long: Flags, entry_short: Flags, exit_short: Flags, i: int) -> int:
    """Return the signals of one bar as a sum of codes."""
    signals: int = (
        ENTER_LONG * entry_long[i]
        + EXIT_LONG * exit_long[i]
        + ENTER_SHORT * entry_short[i]
        + EXIT_SHORT * exit_short[i]
    )
    return signals


_ROWS = types.Array(types.int64, 2, "C")
_VALUES = types.Array(types.float64, 2, "C")


@compiled(
    types.int64(
        FLOATS,
        INTEGERS,
        FLOATS_IN,
        INTEGERS_IN,
        INTEGERS_IN,
        FLOATS_IN,
        FLOATS_IN,
        FLOATS_IN,
        FLOATS_IN,
        FLAGS_IN,
        FLAGS_IN,
        FLAGS_IN,
        FLAGS_IN,
        types.int64,
        types.int64,
        types.int64,
        FLOATS,
        _ROWS,
        _VALUES,
        types.int64,
    ),
    allocates=False,
)
def simulate(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    time: Integers,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    entry_long: Flags,
    exit_long: Flags,
    entry_short: Flags,
    exit_short: Flags,
    interval: int,
    offset: int,
    stop: int,
    equity: Floats,
    rows: Integers,
    values: Floats,
    row: int,
) -> int:
    """Simulate bars from the state's next one to `stop`, or until the ledger's rows are full.

    Parameters
    ----------
    state, counts
        float64[STATE_FLOATS] and int64[STATE_INTEGERS]; changed in place.
    spec, choice
        float64[SPEC_FLOATS + 2 × (steps of the table of returns + steps of the time zone)] and
        int64[SPEC_INTEGERS].
    time, open_, high, low, close, entry_long, exit_long, entry_short, exit_short
        Columns of the same n bars; element 0 is bar `offset` of the series.
    interval
        Length of a bar, milliseconds.
    stop
        Bar of the series to stop before, at most offset + n.
    equity
        float64[stop − next bar]; element 0 is the state's next bar; marked at the close.
    rows, values
        int64[7, k] and float64[10, k], columns of the ledger, of one element a trade.
    row
        The ledger's first free row, from which on it is written.

    Returns
    -------
    int
        The first row that is free then. The bars are done when the state's next bar is `stop`; otherwise
        the rows are full.
    """
    room = rows.shape[1] - CLOSINGS_PER_BAR
    start = counts[NEXT_BAR] - offset
    end = stop - offset
    i = start
    lag = 1 - choice[FILL_AT_CLOSE]
    longs_allowed = choice[LONG_ALLOWED] != 0
    shorts_allowed = choice[SHORT_ALLOWED] != 0
    longs = entry_long if longs_allowed else entry_short
    shorts = entry_short if shorts_allowed else entry_long
    long_ends = exit_long if longs_allowed else exit_short
    short_ends = exit_short if shorts_allowed else exit_long
    while i < end and row <= room:
        row = one_bar(
            state,
            counts,
            spec,
            choice,
            open_[i],
            high[i],
            low[i],
            close[i],
            _flags(entry_long, exit_long, entry_short, exit_short, i),
            offset + i,
            time[i],
            time[i] + interval,
            rows,
            values,
            row,
        )
        equity[i - start] = state[EQUITY]
        i += 1

        # The bars ahead on which nothing can fill. The flags of the bar before the next one are read from the
        # columns: a bar of this window lies behind.
        if counts[SIDE] == 0:
            quiet = quiet_without_position(
                longs[i - lag : end - lag], shorts[i - lag : end - lag], equity[i - start :], state[BALANCE]
            )
        elif choice[EVERY_BAR] != 0:
            quiet = 0
        else:
            long = counts[SIDE] > 0
            leave = exit_long if long else exit_short
            turn = (shorts if shorts_allowed else leave) if long else (longs if longs_allowed else leave)
            ahead = until_a_flag(leave[i - lag : end - lag], turn[i - lag : end - lag])
            first, last = next_position(
                time, open_, longs, shorts, long_ends, short_ends, i + ahead + 1, end, lag
            )
            first, last = first - i, last - i
            target = state[TARGET_LEVEL]
            if choice[ROI_STEPS] > 0 and ahead > 0:
                ahead = same_return_step(counts, spec, choice, time, i, i + ahead)
                roi = roi_level(state, counts, spec, choice, time[i])
                target = min(target, roi) if long else max(target, roi)
            if choice[GUARDED] != 0 and ahead > 0:
                ahead = unguarded(state, counts, spec, choice, time, close, interval, i, i + ahead)
            if long:
                quiet = quiet_long(
                    state,
                    spec,
                    high[i:end],
                    low[i:end],
                    close[i:end],
                    equity[i - start :],
                    target,
                    ahead,
                    first,
                    last,
                )
            else:
                quiet = quiet_short(
                    state,
                    spec,
                    high[i:end],
                    low[i:end],
                    close[i:end],
                    equity[i - start :],
                    target,
                    ahead,
                    first,
                    last,
                )
        if quiet > 0:
            if counts[SIDE] != 0:
                mark(
                    equity[i - start :],
                    close[i:end],
                    quiet,
                    state[BALANCE] - state[ENTRY_FEE],
                    counts[SIDE] * state[QUANTITY],
                    state[ENTRY_PRICE],
                )
                counts[HELD_BARS] += quiet
                counts[BARS_IN_POSITION] += quiet
                if spec[MAX_DRAWDOWN] > 0.0:
                    for k in range(i - start, i - start + quiet):
                        state[PEAK_EQUITY] = max(state[PEAK_EQUITY], equity[k])
            i += quiet
            counts[PENDING] = _flags(entry_long, exit_long, entry_short, exit_short, i - 1)
            state[EQUITY] = equity[i - 1 - start]
    if i > start:
        counts[NEXT_BAR] = offset + i
        counts[LAST_TIME] = time[i - 1] + interval
        state[LAST_CLOSE] = close[i - 1]
    return row


@compiled(types.void(FLOATS, INTEGERS, FLOATS_IN, INTEGERS_IN, _ROWS, _VALUES, types.int64), allocates=False)
def close_out(
    state: Floats, counts: Integers, spec: Floats, choice: Integers, rows: Integers, values: Floats, row: int
) -> None:
    """Close the open position at the last close into a row of the ledger, and mark the equity."""
    close_position(
        state,
        counts,
        spec,
        choice,
        state[LAST_CLOSE],
        int(np.int64(AT_END_OF_DATA)),
        counts[NEXT_BAR] - 1,
        counts[LAST_TIME],
        rows,
        values,
        row,
    )
    state[EQUITY] = state[BALANCE]
