"""Signals: what a strategy says at the close of every bar, as the simulation takes it."""

from dataclasses import dataclass

import numpy as np

from gql_trader.engine.bars import Flags


@dataclass(frozen=True, slots=True)
class Signals:
    """Four columns of flags over the same n bars, each known at the close of its bar.

    Attributes
    ----------
    entry_long, exit_long, entry_short, exit_short
        bool[n], C-contiguous; element i is decided by bars 0 to i only. All false while the indicators
        behind it are warming up.
    """

    entry_long: Flags
    exit_long: Flags
    entry_short: Flags
    exit_short: Flags

    def __len__(self) -> int:
        return len(self.entry_long)

    @classmethod
    def none(cls, n: int) -> "Signals":
        """Return n bars without any signal."""
        return cls(*(np.zeros(n, dtype=np.bool_) for _ in range(4)))


@dataclass(frozen=True, slots=True)
class RawSignals:
    """Signals whose columns may be shared with others, so that the warm-up is not masked out of them.

    Attributes
    ----------
    columns
        Not to be changed.
    warmup
        Bars at the beginning whose flags do not count.
    """

    columns: Signals
    warmup: int

    def masked(self) -> Signals:
        """Return the signals with all flags of the warm-up false, as copies."""
        names = ("entry_long", "exit_long", "entry_short", "exit_short")
        copies = {name: getattr(self.columns, name).copy() for name in names}
        for column in copies.values():
            column[: self.warmup] = False
        return Signals(**copies)
