"""The simulation's loop, compiled: `state, bars, signals → state, fills, equity`.

`simulate` is written twice over. `_bar` does one bar exactly as the document orders it; it is the truth.
Around it two scans pass over bars on which nothing can fill, which are nearly all, with the same
arithmetic in registers. Everything that outlives a bar is in two flat arrays, so that a chunk may end after
any bar. Prices are compared after multiplication by the side (1.0 long, −1.0 short), which is exact, so that
one line serves both sides: `side * price` grows as the trader gains.

All of it is one file, constants included: numba's cache notices changes of the file that a loop is in, and
of no other. A constant handed to a helper is wrapped in `np.int64` first, since numba compiles a helper anew
for each literal.

The indices below are frozen into the machine code and into exported states: new ones go at the end.
"""

from typing import Final

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS, INTEGERS_IN, compiled

# State, float64. Room is left for what later accounts of a position need.
BALANCE: Final = 0
"""Initial capital and the profits of closed trades."""
QUANTITY: Final = 1
ENTRY_PRICE: Final = 2
ENTRY_NOTIONAL: Final = 3
ENTRY_FEE: Final = 4
STOP_LEVEL: Final = 5
TRAILING_LEVEL: Final = 6
TARGET_LEVEL: Final = 7
MARGIN_LEVEL: Final = 8
"""Where the margin is used up."""
HIGHEST: Final = 9
"""Highest price known to be met since entry."""
LOWEST: Final = 10
EQUITY: Final = 11
"""Marked at the last close."""
LAST_CLOSE: Final = 12
FEES_PAID: Final = 13
TRADED_NOTIONAL: Final = 14
STATE_FLOATS: Final = 32

# State, int64.
NEXT_BAR: Final = 0
SIDE: Final = 1
"""1 long, −1 short, 0 no position."""
ENTRY_INDEX: Final = 2
ENTRY_TIME: Final = 3
HELD_BARS: Final = 4
PENDING: Final = 5
"""Signals of the last bar, as a sum of the codes below."""
BARS_IN_POSITION: Final = 6
TRADES: Final = 7
LAST_TIME: Final = 8
"""Closing time of the last bar, Unix milliseconds."""
FINISHED: Final = 9
STATE_INTEGERS: Final = 16

# Spec, float64; a protective distance of 0 is off.
MAKER_FEE: Final = 0
TAKER_FEE: Final = 1
SLIPPAGE: Final = 2
SIZE: Final = 3
STOP_LOSS: Final = 4
TAKE_PROFIT: Final = 5
TRAILING_STOP: Final = 6
SPEC_FLOATS: Final = 16

# Spec, int64.
FILL_AT_CLOSE: Final = 0
LONG_ALLOWED: Final = 1
SHORT_ALLOWED: Final = 2
SIZING: Final = 3
SPEC_INTEGERS: Final = 8

SIZE_EQUITY_FRACTION: Final = 0
SIZE_CASH: Final = 1
SIZE_QUANTITY: Final = 2

ENTER_LONG: Final = 1
EXIT_LONG: Final = 2
ENTER_SHORT: Final = 4
EXIT_SHORT: Final = 8

# Exit reasons: indices into ledger.EXIT_REASONS, which a test compares.
BY_SIGNAL: Final = 0
BY_STOP_LOSS: Final = 1
BY_TAKE_PROFIT: Final = 2
BY_TRAILING_STOP: Final = 3
BY_LIQUIDATION: Final = 5
AT_END_OF_DATA: Final = 7
NOTHING: Final = -1

SMALLEST_AMOUNT: Final = 1e-8
"""Quantities and notionals below this are not traded: the ledger's eight decimals could not show them."""

BLOCK: Final = 64
"""Bars that a scan looks at together."""

CLOSINGS_PER_BAR: Final = 2
"""Most trades one bar can close: one at the open, and its successor inside the bar or at the close."""


@compiled(allocates=False)
def _enter(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    side: int,
    market: float,
    index: int,
    time: int,
) -> None:
    """Open a position at the market price, if the account affords one worth trading."""
    price = market * (1.0 + side * spec[SLIPPAGE])
    fee_rate = spec[TAKER_FEE]
    balance = state[BALANCE]
    affordable = balance / (price * (1.0 + fee_rate))
    if choice[SIZING] == SIZE_EQUITY_FRACTION:
        quantity = spec[SIZE] * balance / (price * (1.0 + fee_rate))
    elif choice[SIZING] == SIZE_CASH:
        quantity = spec[SIZE] / price
    else:
        quantity = spec[SIZE]
    if quantity > affordable:
        quantity = affordable
    notional = quantity * price
    fee = notional * fee_rate
    # The division above may round up; cash is never negative, not even by its last bit.
    while notional + fee > balance:
        quantity = np.nextafter(quantity, 0.0)
        notional = quantity * price
        fee = notional * fee_rate
    if quantity < SMALLEST_AMOUNT or notional < SMALLEST_AMOUNT:
        return

    counts[SIDE] = side
    counts[ENTRY_INDEX] = index
    counts[ENTRY_TIME] = time
    counts[HELD_BARS] = 0
    state[QUANTITY] = quantity
    state[ENTRY_PRICE] = price
    state[ENTRY_NOTIONAL] = notional
    state[ENTRY_FEE] = fee
    state[HIGHEST] = price
    state[LOWEST] = price
    state[FEES_PAID] += fee
    state[TRADED_NOTIONAL] += notional
    state[STOP_LEVEL] = -side * np.inf
    state[TRAILING_LEVEL] = -side * np.inf
    state[TARGET_LEVEL] = side * np.inf
    # A long is paid in full and cannot lose more; a short's margin is used up at twice its price.
    state[MARGIN_LEVEL] = -np.inf if side > 0 else 2.0 * price
    if spec[STOP_LOSS] > 0.0:
        state[STOP_LEVEL] = price * (1.0 - side * spec[STOP_LOSS])
    if spec[TRAILING_STOP] > 0.0:
        state[TRAILING_LEVEL] = price * (1.0 - side * spec[TRAILING_STOP])
    if spec[TAKE_PROFIT] > 0.0:
        state[TARGET_LEVEL] = price * (1.0 + side * spec[TAKE_PROFIT])


@compiled(allocates=False)
def _exit(
    state: Floats,
    counts: Integers,
    spec: Floats,
    market: float,
    reason: int,
    index: int,
    time: int,
    rows: Integers,
    values: Floats,
    row: int,
) -> None:
    """Close the position at the market price, slipping unless a limit order fills, and book the trade."""
    side = counts[SIDE]
    quantity = state[QUANTITY]
    entry_price = state[ENTRY_PRICE]
    entry_fee = state[ENTRY_FEE]
    if reason == BY_TAKE_PROFIT:
        price = market
        fee_rate = spec[MAKER_FEE]
    else:
        price = market * (1.0 - side * spec[SLIPPAGE])
        fee_rate = spec[TAKER_FEE]
    notional = quantity * price
    fee = notional * fee_rate
    gain = side * quantity * (price - entry_price)
    profit = gain - (entry_fee + fee)
    stake = state[ENTRY_NOTIONAL] + entry_fee
    if profit < -stake:
        # Margin is isolated: no more than what was put in can be lost. What is left of it goes to the fee.
        profit = -stake
        fee = max(state[ENTRY_NOTIONAL] + gain, 0.0)
    highest = max(state[HIGHEST], market)
    lowest = min(state[LOWEST], market)
    state[BALANCE] += profit
    state[FEES_PAID] += fee
    state[TRADED_NOTIONAL] += notional
    counts[SIDE] = 0
    counts[TRADES] += 1

    rows[row, 0] = side
    rows[row, 1] = reason
    rows[row, 2] = counts[ENTRY_INDEX]
    rows[row, 3] = index
    rows[row, 4] = counts[ENTRY_TIME]
    rows[row, 5] = time
    rows[row, 6] = counts[HELD_BARS]
    values[row, 0] = quantity
    values[row, 1] = entry_price
    values[row, 2] = price
    values[row, 3] = profit
    values[row, 4] = profit / stake
    values[row, 5] = entry_fee + fee
    values[row, 6] = (highest - entry_price if side > 0 else entry_price - lowest) / entry_price
    values[row, 7] = (entry_price - lowest if side > 0 else highest - entry_price) / entry_price
    values[row, 8] = state[BALANCE]


@compiled(allocates=False)
def _act(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    signals: int,
    market: float,
    index: int,
    time: int,
    rows: Integers,
    values: Floats,
    row: int,
) -> int:
    """Fill signals at the market price: an exit, then an entry. Return the next free row."""
    # On one bar the exit of a side beats its entry, and entries of both sides say nothing.
    long = (signals & ENTER_LONG) != 0 and (signals & EXIT_LONG) == 0 and choice[LONG_ALLOWED] != 0
    short = (signals & ENTER_SHORT) != 0 and (signals & EXIT_SHORT) == 0 and choice[SHORT_ALLOWED] != 0
    if long and short:
        long = False
        short = False
    side = counts[SIDE]
    if (side > 0 and ((signals & EXIT_LONG) != 0 or short)) or (
        side < 0 and ((signals & EXIT_SHORT) != 0 or long)
    ):
        _exit(state, counts, spec, market, int(np.int64(BY_SIGNAL)), index, time, rows, values, row)
        row += 1
    if counts[SIDE] == 0 and (long or short):
        _enter(state, counts, spec, choice, 1 if long else -1, market, index, time)
    return row


@compiled(allocates=False)
def _bar(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    open_: float,
    high: float,
    low: float,
    close: float,
    signals: int,
    index: int,
    opening: int,
    closing: int,
    rows: Integers,
    values: Floats,
    row: int,
) -> int:
    """Do one bar in the order of the document. Return the next free row."""
    # At the open: protective levels that the price has jumped over, otherwise the last bar's signals.
    reason = NOTHING
    if counts[SIDE] != 0:
        side = float(counts[SIDE])
        if side * open_ <= side * state[MARGIN_LEVEL]:
            reason = BY_LIQUIDATION
        elif side * open_ <= side * state[STOP_LEVEL]:
            reason = BY_STOP_LOSS
        elif side * open_ <= side * state[TRAILING_LEVEL]:
            reason = BY_TRAILING_STOP
        elif side * open_ >= side * state[TARGET_LEVEL]:
            reason = BY_TAKE_PROFIT
    if reason != NOTHING:
        _exit(state, counts, spec, open_, reason, index, opening, rows, values, row)
        row += 1
    elif choice[FILL_AT_CLOSE] == 0:
        row = _act(state, counts, spec, choice, counts[PENDING], open_, index, opening, rows, values, row)

    # Inside the bar: what is against the trader comes first, since the order of prices is not known.
    if counts[SIDE] != 0:
        counts[HELD_BARS] += 1
        counts[BARS_IN_POSITION] += 1
        side = float(counts[SIDE])
        worst = low if side > 0.0 else high
        best = high if side > 0.0 else low
        reason = BY_STOP_LOSS
        stop = state[STOP_LEVEL]
        if side * state[TRAILING_LEVEL] > side * stop:
            reason = BY_TRAILING_STOP
            stop = state[TRAILING_LEVEL]
        if side * worst <= side * state[MARGIN_LEVEL]:
            reason = BY_LIQUIDATION
            market = state[MARGIN_LEVEL]
        elif side * worst <= side * stop:
            # On the entry bar, slippage may leave the level beyond the open: then the open fills.
            market = side * min(side * open_, side * stop)
        elif side * best >= side * state[TARGET_LEVEL]:
            reason = BY_TAKE_PROFIT
            market = state[TARGET_LEVEL]
        else:
            reason = NOTHING
            market = 0.0
        if reason != NOTHING:
            _exit(state, counts, spec, market, reason, index, closing, rows, values, row)
            row += 1

    # At the close: the trailing level learns of this bar only now, and holds from the next.
    if counts[SIDE] != 0:
        side = float(counts[SIDE])
        state[HIGHEST] = max(state[HIGHEST], high)
        state[LOWEST] = min(state[LOWEST], low)
        if spec[TRAILING_STOP] > 0.0:
            extreme = state[HIGHEST] if side > 0.0 else state[LOWEST]
            state[TRAILING_LEVEL] = extreme * (1.0 - side * spec[TRAILING_STOP])
    if choice[FILL_AT_CLOSE] != 0:
        row = _act(state, counts, spec, choice, signals, close, index, closing, rows, values, row)
    counts[PENDING] = signals
    state[EQUITY] = state[BALANCE]
    if counts[SIDE] != 0:
        signed = counts[SIDE] * state[QUANTITY]
        state[EQUITY] = state[BALANCE] - state[ENTRY_FEE] + signed * (close - state[ENTRY_PRICE])
    return row


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


@compiled(allocates=False)
def _quiet_without_position(longs: Flags, shorts: Flags, equity: Floats, balance: float) -> int:
    """Return on how many bars nothing is opened, and mark them. Flags are those that would fill there."""
    n = len(longs)
    quiet = 0
    while quiet + BLOCK <= n:
        found = False
        for k in range(BLOCK):
            found |= longs[quiet + k] | shorts[quiet + k]
        if found:
            break
        quiet += BLOCK
    for k in range(quiet, n):
        if longs[k] or shorts[k]:
            break
        quiet += 1
    equity[:quiet] = balance
    return quiet


@compiled(allocates=False)
def _quiet_long(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    exits: Flags,
    reversals: Flags,
    equity: Floats,
) -> int:
    """Return on how many bars a long position stays untouched, and mark them."""
    paid = state[BALANCE] - state[ENTRY_FEE]
    quantity = state[QUANTITY]
    entry_price = state[ENTRY_PRICE]
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    floor = max(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    ceiling = state[TARGET_LEVEL]
    quiet = len(close)
    for k in range(len(close)):
        if low[k] <= floor or high[k] >= ceiling or exits[k] or reversals[k]:
            quiet = k
            break
        equity[k] = paid + quantity * (close[k] - entry_price)
        if low[k] < lowest:
            lowest = low[k]
        if high[k] > highest:
            highest = high[k]
            if trailing:
                state[TRAILING_LEVEL] = highest * (1.0 - spec[TRAILING_STOP])
                floor = max(floor, state[TRAILING_LEVEL])
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    return quiet


@compiled(allocates=False)
def _quiet_short(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    exits: Flags,
    reversals: Flags,
    equity: Floats,
) -> int:
    """Return on how many bars a short position stays untouched, and mark them."""
    paid = state[BALANCE] - state[ENTRY_FEE]
    quantity = -state[QUANTITY]
    entry_price = state[ENTRY_PRICE]
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    floor = state[TARGET_LEVEL]
    ceiling = min(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    quiet = len(close)
    for k in range(len(close)):
        if low[k] <= floor or high[k] >= ceiling or exits[k] or reversals[k]:
            quiet = k
            break
        equity[k] = paid + quantity * (close[k] - entry_price)
        if high[k] > highest:
            highest = high[k]
        if low[k] < lowest:
            lowest = low[k]
            if trailing:
                state[TRAILING_LEVEL] = lowest * (1.0 + spec[TRAILING_STOP])
                ceiling = min(ceiling, state[TRAILING_LEVEL])
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    return quiet


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
) -> int:
    """Simulate bars from the state's next one to `stop`, or until the ledger's rows are full.

    Parameters
    ----------
    state, counts
        float64[STATE_FLOATS] and int64[STATE_INTEGERS]; changed in place.
    spec, choice
        float64[SPEC_FLOATS] and int64[SPEC_INTEGERS].
    time, open_, high, low, close, entry_long, exit_long, entry_short, exit_short
        Columns of the same n bars; element 0 is bar `offset` of the series.
    interval
        Length of a bar, milliseconds.
    stop
        Bar of the series to stop before, at most offset + n.
    equity
        float64[stop − next bar]; element 0 is the state's next bar; marked at the close.
    rows, values
        int64[k, 7] and float64[k, 9], columns of the ledger; written from row 0.

    Returns
    -------
    int
        Trades closed. The bars are done when the state's next bar is `stop`; otherwise the rows are full.
    """
    row = int(np.int64(0))
    room = len(rows) - CLOSINGS_PER_BAR
    start = counts[NEXT_BAR] - offset
    end = stop - offset
    i = start
    lag = 1 - choice[FILL_AT_CLOSE]
    longs_allowed = choice[LONG_ALLOWED] != 0
    shorts_allowed = choice[SHORT_ALLOWED] != 0
    longs = entry_long if longs_allowed else entry_short
    shorts = entry_short if shorts_allowed else entry_long
    while i < end and row <= room:
        row = _bar(
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
            quiet = _quiet_without_position(
                longs[i - lag : end - lag], shorts[i - lag : end - lag], equity[i - start :], state[BALANCE]
            )
        elif counts[SIDE] > 0:
            quiet = _quiet_long(
                state,
                spec,
                high[i:end],
                low[i:end],
                close[i:end],
                exit_long[i - lag : end - lag],
                (shorts if shorts_allowed else exit_long)[i - lag : end - lag],
                equity[i - start :],
            )
        else:
            quiet = _quiet_short(
                state,
                spec,
                high[i:end],
                low[i:end],
                close[i:end],
                exit_short[i - lag : end - lag],
                (longs if longs_allowed else exit_short)[i - lag : end - lag],
                equity[i - start :],
            )
        if quiet > 0:
            i += quiet
            if counts[SIDE] != 0:
                counts[HELD_BARS] += quiet
                counts[BARS_IN_POSITION] += quiet
            counts[PENDING] = _flags(entry_long, exit_long, entry_short, exit_short, i - 1)
            state[EQUITY] = equity[i - 1 - start]
    if i > start:
        counts[NEXT_BAR] = offset + i
        counts[LAST_TIME] = time[i - 1] + interval
        state[LAST_CLOSE] = close[i - 1]
    return row


@compiled(types.void(FLOATS, INTEGERS, FLOATS_IN, _ROWS, _VALUES), allocates=False)
def close_out(state: Floats, counts: Integers, spec: Floats, rows: Integers, values: Floats) -> None:
    """Close the open position at the last close into row 0 of a ledger, and mark the equity."""
    _exit(
        state,
        counts,
        spec,
        state[LAST_CLOSE],
        int(np.int64(AT_END_OF_DATA)),
        counts[NEXT_BAR] - 1,
        counts[LAST_TIME],
        rows,
        values,
        int(np.int64(0)),
    )
    state[EQUITY] = state[BALANCE]
