"""Candles as an exchange sends them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class CandlePage:
    """Closed candles, the oldest first, each time once; columns of one length.

    Attributes
    ----------
    time
        Opening times, Unix ms.
    volume
        In the base currency.
    """

    time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time)
