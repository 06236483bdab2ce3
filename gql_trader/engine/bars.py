"""Bars: the columns of a price series, as the engine takes them."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

Scalar = TypeVar("Scalar", bound=np.generic)


def require(column: NDArray[Scalar], dtype: type[Scalar]) -> NDArray[Scalar]:
    """Return a column as compiled code takes it: contiguous and aligned; a copy only if it is not."""
    # What numpy has for this takes several times as long, and a run asks for two dozen columns.
    flags = column.flags
    if column.dtype == dtype and flags.c_contiguous and flags.aligned:
        return column
    return np.require(column, dtype, ("C", "A"))


@dataclass(frozen=True, slots=True)
class Bars:
    """OHLCV columns of n bars, oldest first.

    Attributes
    ----------
    time
        int64[n], opening time of each bar, Unix milliseconds, strictly increasing, UTC.
    open, high, low, close
        float64[n], prices in the quote currency, positive and finite.
    volume
        float64[n], in the base currency, not negative.
    interval
        Length of a bar in milliseconds.
    """

    time: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    interval: int

    def __len__(self) -> int:
        return len(self.time)

    def slice(self, start: int, stop: int) -> "Bars":
        """Return bars ``start`` to ``stop`` (exclusive) as views, without copying."""
        return Bars(
            self.time[start:stop],
            self.open[start:stop],
            self.high[start:stop],
            self.low[start:stop],
            self.close[start:stop],
            self.volume[start:stop],
            self.interval,
        )
