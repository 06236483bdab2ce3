"""The least that a backtest of two moving averages should cost: one fused, special-purpose loop.

Averages (simple ones, or exponential ones if there is a factor), signals, simulation, curve, ledger and the
core metrics in a single pass, with the engine's conventions for a long-only account that is always fully
invested. Nothing in it can be changed by a user, which is what the engine's generality is measured against.
"""

import numpy as np
from numba import njit

DAY = 86_400_000


@njit(nogil=True, cache=True, error_model="numpy")
def fused(  # type: ignore[no-untyped-def]
    time,
    open_,
    high,
    low,
    close,
    fast,
    slow,
    fast_factor,
    slow_factor,
    fee,
    stop_loss,
    take_profit,
    trailing,
    cash,
    equity,
    ledger,
):
    """Return trades, final equity, drawdown, daily returns' mean and mean square, wins, gain, loss."""
    fast_sum = slow_sum = fast_average = slow_average = 0.0
    quantity = entry = entry_fee = highest = stop = 0.0
    target = np.inf
    balance = cash
    trades = wins = entry_bar = 0
    gain = loss = 0.0
    enter = leave = known = False
    peak = trough = cash
    deepest = 0.0
    day_end = (time[0] // DAY + 1) * DAY
    day_value = value = cash
    days = 0
    returns = squares = 0.0
    for i in range(len(close)):
        if time[i] >= day_end:
            change = value / day_value - 1.0
            returns += change
            squares += change * change
            days += 1
            day_value = value
            day_end = (time[i] // DAY + 1) * DAY
        price = 0.0
        rate = fee
        if quantity > 0.0:
            if open_[i] <= stop or open_[i] >= target or leave:
                price = open_[i]
        elif enter:
            entry = open_[i]
            quantity = balance / (entry * (1.0 + fee))
            entry_fee = quantity * entry * fee
            while quantity * entry + entry_fee > balance:
                quantity = np.nextafter(quantity, 0.0)
                entry_fee = quantity * entry * fee
            entry_bar = i
            highest = entry
            stop = 0.0
            if stop_loss > 0.0:
                stop = entry * (1.0 - stop_loss)
            if trailing > 0.0:
                stop = max(stop, entry * (1.0 - trailing))
            target = entry * (1.0 + take_profit) if take_profit > 0.0 else np.inf
        if quantity > 0.0 and price == 0.0:
            if low[i] <= stop:
                price = stop
            elif high[i] >= target:
                price = target
        if price > 0.0:
            profit = quantity * (price - entry) - (entry_fee + quantity * price * rate)
            balance += profit
            ledger[trades, 0] = entry_bar
            ledger[trades, 1] = i
            ledger[trades, 2] = entry
            ledger[trades, 3] = price
            ledger[trades, 4] = quantity
            ledger[trades, 5] = profit
            trades += 1
            if profit > 0.0:
                wins += 1
                gain += profit
            else:
                loss -= profit
            quantity = 0.0
        value = balance
        if quantity > 0.0:
            if trailing > 0.0 and high[i] > highest:
                highest = high[i]
                stop = max(stop, highest * (1.0 - trailing))
            value = balance - entry_fee + quantity * (close[i] - entry)
        equity[i] = value
        if value >= peak:
            if trough < peak:
                deepest = max(deepest, 1.0 - trough / peak)
            peak = trough = value
        elif value < trough:
            trough = value

        # Signals at the close: crossings of the averages, with the rule language's conventions.
        was_above = fast_average > slow_average
        was_below = fast_average < slow_average
        fast_sum += close[i]
        slow_sum += close[i]
        enter = leave = False
        if fast_factor > 0.0:
            if i >= fast:
                fast_average += (close[i] - fast_average) * fast_factor
            elif i == fast - 1:
                fast_average = fast_sum / fast
            if i >= slow:
                slow_average += (close[i] - slow_average) * slow_factor
            elif i == slow - 1:
                slow_average = slow_sum / slow
        else:
            if i >= fast - 1:
                fast_average = fast_sum / fast
                fast_sum -= close[i - fast + 1]
            if i >= slow - 1:
                slow_average = slow_sum / slow
                slow_sum -= close[i - slow + 1]
        if i >= slow - 1:
            above = fast_average > slow_average
            below = fast_average < slow_average
            if known:
                enter = above and not was_above
                leave = below and not was_below
            known = True
    if quantity > 0.0:
        price = close[-1]
        profit = quantity * (price - entry) - (entry_fee + quantity * price * fee)
        balance += profit
        ledger[trades, 0] = entry_bar
        ledger[trades, 1] = len(close) - 1
        ledger[trades, 2] = entry
        ledger[trades, 3] = price
        ledger[trades, 4] = quantity
        ledger[trades, 5] = profit
        trades += 1
        if profit > 0.0:
            wins += 1
            gain += profit
        else:
            loss -= profit
        equity[-1] = balance
    if balance < trough:
        trough = balance
    if trough < peak:
        deepest = max(deepest, 1.0 - trough / peak)
    change = balance / day_value - 1.0
    returns += change
    squares += change * change
    days += 1
    return trades, balance, deepest, returns / days, squares / days, wins, gain, loss
