"""One trial, compiled: `bars, signals, spec → profits and days`, without a ledger or an equity curve.

Does what `gql_trader.engine.kernel` does for the specs that `gql_trader.engine.search.trials` sends here, in
the same arithmetic; `figures` makes of it what is asked for. What makes it fast is what all trials
of the same bars have in common: the extremes of every sixteen bars. A position passes over sixteen bars at
once where none of them can meet a level, even the one that their own best price would give the trailing
stop, and where none of their closes can deepen the drawdown. Comparisons are exact, and rounding keeps the
order of numbers, so that nothing is ever passed over that would have counted.
"""

from typing import Final

import numpy as np
from numba import types

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import FLOATS, FLOATS_IN, INTEGERS_IN, WORDS_IN, compiled
from gql_trader.engine.kernel.fills import SMALLEST_AMOUNT, rounded_down
from gql_trader.engine.signals import Words
from gql_trader.engine.vectors import lowest_set

BLOCK: Final = 16
"""Bars whose extremes are known together."""

WORD: Final = 64
"""Bars whose signals are in one word."""

# Rows of the table of blocks.
LOWEST: Final = 0
HIGHEST: Final = 1
LOWEST_CLOSE: Final = 2
HIGHEST_CLOSE: Final = 3
LOWEST_AFTER: Final = 4
"""Lowest close from the last highest one on."""
HIGHEST_AFTER: Final = 5
"""Highest close from the last lowest one on."""
TABLE_ROWS: Final = 6

# Spec, float64; a protective distance of 0 is off.
MAKER_FEE: Final = 0
TAKER_FEE: Final = 1
SLIPPAGE: Final = 2
SIZE: Final = 3
STOP_LOSS: Final = 4
TAKE_PROFIT: Final = 5
TRAILING_STOP: Final = 6
AMOUNT_SCALE: Final = 7
MIN_AMOUNT: Final = 8
MIN_NOTIONAL: Final = 9
SPEC_FLOATS: Final = 10

SIZE_EQUITY_FRACTION: Final = 0
SIZE_CASH: Final = 1
SIZE_QUANTITY: Final = 2

_TABLE = types.Array(types.float64, 2, "C")
_TABLE_IN = types.Array(types.float64, 2, "C", readonly=True)


@compiled(types.void(FLOATS_IN, FLOATS_IN, FLOATS_IN, _TABLE), allocates=False)
def fill_table(high: Floats, low: Floats, close: Floats, table: Floats) -> None:
    """Fill the table of blocks, float64[TABLE_ROWS, n // BLOCK]."""
    for block in range(table.shape[1]):
        begin = block * BLOCK
        lowest = low[begin]
        highest = high[begin]
        lowest_close = close[begin]
        highest_close = close[begin]
        lowest_after = close[begin]
        highest_after = close[begin]
        for k in range(begin + 1, begin + BLOCK):
            lowest = min(lowest, low[k])
            highest = max(highest, high[k])
            price = close[k]
            lowest_after = min(lowest_after, price)
            highest_after = max(highest_after, price)
            if price >= highest_close:
                highest_close = price
                lowest_after = price
            if price <= lowest_close:
                lowest_close = price
                highest_after = price
        table[LOWEST, block] = lowest
        table[HIGHEST, block] = highest
        table[LOWEST_CLOSE, block] = lowest_close
        table[HIGHEST_CLOSE, block] = highest_close
        table[LOWEST_AFTER, block] = lowest_after
        table[HIGHEST_AFTER, block] = highest_after


@compiled(allocates=False)
def _is_set(words: Words, place: int) -> bool:
    return bool((words[place // WORD] >> np.uint64(place % WORD)) & np.uint64(1))


@compiled(allocates=False)
def _next_set(some: Words, others: Words, begin: int, end: int) -> int:
    """Return the first place from `begin` whose bit is set in either, `end` if there is none."""
    if begin >= end:
        return begin
    word = begin // WORD
    last = (end - 1) // WORD
    bits = ((some[word] | others[word]) >> np.uint64(begin % WORD)) << np.uint64(begin % WORD)
    while bits == 0 and word < last:
        word += 1
        bits = some[word] | others[word]
    if bits == 0:
        return end
    return min(WORD * word + lowest_set(bits), end)


@compiled(allocates=False)
def _affordable(spec: Floats, sizing: int, price: float, balance: float) -> float:
    """Return the quantity that is bought or sold at a price; 0.0 if it is not worth a trade."""
    fee_rate = spec[TAKER_FEE]
    most = balance / (price * (1.0 + fee_rate))
    if sizing == SIZE_EQUITY_FRACTION:
        quantity = spec[SIZE] * balance / (price * (1.0 + fee_rate))
    elif sizing == SIZE_CASH:
        quantity = spec[SIZE] / price
    else:
        quantity = spec[SIZE]
    if quantity > most:
        quantity = most
    while quantity * price + quantity * price * fee_rate > balance:
        quantity = np.nextafter(quantity, 0.0)
    if spec[AMOUNT_SCALE] > 0.0:
        quantity = rounded_down(quantity, spec[AMOUNT_SCALE])
    if quantity < max(spec[MIN_AMOUNT], SMALLEST_AMOUNT) or quantity * price < max(
        spec[MIN_NOTIONAL], SMALLEST_AMOUNT
    ):
        return 0.0
    result: float = quantity
    return result


@compiled(
    types.int64(
        FLOATS_IN,
        types.int64,
        types.boolean,
        types.boolean,
        FLOATS_IN,
        FLOATS_IN,
        FLOATS_IN,
        FLOATS_IN,
        WORDS_IN,
        WORDS_IN,
        WORDS_IN,
        WORDS_IN,
        types.int64,
        _TABLE_IN,
        INTEGERS_IN,
        types.int64,
        types.float64,
        FLOATS,
        FLOATS,
        FLOATS,
    ),
    allocates=False,
)
def run(
    spec: Floats,
    sizing: int,
    longs_allowed: bool,
    shorts_allowed: bool,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    entry_long: Words,
    exit_long: Words,
    entry_short: Words,
    exit_short: Words,
    warmup: int,
    table: Floats,
    day_ends: Integers,
    start: int,
    capital: float,
    daily: Floats,
    profits: Floats,
    found: Floats,
) -> int:
    """Simulate the bars from `start` and note what figures are made of.

    Parameters
    ----------
    spec, sizing
        float64[SPEC_FLOATS] and one of the sizes above.
    open_, high, low, close
        Columns of n bars.
    entry_long, exit_long, entry_short, exit_short
        uint64[ceil(n / 64)], a bit a bar.
    warmup
        Bars at the beginning whose bits do not count.
    table
        From `fill_table`.
    day_ends
        int64[d], the last bar of each day, ascending; −1 for a day before the first bar's close.
    daily
        float64[d], written: equity at the ends of days.
    profits
        float64[k], written: profit of each trade.
    found
        float64[2], written: final equity and the deepest drawdown.

    Returns
    -------
    int
        Trades; −1 if there are more than `profits` has room for, and nothing else counts.
    """
    n = len(close)
    last = n - 1
    fee_rate = spec[TAKER_FEE]
    trailing = spec[TRAILING_STOP]
    balance = capital
    side = 0.0
    quantity = 0.0
    signed = 0.0
    price = 0.0
    entry_fee = 0.0
    paid = 0.0
    stake = 0.0
    stop_level = 0.0
    trailing_level = 0.0
    target_level = 0.0
    margin_level = 0.0
    extreme = 0.0
    exit_at = 0
    peak = capital
    trough = capital
    deepest = 0.0
    trades = 0
    day = 0
    while day < len(day_ends) and day_ends[day] < start:
        daily[day] = capital
        day += 1
    longs = entry_long if longs_allowed else entry_short
    shorts = entry_short if shorts_allowed else entry_long
    first = max(warmup, 0)
    i = start
    while i < n:
        wants_long = False
        wants_short = False
        if side == 0.0:
            # What is said on the last bar never fills.
            j = _next_set(longs, shorts, min(max(i - 1, first), last), last)
            if j >= i:
                # Bars i to j pass without a position.
                if balance >= peak:
                    if trough < peak:
                        deepest = max(deepest, 1.0 - trough / peak)
                    peak = balance
                    trough = balance
                elif balance < trough:
                    trough = balance
                while day < len(day_ends) and day_ends[day] <= j:
                    daily[day] = balance
                    day += 1
                i = j + 1
                if i >= n:
                    break
        # At the open.
        market = 0.0
        limit = False
        liquidated = False
        if side != 0.0:
            if side * open_[i] <= side * margin_level:
                market = open_[i]
                liquidated = True
            elif side * open_[i] <= side * stop_level or side * open_[i] <= side * trailing_level:
                market = open_[i]
            elif side * open_[i] >= side * target_level:
                market = open_[i]
                limit = True
        protected = market > 0.0
        if not protected and i > first:
            j = i - 1
            leaves_long = _is_set(exit_long, j)
            leaves_short = _is_set(exit_short, j)
            wants_long = longs_allowed and _is_set(entry_long, j) and not leaves_long
            wants_short = shorts_allowed and _is_set(entry_short, j) and not leaves_short
            if wants_long and wants_short:
                wants_long = False
                wants_short = False
            if (side > 0.0 and (leaves_long or wants_short)) or (side < 0.0 and (leaves_short or wants_long)):
                market = open_[i]
        for moment in range(2):
            if moment == 1:
                # Inside the bar, also the entry's.
                market = 0.0
                limit = False
                liquidated = False
                if side == 0.0:
                    break
                worst = low[i] if side > 0.0 else high[i]
                best = high[i] if side > 0.0 else low[i]
                stop = stop_level
                if side * trailing_level > side * stop:
                    stop = trailing_level
                if side * worst <= side * margin_level:
                    market = side * min(side * open_[i], side * margin_level)
                    liquidated = True
                elif side * worst <= side * stop:
                    market = side * min(side * open_[i], side * stop)
                elif side * best >= side * target_level:
                    market = target_level
                    limit = True
            if market > 0.0:
                sold = market if limit else market * (1.0 - side * spec[SLIPPAGE])
                rate = spec[MAKER_FEE] if limit else fee_rate
                fee = quantity * sold * rate
                gain = side * quantity * (sold - price)
                profit = gain - (entry_fee + fee)
                if liquidated or profit < -stake:
                    profit = -stake
                if trades == len(profits):
                    return int(np.int64(-1))
                profits[trades] = profit
                trades += 1
                balance += profit
                side = 0.0
            if moment == 0 and side == 0.0 and not protected and (wants_long or wants_short):
                side = 1.0 if wants_long else -1.0
                price = open_[i] * (1.0 + side * spec[SLIPPAGE])
                quantity = _affordable(spec, sizing, price, balance)
                if quantity == 0.0:
                    side = 0.0
                else:
                    signed = side * quantity
                    entry_fee = quantity * price * fee_rate
                    stake = quantity * price + entry_fee
                    paid = balance - entry_fee
                    extreme = price
                    stop_level = -side * np.inf
                    trailing_level = -side * np.inf
                    target_level = side * np.inf
                    margin_level = 0.0 if side > 0.0 else 2.0 * price
                    if spec[STOP_LOSS] > 0.0:
                        stop_level = price * (1.0 - side * spec[STOP_LOSS])
                    if trailing > 0.0:
                        trailing_level = price * (1.0 - side * trailing)
                    if spec[TAKE_PROFIT] > 0.0:
                        target_level = price * (1.0 + side * spec[TAKE_PROFIT])
                    exit_at = -1
        # At the close.
        if side != 0.0:
            extreme = max(extreme, high[i]) if side > 0.0 else min(extreme, low[i])
            if trailing > 0.0:
                trailing_level = extreme * (1.0 - side * trailing)
            if i == last:
                sold = close[i] * (1.0 - side * spec[SLIPPAGE])
                fee = quantity * sold * fee_rate
                gain = side * quantity * (sold - price)
                profit = gain - (entry_fee + fee)
                if profit < -stake:
                    profit = -stake
                if trades == len(profits):
                    return int(np.int64(-1))
                profits[trades] = profit
                trades += 1
                balance += profit
                side = 0.0
        value = balance if side == 0.0 else paid + signed * (close[i] - price)
        if value >= peak:
            if trough < peak:
                deepest = max(deepest, 1.0 - trough / peak)
            peak = value
            trough = value
        elif value < trough:
            trough = value
        while day < len(day_ends) and day_ends[day] <= i:
            daily[day] = value
            day += 1
        i += 1
        if side == 0.0:
            continue

        # The bars ahead that leave the position as it is.
        if exit_at < i:
            if side > 0.0:
                exit_at = 1 + _next_set(exit_long, shorts if shorts_allowed else exit_long, i - 1, last)
            else:
                exit_at = 1 + _next_set(exit_short, longs if longs_allowed else exit_short, i - 1, last)
        stop = stop_level
        if side * trailing_level > side * stop:
            stop = trailing_level
        if side * margin_level > side * stop:
            stop = margin_level
        until = min(exit_at, last)
        while i < until:
            block = i // BLOCK
            if i % BLOCK == 0 and i + BLOCK <= until:
                if side > 0.0:
                    worst = table[LOWEST, block]
                    best = table[HIGHEST, block]
                    top = table[HIGHEST_CLOSE, block]
                    bottom = table[LOWEST_CLOSE, block]
                    after = table[LOWEST_AFTER, block]
                    furthest = max(extreme, best)
                else:
                    worst = table[HIGHEST, block]
                    best = table[LOWEST, block]
                    top = table[LOWEST_CLOSE, block]
                    bottom = table[HIGHEST_CLOSE, block]
                    after = table[HIGHEST_AFTER, block]
                    furthest = min(extreme, best)
                level = stop
                if trailing > 0.0:
                    moved = furthest * (1.0 - side * trailing)
                    if side * moved > side * level:
                        level = moved
                if side * worst > side * level and side * best < side * target_level:
                    high_value = paid + signed * (top - price)
                    low_value = paid + signed * (bottom - price)
                    counted = True
                    if high_value < peak:
                        trough = min(trough, low_value)
                    elif (
                        1.0 - min(trough, low_value) / peak <= deepest
                        and 1.0 - low_value / high_value <= deepest
                    ):
                        peak = high_value
                        trough = paid + signed * (after - price)
                    else:
                        counted = False
                    if counted:
                        extreme = furthest
                        stop = level
                        while day < len(day_ends) and day_ends[day] < i + BLOCK:
                            daily[day] = paid + signed * (close[day_ends[day]] - price)
                            day += 1
                        i += BLOCK
                        continue
            # Bar by bar to the end of the block.
            ahead = min((block + 1) * BLOCK, until)
            met = False
            next_day = day_ends[day] if day < len(day_ends) else n
            while i < ahead:
                worst = side * (low[i] if side > 0.0 else high[i])
                best = side * (high[i] if side > 0.0 else low[i])
                if (worst <= side * stop) | (best >= side * target_level):
                    met = True
                    break
                value = paid + signed * (close[i] - price)
                if value >= peak:
                    if trough < peak:
                        deepest = max(deepest, 1.0 - trough / peak)
                    peak = value
                    trough = value
                trough = min(trough, value)
                if next_day <= i:
                    while day < len(day_ends) and day_ends[day] <= i:
                        daily[day] = value
                        day += 1
                    next_day = day_ends[day] if day < len(day_ends) else n
                # Without branches, as nobody can tell which way they would go.
                extreme = side * max(side * extreme, best)
                moved = extreme * (1.0 - side * trailing) if trailing > 0.0 else stop
                stop = side * max(side * stop, side * moved)
                i += 1
            if met:
                break
        if trailing > 0.0:
            trailing_level = extreme * (1.0 - side * trailing)
    if trough < peak:
        deepest = max(deepest, 1.0 - trough / peak)
    found[0] = balance
    found[1] = deepest
    return trades
