"""One bar, exactly as the document orders it."""

import numpy as np

from gql_trader.engine.bars import Floats, Integers
from gql_trader.engine.jit import compiled
from gql_trader.engine.kernel.fills import charge_funding, close_position, fill_signals
from gql_trader.engine.kernel.guards import begin_day, guard
from gql_trader.engine.kernel.layout import (
    BALANCE,
    BARS_IN_POSITION,
    BY_LIQUIDATION,
    BY_ROI,
    BY_STOP_LOSS,
    BY_TAKE_PROFIT,
    BY_TRAILING_STOP,
    ENTRY_FEE,
    ENTRY_PRICE,
    EQUITY,
    FILL_AT_CLOSE,
    FUNDING,
    GUARDED,
    HELD_BARS,
    HIGHEST,
    LOWEST,
    MARGIN,
    MARGIN_LEVEL,
    NOTHING,
    PENDING,
    QUANTITY,
    SIDE,
    STOP_LEVEL,
    TARGET_LEVEL,
    TRAILING_LEVEL,
    TRAILING_STOP,
)
from gql_trader.engine.kernel.levels import activation_level, roi_level


@compiled(allocates=False)
def one_bar(
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
        begin_day(state, counts, spec, choice, opening)
    reason = NOTHING
    if counts[SIDE] != 0:
        charge_funding(state, counts, spec, open_, opening)
        side = float(counts[SIDE])
        if side * open_ <= side * state[MARGIN_LEVEL]:
            reason = BY_LIQUIDATION
        elif side * open_ <= side * state[STOP_LEVEL]:
            reason = BY_STOP_LOSS
        elif side * open_ <= side * state[TRAILING_LEVEL]:
            reason = BY_TRAILING_STOP
        elif side * open_ >= side * state[TARGET_LEVEL]:
            reason = BY_TAKE_PROFIT
        elif side * open_ >= side * roi_level(state, counts, spec, choice, opening):
            reason = BY_ROI
    if reason != NOTHING:
        close_position(state, counts, spec, choice, open_, reason, index, opening, rows, values, row)
        row += 1
    elif choice[FILL_AT_CLOSE] == 0:
        row = fill_signals(
            state, counts, spec, choice, counts[PENDING], open_, index, opening, rows, values, row
        )

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
        roi = roi_level(state, counts, spec, choice, opening)
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
            close_position(state, counts, spec, choice, market, reason, index, closing, rows, values, row)
            row += 1

    # At the close: the trailing level learns of this bar only now, and holds from the next.
    if choice[GUARDED] != 0:
        begin_day(state, counts, spec, choice, closing - 1)
    if counts[SIDE] != 0:
        side = float(counts[SIDE])
        state[HIGHEST] = max(state[HIGHEST], high)
        state[LOWEST] = min(state[LOWEST], low)
        extreme = state[HIGHEST] if side > 0.0 else state[LOWEST]
        if spec[TRAILING_STOP] > 0.0 and side * extreme >= side * activation_level(state, spec, side):
            state[TRAILING_LEVEL] = extreme * (1.0 - side * spec[TRAILING_STOP])
        charge_funding(state, counts, spec, close, closing)
        if side * close <= side * state[MARGIN_LEVEL]:
            # Funding has used up what the price had left of the margin.
            liquidation = int(np.int64(BY_LIQUIDATION))
            close_position(state, counts, spec, choice, close, liquidation, index, closing, rows, values, row)
            row += 1
    if choice[FILL_AT_CLOSE] != 0:
        row = fill_signals(state, counts, spec, choice, signals, close, index, closing, rows, values, row)
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
        guard(state, counts, spec)
    return row
