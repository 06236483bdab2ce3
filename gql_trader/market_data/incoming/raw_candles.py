"""Candles as they come from outside, before anybody has looked at them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gql_trader.engine.bars import Floats, Integers

PRICES: Final = ("open", "high", "low", "close")

TAKEN_TIMES: Final = "Unix epochs in s, ms, µs or ns, and ISO 8601 such as 2019-10-17 09:00"
"""The forms of times, in words."""

UNREADABLE: Final = int(np.iinfo(np.int64).min)
"""Stands in a column of times for one that could not be read."""


@dataclass(frozen=True, slots=True)
class RawCandles:
    """Columns as a file has them, in its order, not checked yet.

    Attributes
    ----------
    row
        int64[n]: number of each row as an editor shows it for a CSV file (its first line is 1), number of
        the record for the others (the first is 1).
    time
        int64[n], Unix milliseconds; `UNREADABLE` where it could not be read.
    open, high, low, close, volume
        float64[n]; NaN where a value is missing or not a number.
    malformed
        Rows that have another number of fields than the header, with the reason.
    written_times
        The times as the file has them: a column of Arrow's; None if there are none to show.
    notes
        What was decided where the file leaves a choice, in words.
    """

    row: Integers
    time: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    malformed: Sequence[tuple[int, str]] = field(default=())
    written_times: Any = None
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.time)
