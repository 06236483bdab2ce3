"""Whether signals know the future: computed again on bars that end earlier, they must not change."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from gql_trader.engine.bars import Bars, Flags, Integers
from gql_trader.engine.signals import Signals


class SignalKind(StrEnum):
    """A column of `Signals`, by its name there."""

    ENTRY_LONG = "entry_long"
    EXIT_LONG = "exit_long"
    ENTRY_SHORT = "entry_short"
    EXIT_SHORT = "exit_short"


@dataclass(frozen=True, slots=True)
class SignalChange:
    """A signal that is another one when later bars are not there.

    Attributes
    ----------
    bar
        The bar whose signal differs, the latest of them before the cut.
    cut
        The first bar that was not there.
    with_future, without
        What the signal is with all bars, and with those before the cut only.
    changed
        How many bars before the cut differ.
    """

    signal: SignalKind
    bar: int
    cut: int
    with_future: bool
    without: bool
    changed: int


def cut_points(signals: Signals, first: int, count: int) -> Integers:
    """Return the bars at which to cut: half of them right behind signals, half at equal distances.

    A signal that comes from the future shows at its own bar, and signals are rare: evenly placed cuts alone
    would miss most. Each of the four has its share of the cuts, where it turns true.

    Parameters
    ----------
    first
        The first bar that may trade.
    count
        How many cuts at most, at least 2.

    Returns
    -------
    int64[m]
        Ascending, in (first, n); each is the first bar left out.
    """
    n = len(signals)
    turning = [_turning(getattr(signals, name)[first : n - 1]) + first + 1 for name in SignalKind]
    used = [each for each in turning if len(each)]
    behind = np.concatenate([_some(each, count // 2 // len(used)) for each in used] or [_NONE])
    even = np.linspace(first + 1, n - 1, count - len(behind)).astype(np.int64)
    cuts = np.unique(np.concatenate((behind, even)))
    return cuts[(cuts > first) & (cuts < n)].astype(np.int64)


_NONE = np.zeros(0, dtype=np.int64)


def _turning(flags: Flags) -> Integers:
    return np.flatnonzero(flags & ~np.concatenate(([False], flags[:-1])))


def _some(values: Integers, count: int) -> Integers:
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).astype(np.int64)]


def changes_at(
    cut: int, bars: Bars, signals: Signals, compute: Callable[[Bars], Signals], first: int = 0
) -> list[SignalChange]:
    """Return the signals that change when the bars from a cut on are left out; none if nothing looks ahead.

    Parameters
    ----------
    signals
        Those of all bars.
    compute
        Gives the signals of any bars.
    first
        Signals before this bar do not count.
    """
    shorter = compute(bars.slice(0, cut))
    found: list[SignalChange] = []
    for name in SignalKind:
        whole: Flags = getattr(signals, name)[:cut]
        part: Flags = getattr(shorter, name)
        differs = np.flatnonzero(whole[first:] != part[first:])
        if len(differs):
            bar = first + int(differs[-1])
            found.append(SignalChange(name, bar, cut, bool(whole[bar]), bool(part[bar]), len(differs)))
    return found
