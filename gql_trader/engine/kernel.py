"""The simulation's loop, compiled: `state, bars, signals → state, fills, equity`.

`simulate` is written twice over. `_bar` does one bar exactly as the document orders it; it is the truth.
Around it two scans pass over bars on which nothing can fill, which are nearly all, with the same
arithmetic in registers. Everything that outlives a bar is in two flat arrays, so that a chunk may end after
any bar. Prices are compared after multiplication by the side (1.0 long, −1.0 short), which is exact, so that
one line serves both sides: `side * price` grows as the trader gains.

A constant handed to a helper is wrapped in `np.int64` first, since numba compiles a helper anew for each
literal.

The indices below are frozen into the machine code and into exported states: new ones go at the end.
"""

from typing import Final

import numpy as np
from numba import types

from gql_trader.engine.bars import Flags, Floats, Integers
from gql_trader.engine.jit import FLAGS_IN, FLOATS, FLOATS_IN, INTEGERS, INTEGERS_IN, compiled
from gql_trader.engine.vectors import (
    CACHE_LINE,
    FLAGS,
    LANES,
    WIDTH,
    highest_of_block,
    highest_of_vector,
    lowest_of_block,
    lowest_of_vector,
    lowest_set,
    prefetch,
    raised,
)

# State, float64. Room is left.
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
"""Where the position is liquidated."""
HIGHEST: Final = 9
"""Highest price known to be met since entry."""
LOWEST: Final = 10
EQUITY: Final = 11
"""Marked at the last close."""
LAST_CLOSE: Final = 12
FEES_PAID: Final = 13
TRADED_NOTIONAL: Final = 14
MARGIN: Final = 15
"""What was put in besides the entry fee: with it, the most that the position can lose."""
FUNDING: Final = 16
"""Funding and borrow cost of the open position so far."""
FUNDING_PAID: Final = 17
DAY_START_EQUITY: Final = 18
"""Marked at the last close of the day before."""
PEAK_EQUITY: Final = 19
"""Highest equity so far, marked at closes; kept where a drawdown is limited."""
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
FUNDED_UNTIL: Final = 10
"""Unix milliseconds."""
DAY: Final = 11
"""Days since 1970 in the time zone of the spec."""
DAY_ENTRIES: Final = 12
HALTED: Final = 13
"""`FOR_THE_DAY`: a daily guard has tripped; `FOR_GOOD`: the drawdown has reached its limit. No entries."""
CLOSING: Final = 14
"""A guard closes the position at the next fill."""
NO_ENTRY_BEFORE: Final = 15
"""Bar."""
STATE_INTEGERS: Final = 16

# Spec, float64; a distance, limit or rate of 0 is off.
MAKER_FEE: Final = 0
TAKER_FEE: Final = 1
SLIPPAGE: Final = 2
SIZE: Final = 3
STOP_LOSS: Final = 4
TAKE_PROFIT: Final = 5
TRAILING_STOP: Final = 6
TRAILING_ACTIVATION: Final = 7
LEVERAGE: Final = 8
MAINTENANCE_MARGIN: Final = 9
FUNDING_RATE: Final = 10
MAX_DAILY_LOSS: Final = 11
DAILY_TARGET: Final = 12
AMOUNT_SCALE: Final = 13
"""Smallest steps of a quantity in one unit."""
MIN_AMOUNT: Final = 14
MIN_NOTIONAL: Final = 15
MAX_DRAWDOWN: Final = 16
SPEC_FLOATS: Final = 17
"""The table of returns follows: age in milliseconds and distance of each step, by age. Then the time zone:
the moments, Unix milliseconds, from which its clocks are ahead of UTC, and by how many milliseconds each."""

# Spec, int64.
FILL_AT_CLOSE: Final = 0
LONG_ALLOWED: Final = 1
SHORT_ALLOWED: Final = 2
SIZING: Final = 3
ROI_STEPS: Final = 4
MAX_DAILY_TRADES: Final = 5
COOLDOWN_BARS: Final = 6
GUARDED: Final = 7
"""Days are counted, and equity is looked at."""
EVERY_BAR: Final = 8
"""Something about an open position may change on any bar, so that none can be passed over."""
ZONE_STEPS: Final = 9
"""How often the time zone's clocks are set; none: days are UTC's."""
SPEC_INTEGERS: Final = 16

SIZE_EQUITY_FRACTION: Final = 0
SIZE_CASH: Final = 1
SIZE_QUANTITY: Final = 2
SIZE_RISK_FRACTION: Final = 3

ENTER_LONG: Final = 1
EXIT_LONG: Final = 2
ENTER_SHORT: Final = 4
EXIT_SHORT: Final = 8

# Exit reasons: indices into ledger.EXIT_REASONS, which a test compares.
BY_SIGNAL: Final = 0
BY_STOP_LOSS: Final = 1
BY_TAKE_PROFIT: Final = 2
BY_TRAILING_STOP: Final = 3
BY_ROI: Final = 4
BY_LIQUIDATION: Final = 5
BY_DAILY_LIMIT: Final = 6
AT_END_OF_DATA: Final = 7
BY_MAX_DRAWDOWN: Final = 8
NOTHING: Final = -1

FOR_THE_DAY: Final = 1
FOR_GOOD: Final = 2

SMALLEST_AMOUNT: Final = 1e-8
"""Quantities and notionals below this are not traded: the ledger's eight decimals could not show them."""

MILLISECONDS_A_DAY: Final = 86_400_000

NO_DAY: Final = -(2**31)
"""Before the first day, of any history."""

MOST_WHOLE: Final = 2.0**53
"""Above it a float has no fractions left to round."""

MOST_FETCHED: Final = 1024
"""Bars of one position whose prices are fetched in advance, at most; the processor foresees the others."""

CLOSINGS_PER_BAR: Final = 2
"""Most trades one bar can close: one at the open, and its successor inside the bar or at the close."""


@compiled(allocates=False)
def _rounded_down(quantity: float, scale: float) -> float:
    """Return the largest multiple of 1 / scale that is not above the quantity."""
    steps = np.floor(quantity * scale)
    if steps >= MOST_WHOLE:
        return quantity
    # The product rounds, up or down, and the quotient is what a decimal of the API becomes.
    if (steps + 1.0) / scale <= quantity:
        steps += 1.0
    elif steps / scale > quantity:
        steps -= 1.0
    result: float = steps / scale
    return result


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
    # What notional and fee together may come to.
    power = balance * spec[LEVERAGE]
    stop = price * (1.0 - side * spec[STOP_LOSS])
    affordable = power / (price * (1.0 + fee_rate))
    if choice[SIZING] == SIZE_EQUITY_FRACTION:
        quantity = spec[SIZE] * power / (price * (1.0 + fee_rate))
    elif choice[SIZING] == SIZE_CASH:
        quantity = spec[SIZE] / price
    elif choice[SIZING] == SIZE_RISK_FRACTION:
        sold = stop * (1.0 - side * spec[SLIPPAGE])
        quantity = spec[SIZE] * balance / (side * (price - sold) + (price + sold) * fee_rate)
    else:
        quantity = spec[SIZE]
    if quantity > affordable:
        quantity = affordable
    # The division above may round up; cash is never negative, not even by its last bit.
    while quantity * price + quantity * price * fee_rate > power:
        quantity = np.nextafter(quantity, 0.0)
    if spec[AMOUNT_SCALE] > 0.0:
        quantity = _rounded_down(quantity, spec[AMOUNT_SCALE])
    notional = quantity * price
    fee = notional * fee_rate
    if quantity < max(spec[MIN_AMOUNT], SMALLEST_AMOUNT) or notional < max(
        spec[MIN_NOTIONAL], SMALLEST_AMOUNT
    ):
        return
    margin = notional
    # A long that is paid in full cannot lose more; a short's own money is used up at twice its price.
    margin_level = 0.0 if side > 0 else 2.0 * price
    if spec[LEVERAGE] > 1.0:
        # The fee is taken first: what the account has left of the margin is all that can be lost.
        wanted = notional / spec[LEVERAGE]
        margin = min(wanted, balance - fee)
        if margin <= spec[MAINTENANCE_MARGIN] * notional:
            return
        margin_level = price * (1.0 - side * (1.0 / spec[LEVERAGE] - spec[MAINTENANCE_MARGIN]))
        if margin < wanted:
            margin_level = side * max(side * margin_level, side * (price - side * (margin / quantity)))

    counts[SIDE] = side
    counts[ENTRY_INDEX] = index
    counts[ENTRY_TIME] = time
    counts[HELD_BARS] = 0
    counts[FUNDED_UNTIL] = time
    counts[DAY_ENTRIES] += 1
    state[QUANTITY] = quantity
    state[ENTRY_PRICE] = price
    state[ENTRY_NOTIONAL] = notional
    state[ENTRY_FEE] = fee
    state[MARGIN] = margin
    state[FUNDING] = 0.0
    state[HIGHEST] = price
    state[LOWEST] = price
    state[FEES_PAID] += fee
    state[TRADED_NOTIONAL] += notional
    state[STOP_LEVEL] = -side * np.inf
    state[TRAILING_LEVEL] = -side * np.inf
    state[TARGET_LEVEL] = side * np.inf
    state[MARGIN_LEVEL] = margin_level
    if spec[STOP_LOSS] > 0.0:
        state[STOP_LEVEL] = stop
    if spec[TRAILING_STOP] > 0.0 and spec[TRAILING_ACTIVATION] == 0.0:
        state[TRAILING_LEVEL] = price * (1.0 - side * spec[TRAILING_STOP])
    if spec[TAKE_PROFIT] > 0.0:
        state[TARGET_LEVEL] = price * (1.0 + side * spec[TAKE_PROFIT])


@compiled(allocates=False)
def _fund(state: Floats, counts: Integers, spec: Floats, price: float, time: int) -> None:
    """Charge the open position for the time since it was last charged, on its notional at the price."""
    elapsed = time - counts[FUNDED_UNTIL]
    if spec[FUNDING_RATE] == 0.0 or elapsed == 0:
        return
    cost = spec[FUNDING_RATE] * (state[QUANTITY] * price) * (elapsed / MILLISECONDS_A_DAY)
    counts[FUNDED_UNTIL] = time
    state[FUNDING] += cost
    state[FUNDING_PAID] += cost
    # It comes out of the margin, which is used up the sooner.
    state[MARGIN_LEVEL] += counts[SIDE] * (cost / state[QUANTITY])


@compiled(allocates=False)
def _exit(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    market: float,
    reason: int,
    index: int,
    time: int,
    rows: Integers,
    values: Floats,
    row: int,
) -> None:
    """Close the position at the market price, slipping unless a limit order fills, and book the trade."""
    _fund(state, counts, spec, market, time)
    side = counts[SIDE]
    quantity = state[QUANTITY]
    entry_price = state[ENTRY_PRICE]
    entry_fee = state[ENTRY_FEE]
    funding = state[FUNDING]
    if reason in (BY_TAKE_PROFIT, BY_ROI):
        price = market
        fee_rate = spec[MAKER_FEE]
    else:
        price = market * (1.0 - side * spec[SLIPPAGE])
        fee_rate = spec[TAKER_FEE]
    notional = quantity * price
    fee = notional * fee_rate
    gain = side * quantity * (price - entry_price)
    profit = gain - (entry_fee + fee + funding)
    stake = state[MARGIN] + entry_fee
    if reason == BY_LIQUIDATION or profit < -stake:
        # Margin is isolated: no more than what was put in can be lost. What is left of it goes to the fee.
        profit = -stake
        fee = max(state[MARGIN] + gain - funding, 0.0)
    highest = max(state[HIGHEST], market)
    lowest = min(state[LOWEST], market)
    state[BALANCE] += profit
    state[FEES_PAID] += fee
    state[TRADED_NOTIONAL] += notional
    counts[SIDE] = 0
    counts[TRADES] += 1
    counts[CLOSING] = 0
    if choice[COOLDOWN_BARS] > 0:
        counts[NO_ENTRY_BEFORE] = index + choice[COOLDOWN_BARS] + 1

    rows[0, row] = side
    rows[1, row] = reason
    rows[2, row] = counts[ENTRY_INDEX]
    rows[3, row] = index
    rows[4, row] = counts[ENTRY_TIME]
    rows[5, row] = time
    rows[6, row] = counts[HELD_BARS]
    values[0, row] = quantity
    values[1, row] = entry_price
    values[2, row] = price
    values[3, row] = profit
    values[4, row] = profit / stake
    values[5, row] = entry_fee + fee
    values[6, row] = (highest - entry_price if side > 0 else entry_price - lowest) / entry_price
    values[7, row] = (entry_price - lowest if side > 0 else highest - entry_price) / entry_price
    values[8, row] = state[BALANCE]
    values[9, row] = funding


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
    """Fill at the market price what a guard or signals say: an exit, then an entry. Return the next row."""
    # On one bar the exit of a side beats its entry, and entries of both sides say nothing.
    long = (signals & ENTER_LONG) != 0 and (signals & EXIT_LONG) == 0 and choice[LONG_ALLOWED] != 0
    short = (signals & ENTER_SHORT) != 0 and (signals & EXIT_SHORT) == 0 and choice[SHORT_ALLOWED] != 0
    if long and short:
        long = False
        short = False
    side = counts[SIDE]
    if counts[CLOSING] != 0:
        limit = int(np.int64(BY_MAX_DRAWDOWN if counts[HALTED] == FOR_GOOD else BY_DAILY_LIMIT))
        _exit(state, counts, spec, choice, market, limit, index, time, rows, values, row)
        row += 1
    elif (side > 0 and ((signals & EXIT_LONG) != 0 or short)) or (
        side < 0 and ((signals & EXIT_SHORT) != 0 or long)
    ):
        _exit(state, counts, spec, choice, market, int(np.int64(BY_SIGNAL)), index, time, rows, values, row)
        row += 1
    if (
        counts[SIDE] == 0
        and (long or short)
        and index >= counts[NO_ENTRY_BEFORE]
        and not (
            choice[GUARDED] != 0 and (counts[HALTED] != 0 or counts[DAY_ENTRIES] >= choice[MAX_DAILY_TRADES])
        )
    ):
        _enter(state, counts, spec, choice, 1 if long else -1, market, index, time)
    return row


@compiled(allocates=False)
def _zone_step(spec: Floats, choice: Integers, time: int) -> int:
    """Return where the spec says how far clocks are ahead at a moment: the last step not after it."""
    first = SPEC_FLOATS + 2 * choice[ROI_STEPS]
    low, high = int(np.int64(1)), choice[ZONE_STEPS]
    while low < high:
        middle = (low + high) // 2
        if spec[first + 2 * middle] <= time:
            low = middle + 1
        else:
            high = middle
    step: int = first + 2 * (low - 1)
    return step


@compiled(allocates=False)
def _day_of(spec: Floats, choice: Integers, time: int) -> int:
    """Return the day that clocks show at a moment."""
    if choice[ZONE_STEPS] == 0:
        return time // MILLISECONDS_A_DAY
    ahead = int(spec[_zone_step(spec, choice, time) + 1])
    return (time + ahead) // MILLISECONDS_A_DAY


@compiled(allocates=False)
def _end_of_day(spec: Floats, choice: Integers, time: int) -> int:
    """Return a moment up to which clocks show the day that they show at another: midnight, or a change."""
    if choice[ZONE_STEPS] == 0:
        return (time // MILLISECONDS_A_DAY + 1) * MILLISECONDS_A_DAY
    step = _zone_step(spec, choice, time)
    ahead = int(spec[step + 1])
    end = ((time + ahead) // MILLISECONDS_A_DAY + 1) * MILLISECONDS_A_DAY - ahead
    if step + 2 < SPEC_FLOATS + 2 * (choice[ROI_STEPS] + choice[ZONE_STEPS]):
        end = min(end, int(spec[step + 2]))
    return end


@compiled(allocates=False)
def _begin_day(state: Floats, counts: Integers, spec: Floats, choice: Integers, time: int) -> None:
    """Begin the day of a moment, unless it has begun: the account counts from its last mark.

    A day does not begin again when clocks are set back over midnight.
    """
    day = _day_of(spec, choice, time)
    if day > counts[DAY]:
        counts[DAY] = day
        counts[DAY_ENTRIES] = 0
        if counts[HALTED] == FOR_THE_DAY:
            counts[HALTED] = 0
        state[DAY_START_EQUITY] = state[EQUITY]


@compiled(allocates=False)
def _roi_level(state: Floats, counts: Integers, spec: Floats, choice: Integers, time: int) -> float:
    """Return the price that the table of returns asks for at a moment."""
    side = float(counts[SIDE])
    level = side * np.inf
    age = time - counts[ENTRY_TIME]
    for step in range(choice[ROI_STEPS]):
        if age >= spec[SPEC_FLOATS + 2 * step]:
            level = state[ENTRY_PRICE] * (1.0 + side * spec[SPEC_FLOATS + 2 * step + 1])
    return level


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
    if choice[GUARDED] != 0:
        _begin_day(state, counts, spec, choice, opening)
    reason = NOTHING
    if counts[SIDE] != 0:
        _fund(state, counts, spec, open_, opening)
        side = float(counts[SIDE])
        if side * open_ <= side * state[MARGIN_LEVEL]:
            reason = BY_LIQUIDATION
        elif side * open_ <= side * state[STOP_LEVEL]:
            reason = BY_STOP_LOSS
        elif side * open_ <= side * state[TRAILING_LEVEL]:
            reason = BY_TRAILING_STOP
        elif side * open_ >= side * state[TARGET_LEVEL]:
            reason = BY_TAKE_PROFIT
        elif side * open_ >= side * _roi_level(state, counts, spec, choice, opening):
            reason = BY_ROI
    if reason != NOTHING:
        _exit(state, counts, spec, choice, open_, reason, index, opening, rows, values, row)
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
        against = BY_STOP_LOSS
        stop = state[STOP_LEVEL]
        if side * state[TRAILING_LEVEL] > side * stop:
            against = BY_TRAILING_STOP
            stop = state[TRAILING_LEVEL]
        # A bar that outlives a step of the table still has the step that it began with.
        wanted = BY_TAKE_PROFIT
        target = state[TARGET_LEVEL]
        roi = _roi_level(state, counts, spec, choice, opening)
        if side * roi < side * target:
            wanted = BY_ROI
            target = roi
        # On the entry bar, slippage may leave a level beyond the open: then the open fills.
        if side * worst <= side * state[MARGIN_LEVEL]:
            reason = BY_LIQUIDATION
            market = side * min(side * open_, side * state[MARGIN_LEVEL])
        elif side * worst <= side * stop:
            reason = against
            market = side * min(side * open_, side * stop)
        elif side * best >= side * target:
            reason = wanted
            market = target
        else:
            reason = NOTHING
            market = 0.0
        if reason != NOTHING:
            _exit(state, counts, spec, choice, market, reason, index, closing, rows, values, row)
            row += 1

    # At the close: the trailing level learns of this bar only now, and holds from the next.
    if choice[GUARDED] != 0:
        _begin_day(state, counts, spec, choice, closing - 1)
    if counts[SIDE] != 0:
        side = float(counts[SIDE])
        state[HIGHEST] = max(state[HIGHEST], high)
        state[LOWEST] = min(state[LOWEST], low)
        extreme = state[HIGHEST] if side > 0.0 else state[LOWEST]
        if spec[TRAILING_STOP] > 0.0 and side * extreme >= side * _activation(state, spec, side):
            state[TRAILING_LEVEL] = extreme * (1.0 - side * spec[TRAILING_STOP])
        _fund(state, counts, spec, close, closing)
        if side * close <= side * state[MARGIN_LEVEL]:
            # Funding has used up what the price had left of the margin.
            liquidation = int(np.int64(BY_LIQUIDATION))
            _exit(state, counts, spec, choice, close, liquidation, index, closing, rows, values, row)
            row += 1
    if choice[FILL_AT_CLOSE] != 0:
        row = _act(state, counts, spec, choice, signals, close, index, closing, rows, values, row)
    counts[PENDING] = signals
    state[EQUITY] = state[BALANCE]
    if counts[SIDE] != 0:
        side = float(counts[SIDE])
        if side * close <= side * state[MARGIN_LEVEL]:
            # Slippage of an entry at this close is more than the margin bears: as good as liquidated.
            state[EQUITY] = state[BALANCE] - (state[MARGIN] + state[ENTRY_FEE])
        else:
            signed = counts[SIDE] * state[QUANTITY]
            paid = state[BALANCE] - state[ENTRY_FEE] - state[FUNDING]
            state[EQUITY] = paid + signed * (close - state[ENTRY_PRICE])
    if choice[GUARDED] != 0:
        _guard(state, counts, spec)
    return row


@compiled(allocates=False)
def _guard(state: Floats, counts: Integers, spec: Floats) -> None:
    """Let the guards look at the equity marked at a close."""
    if spec[MAX_DRAWDOWN] > 0.0:
        state[PEAK_EQUITY] = max(state[PEAK_EQUITY], state[EQUITY])
        if counts[HALTED] != FOR_GOOD and state[EQUITY] <= state[PEAK_EQUITY] * (1.0 - spec[MAX_DRAWDOWN]):
            counts[HALTED] = FOR_GOOD
            counts[CLOSING] = abs(counts[SIDE])
    if counts[HALTED] == 0:
        start = state[DAY_START_EQUITY]
        lost = spec[MAX_DAILY_LOSS] > 0.0 and state[EQUITY] <= start * (1.0 - spec[MAX_DAILY_LOSS])
        won = spec[DAILY_TARGET] > 0.0 and state[EQUITY] >= start * (1.0 + spec[DAILY_TARGET])
        if lost or won:
            counts[HALTED] = FOR_THE_DAY
            counts[CLOSING] = abs(counts[SIDE])


@compiled(allocates=False)
def _activation(state: Floats, spec: Floats, side: float) -> float:
    """Return the price from which the trailing stop follows."""
    level: float = state[ENTRY_PRICE] * (1.0 + side * spec[TRAILING_ACTIVATION])
    return level


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
    quiet = _until_a_flag(longs, shorts)
    for k in range(quiet):
        equity[k] = balance
    return quiet


@compiled(allocates=False)
def _until_a_flag(some: Flags, others: Flags) -> int:
    """Return how many elements come before the first one that is true in either column."""
    n = len(some)
    quiet = 0
    while quiet + FLAGS <= n:
        found = raised(some, others, quiet)
        if found != np.uint64(0):
            return quiet + lowest_set(found)
        quiet += FLAGS
    while quiet < n and not (some[quiet] or others[quiet]):
        quiet += 1
    return quiet


@compiled(allocates=False)
def _mark(equity: Floats, close: Floats, quiet: int, paid: float, signed: float, entry_price: float) -> None:
    """Mark an open position at the closes of the quiet bars."""
    for k in range(quiet):
        equity[k] = paid + signed * (close[k] - entry_price)


@compiled(allocates=False)
def _fetch(high: Floats, low: Floats, close: Floats, equity: Floats, place: int) -> int:
    """Fetch a block of bars. Return the bar behind it."""
    for line in range(place, place + WIDTH, CACHE_LINE):
        prefetch(high, line)
        prefetch(low, line)
        prefetch(close, line)
        prefetch(equity, line)
    return place + WIDTH


@compiled(allocates=False)
def _quiet_long(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    equity: Floats,
    ceiling: float,
    n: int,
    fetched: int,
    wanted: int,
) -> int:
    """Return on how many of the next n bars a long position stays untouched by its levels.

    Meanwhile the bars from one to before another are fetched, a few at a time: the processor has not got much
    room for what it waits for.
    """
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    activation = _activation(state, spec, 1.0)
    floor = max(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    k = 0
    while True:
        # A block at once, if no bar in it meets even the level that its own highest price would give.
        while k + WIDTH <= n:
            if fetched < wanted:
                fetched = _fetch(high, low, close, equity, fetched)
            block_highest = max(highest, highest_of_block(high, k))
            block_lowest = lowest_of_block(low, k)
            level = floor
            if trailing and block_highest > highest and block_highest >= activation:
                level = max(floor, block_highest * (1.0 - spec[TRAILING_STOP]))
            if block_lowest <= level or block_highest >= ceiling:
                break
            highest = block_highest
            lowest = min(lowest, block_lowest)
            floor = level
            k += WIDTH
        # Likewise what is left; the last vector may begin among bars that have been looked at.
        while k < n and n >= LANES:
            place = min(k, n - LANES)
            block_highest = max(highest, highest_of_vector(high, place))
            block_lowest = lowest_of_vector(low, place)
            level = floor
            if trailing and block_highest > highest and block_highest >= activation:
                level = max(floor, block_highest * (1.0 - spec[TRAILING_STOP]))
            if block_lowest <= level or block_highest >= ceiling:
                break
            highest = block_highest
            lowest = min(lowest, block_lowest)
            floor = level
            k = place + LANES
        stop = min(k + LANES, n)
        while k < stop and low[k] > floor and high[k] < ceiling:
            if low[k] < lowest:
                lowest = low[k]
            if high[k] > highest:
                highest = high[k]
                if trailing and highest >= activation:
                    floor = max(floor, highest * (1.0 - spec[TRAILING_STOP]))
            k += 1
        if k < stop or k == n:
            break
    while fetched < wanted:
        fetched = _fetch(high, low, close, equity, fetched)
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    if trailing and k > 0 and highest >= activation:
        state[TRAILING_LEVEL] = highest * (1.0 - spec[TRAILING_STOP])
    return k


@compiled(allocates=False)
def _quiet_short(
    state: Floats,
    spec: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    equity: Floats,
    floor: float,
    n: int,
    fetched: int,
    wanted: int,
) -> int:
    """Return on how many of the next n bars a short position stays untouched by its levels.

    Meanwhile the bars from one to before another are fetched, a few at a time: the processor has not got much
    room for what it waits for.
    """
    highest = state[HIGHEST]
    lowest = state[LOWEST]
    trailing = spec[TRAILING_STOP] > 0.0
    activation = _activation(state, spec, -1.0)
    ceiling = min(state[MARGIN_LEVEL], state[STOP_LEVEL], state[TRAILING_LEVEL])
    k = 0
    while True:
        while k + WIDTH <= n:
            if fetched < wanted:
                fetched = _fetch(high, low, close, equity, fetched)
            block_highest = highest_of_block(high, k)
            block_lowest = min(lowest, lowest_of_block(low, k))
            level = ceiling
            if trailing and block_lowest < lowest and block_lowest <= activation:
                level = min(ceiling, block_lowest * (1.0 + spec[TRAILING_STOP]))
            if block_highest >= level or block_lowest <= floor:
                break
            highest = max(highest, block_highest)
            lowest = block_lowest
            ceiling = level
            k += WIDTH
        while k < n and n >= LANES:
            place = min(k, n - LANES)
            block_highest = highest_of_vector(high, place)
            block_lowest = min(lowest, lowest_of_vector(low, place))
            level = ceiling
            if trailing and block_lowest < lowest and block_lowest <= activation:
                level = min(ceiling, block_lowest * (1.0 + spec[TRAILING_STOP]))
            if block_highest >= level or block_lowest <= floor:
                break
            highest = max(highest, block_highest)
            lowest = block_lowest
            ceiling = level
            k = place + LANES
        stop = min(k + LANES, n)
        while k < stop and low[k] > floor and high[k] < ceiling:
            if high[k] > highest:
                highest = high[k]
            if low[k] < lowest:
                lowest = low[k]
                if trailing and lowest <= activation:
                    ceiling = min(ceiling, lowest * (1.0 + spec[TRAILING_STOP]))
            k += 1
        if k < stop or k == n:
            break
    while fetched < wanted:
        fetched = _fetch(high, low, close, equity, fetched)
    state[HIGHEST] = highest
    state[LOWEST] = lowest
    if trailing and k > 0 and lowest <= activation:
        state[TRAILING_LEVEL] = lowest * (1.0 + spec[TRAILING_STOP])
    return k


@compiled(allocates=False)
def _opening_before(time: Integers, start: int, stop: int, moment: int) -> int:
    """Return how many of the bars from start to stop open before a moment."""
    low, high = start, stop
    while low < high:
        middle = (low + high) // 2
        if time[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low - start


@compiled(allocates=False)
def _same_return_step(
    counts: Integers, spec: Floats, choice: Integers, time: Integers, start: int, stop: int
) -> int:
    """Return for how many bars from start the table of returns asks for what it asks for at the first."""
    age = time[start] - counts[ENTRY_TIME]
    for step in range(choice[ROI_STEPS]):
        if spec[SPEC_FLOATS + 2 * step] > age:
            moment = counts[ENTRY_TIME] + int(spec[SPEC_FLOATS + 2 * step])
            return _opening_before(time, start, stop, moment)
    return stop - start


@compiled(allocates=False)
def _unguarded(
    state: Floats,
    counts: Integers,
    spec: Floats,
    choice: Integers,
    time: Integers,
    close: Floats,
    interval: int,
    start: int,
    stop: int,
) -> int:
    """Return for how many bars from start no day begins and no guard trips, while a position is open."""
    if counts[CLOSING] != 0 or _day_of(spec, choice, time[start]) != counts[DAY]:
        return 0
    # A bar that closes at midnight is the old day's.
    n = _opening_before(time, start, stop, _end_of_day(spec, choice, time[start]) - interval + 1)
    begun = state[DAY_START_EQUITY]
    least = begun * (1.0 - spec[MAX_DAILY_LOSS]) if spec[MAX_DAILY_LOSS] > 0.0 else -np.inf
    most = begun * (1.0 + spec[DAILY_TARGET]) if spec[DAILY_TARGET] > 0.0 else np.inf
    peak = state[PEAK_EQUITY]
    kept = 1.0 - spec[MAX_DRAWDOWN] if spec[MAX_DRAWDOWN] > 0.0 else -np.inf
    paid = state[BALANCE] - state[ENTRY_FEE]
    signed = counts[SIDE] * state[QUANTITY]
    for k in range(n):
        mark = paid + signed * (close[start + k] - state[ENTRY_PRICE])
        peak = max(peak, mark)
        if mark <= least or mark >= most or mark <= peak * kept:
            return k
    return n


@compiled(allocates=False)
def _next_position(
    time: Integers,
    open_: Floats,
    longs: Flags,
    shorts: Flags,
    long_ends: Flags,
    short_ends: Flags,
    begin: int,
    end: int,
    lag: int,
) -> tuple[int, int]:
    """Return the bars of the next position that signals open on a bar or later, and close: from, and before.

    What it is opened and closed at is fetched. Between positions lie bars that nobody looks at, which is why
    the processor does not see them coming.
    """
    if begin + 1 >= end:
        return begin, begin
    first = begin + _until_a_flag(longs[begin - lag : end - lag], shorts[begin - lag : end - lag])
    last = min(first + 1, end)
    last += _until_a_flag(long_ends[last - lag : end - lag], short_ends[last - lag : end - lag])
    prefetch(open_, first)
    prefetch(time, first)
    prefetch(open_, last)
    prefetch(time, last)
    return first, min(last + 1, first + MOST_FETCHED)


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
        elif choice[EVERY_BAR] != 0:
            quiet = 0
        else:
            long = counts[SIDE] > 0
            leave = exit_long if long else exit_short
            turn = (shorts if shorts_allowed else leave) if long else (longs if longs_allowed else leave)
            ahead = _until_a_flag(leave[i - lag : end - lag], turn[i - lag : end - lag])
            first, last = _next_position(
                time, open_, longs, shorts, long_ends, short_ends, i + ahead + 1, end, lag
            )
            first, last = first - i, last - i
            target = state[TARGET_LEVEL]
            if choice[ROI_STEPS] > 0 and ahead > 0:
                ahead = _same_return_step(counts, spec, choice, time, i, i + ahead)
                roi = _roi_level(state, counts, spec, choice, time[i])
                target = min(target, roi) if long else max(target, roi)
            if choice[GUARDED] != 0 and ahead > 0:
                ahead = _unguarded(state, counts, spec, choice, time, close, interval, i, i + ahead)
            if long:
                quiet = _quiet_long(
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
                quiet = _quiet_short(
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
                _mark(
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
    _exit(
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
