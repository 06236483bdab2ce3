"""Candle intervals: their length, alignment and which may be resampled into which."""

from enum import Enum

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

# Weekly candles open on Monday, as on every large venue; 1970-01-01 was a Thursday.
_MONDAY_OFFSET = 4 * DAY


class Interval(Enum):
    """Length of one candle, by its name in the API. The value is the usual short spelling."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    W1 = "1w"

    @property
    def milliseconds(self) -> int:
        """Length in milliseconds."""
        return _LENGTHS[self]

    def floor(self, milliseconds: int) -> int:
        """Return the opening time (Unix ms) of the candle that contains the given moment."""
        offset = self.offset
        return (milliseconds - offset) // self.milliseconds * self.milliseconds + offset

    @property
    def offset(self) -> int:
        """Opening times are congruent to this modulo the length, in Unix milliseconds."""
        return _MONDAY_OFFSET if self is Interval.W1 else 0

    def divides(self, other: "Interval") -> bool:
        """Whether candles of ``other`` are made of whole candles of this interval."""
        return self.milliseconds <= other.milliseconds and other.milliseconds % self.milliseconds == 0


_LENGTHS = {
    Interval.M1: MINUTE,
    Interval.M3: 3 * MINUTE,
    Interval.M5: 5 * MINUTE,
    Interval.M15: 15 * MINUTE,
    Interval.M30: 30 * MINUTE,
    Interval.H1: HOUR,
    Interval.H2: 2 * HOUR,
    Interval.H4: 4 * HOUR,
    Interval.H6: 6 * HOUR,
    Interval.H8: 8 * HOUR,
    Interval.H12: 12 * HOUR,
    Interval.D1: DAY,
    Interval.W1: WEEK,
}
