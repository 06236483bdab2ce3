"""Which days of a market count as days of its curve, and how many of them are taken for a year.

Numpy alone, since the process that serves the API imports it and loads no compiled code.
"""

from enum import Enum

import numpy as np

from gql_trader.engine.bars import Bars, Integers

DAY = 86_400_000
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
"""Days of the week as `weekdays` counts them."""


class TradingDays(Enum):
    """Which days of a run count as days of its curve."""

    EVERY_DAY = "EVERY_DAY"
    """Every calendar day from the first bar to the last; one without bars carries the value on."""

    WEEKDAYS = "WEEKDAYS"
    """Days from Monday to Friday; what closes at a weekend belongs to the Monday after."""

    WITH_BARS = "WITH_BARS"
    """Days of whatever name in which a bar closes."""

    @property
    def per_year(self) -> int:
        """How many of them are taken for a year."""
        return 365 if self is TradingDays.EVERY_DAY else 252


def weekdays(days: Integers) -> Integers:
    """Return the days of the week of days since 1970: 0 for a Monday, 6 for a Sunday."""
    found: Integers = (days + 3) % 7  # 1970-01-01 was a Thursday
    return found


def trades_at_weekends(bars: Bars) -> bool:
    """Return whether the market of these bars trades at weekends.

    It does if it traded on Saturdays at least half as often as on Fridays, and on one at all: days of UTC in
    which a bar opens that has a volume, or a high above its low. All of Saturday foreign exchange is closed:
    its week ends on Friday at 21 or 22 o'clock UTC, and begins on Sunday in the evening. A wrong row or two
    on a Saturday do not make a market one that never closes, nor do the flat rows without volume with which
    some sources fill weekends. Bars longer than a day tell nothing: no.
    """
    saturdays = _days_of_trading(bars, SATURDAY)
    return saturdays > 0 and 2 * saturdays >= _days_of_trading(bars, FRIDAY)


def trades_on_sundays_not_fridays(bars: Bars) -> bool:
    """Return whether the market's week begins on Sunday and ends before Friday, as in Riyadh.

    It does if it traded on Fridays less than half as often as on Sundays. Bars longer than a day tell
    nothing: no.
    """
    return 2 * _days_of_trading(bars, FRIDAY) < _days_of_trading(bars, SUNDAY)


def _days_of_trading(bars: Bars, weekday: int) -> int:
    """Return on how many days of this name something was traded."""
    if bars.interval > DAY or not len(bars):
        return 0
    days = np.arange(int(bars.time[0]) // DAY, int(bars.time[-1]) // DAY + 1, dtype=np.int64)
    days = days[weekdays(days) == weekday]
    begins, ends = np.searchsorted(bars.time, (days * DAY, (days + 1) * DAY)).tolist()
    return sum(_traded(bars, begin, end) for begin, end in zip(begins, ends, strict=True))


def _traded(bars: Bars, begin: int, end: int) -> bool:
    part = slice(begin, end)
    return bool(np.any(bars.volume[part] > 0.0) or np.any(bars.high[part] > bars.low[part]))
