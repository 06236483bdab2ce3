"""Where in the loop's flat arrays is what, and what its codes mean.

All of it is frozen into the machine code, and the places into exported states: new ones go at the end.
"""

from typing import Final

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

MILLISECONDS_A_DAY: Final = 86_400_000

NO_DAY: Final = -(2**31)
"""Before the first day, of any history."""

CLOSINGS_PER_BAR: Final = 2
"""Most trades one bar can close: one at the open, and its successor inside the bar or at the close."""
