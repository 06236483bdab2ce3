"""Fills: what an entry costs, what an exit brings, and which of them signals ask for."""

from typing import Final

import numpy as np

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import compiled
from gql_trader.engine.kernel.layout import (
    AMOUNT_SCALE,
    BALANCE,
    BY_DAILY_LIMIT,
    BY_LIQUIDATION,
    BY_MAX_DRAWDOWN,
    BY_ROI,
    BY_SIGNAL,
    BY_TAKE_PROFIT,
    CLOSING,
    COOLDOWN_BARS,
    DAY_ENTRIES,
    ENTER_LONG,
    ENTER_SHORT,
    ENTRY_FEE,
    ENTRY_INDEX,
    ENTRY_NOTIONAL,
    ENTRY_PRICE,
    ENTRY_TIME,
    EXIT_LONG,
    EXIT_SHORT,
    FEES_PAID,
    FOR_GOOD,
    FUNDED_UNTIL,
    FUNDING,
    FUNDING_PAID,
    FUNDING_RATE,
    GUARDED,
    HALTED,
    HELD_BARS,
    HIGHEST,
    LEVERAGE,
    LONG_ALLOWED,
    LOWEST,
    MAINTENANCE_MARGIN,
    MAKER_FEE,
    MARGIN,
    MARGIN_LEVEL,
    MAX_DAILY_TRADES,
    MILLISECONDS_A_DAY,
    MIN_AMOUNT,
    MIN_NOTIONAL,
    NO_ENTRY_BEFORE,
    QUANTITY,
    SHORT_ALLOWED,
    SIDE,
    SIZE,
    SIZE_CASH,
    SIZE_EQUITY_FRACTION,
    SIZE_RISK_FRACTION,
    SIZING,
    SLIPPAGE,
    STOP_LEVEL,
    STOP_LOSS,
    TAKE_PROFIT,
    TAKER_FEE,
    TARGET_LEVEL,
    TRADED_NOTIONAL,
    TRADES,
    TRAILING_ACTIVATION,
    TRAILING_LEVEL,
    TRAILING_STOP,
)

SMALLEST_AMOUNT: Final = 1e-8
"""Quantities and notionals below this are not traded: the ledger's eight decimals could not show them."""

MOST_WHOLE: Final = 2.0**53
"""Above it a float has no fractions left to round."""


@compiled(allocates=False)
def rounded_down(quantity: float, scale: float) -> float:
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
def open_position(
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
        quantity = rounded_down(quantity, spec[AMOUNT_SCALE])
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
def charge_funding(state: Floats, counts: Integers, spec: Floats, price: float, time: int) -> None:
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
def close_position(
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
    charge_funding(state, counts, spec, market, time)
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
def fill_signals(
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
        close_position(state, counts, spec, choice, market, limit, index, time, rows, values, row)
        row += 1
    elif (side > 0 and ((signals & EXIT_LONG) != 0 or short)) or (
        side < 0 and ((signals & EXIT_SHORT) != 0 or long)
    ):
        close_position(
            state, counts, spec, choice, market, int(np.int64(BY_SIGNAL)), index, time, rows, values, row
        )
        row += 1
    if (
        counts[SIDE] == 0
        and (long or short)
        and index >= counts[NO_ENTRY_BEFORE]
        and not (
            choice[GUARDED] != 0 and (counts[HALTED] != 0 or counts[DAY_ENTRIES] >= choice[MAX_DAILY_TRADES])
        )
    ):
        open_position(state, counts, spec, choice, 1 if long else -1, market, index, time)
    return row
