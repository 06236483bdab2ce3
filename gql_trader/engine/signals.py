"""Signals: what a strategy says at the close of every bar, as the simulation takes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gql_trader.engine.bars import Flags

Words = NDArray[np.uint64]
"""Conditions, a bit a bar: bar i has bit i % 64 of word i // 64; bits behind the last bar are 0."""

WORD = 64


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
    """Signals as many runs over the same bars take them: an eighth of the memory, and shared between runs.

    Attributes
    ----------
    entry_long, exit_long, entry_short, exit_short
        uint64[ceil(n / 64)], not to be changed, as others may have them too.
    bars
        n.
    warmup
        Bars at the beginning whose bits do not count.
    """

    entry_long: Words
    exit_long: Words
    entry_short: Words
    exit_short: Words
    bars: int
    warmup: int

    @classmethod
    def of(cls, signals: Signals, warmup: int = 0) -> "RawSignals":
        """Return signals as bits."""
        return cls(
            packed(signals.entry_long),
            packed(signals.exit_long),
            packed(signals.entry_short),
            packed(signals.exit_short),
            len(signals),
            warmup,
        )

    def masked(self) -> Signals:
        """Return the signals as columns, with all flags of the warm-up false."""
        words = (self.entry_long, self.exit_long, self.entry_short, self.exit_short)
        columns = [unpacked(each, self.bars) for each in words]
        for column in columns:
            column[: self.warmup] = False
        return Signals(*columns)


def packed(flags: Flags) -> Words:
    """Return bool[n] as uint64[ceil(n / 64)]."""
    found = np.packbits(flags, bitorder="little")
    whole = np.zeros(-(-len(flags) // WORD) * 8, dtype=np.uint8)
    whole[: len(found)] = found
    return whole.view("<u8").astype(np.uint64, copy=False)


def unpacked(words: Words, n: int) -> Flags:
    """Return uint64[ceil(n / 64)] as bool[n], a new array."""
    octets = words.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=n, bitorder="little").view(np.bool_)
