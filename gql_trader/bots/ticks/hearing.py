"""What strategies go on saying: kept in the process, so that a new bar costs a bot of a year no more than one
of a day.

Nothing of it is stored. A worker that has not heard a strategy yet, or not lately, computes what it says over
all its bars once; from then on only over what is new. The digits are the same.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from gql_trader.core.ids import SeriesId
from gql_trader.engine.bars import Bars, Flags, Floats, Integers
from gql_trader.engine.plugins import StrategyCode
from gql_trader.engine.rules import CompiledRules, ParameterValues, PlotLine
from gql_trader.engine.signals import Signals
from gql_trader.market_data.types import StoredSeries

if TYPE_CHECKING:
    from gql_trader.engine.rules.continuing import ContinuedSignals

KEPT_BARS = 16
"""So many bars are remembered with what was said there, for others that want the same, or want it again."""


class ForgottenError(Exception):
    """What was said at some bars is not remembered any more: all of them are needed."""


_COLUMNS = ("entry_long", "exit_long", "entry_short", "exit_short")


@dataclass(frozen=True, slots=True)
class Source:
    """The candles that something was computed from: as long as this stays, they have only become more."""

    series_id: SeriesId
    rewrites: int

    @classmethod
    def of(cls, series: StoredSeries) -> "Source":
        """Return what stands for the candles of a series so far."""
        return cls(series.id, series.rewrites)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a strategy says at some bars: signals, and the lines that explain them."""

    bars: Bars
    signals: Signals
    lines: tuple[PlotLine, ...]

    def signals_over(self, n: int) -> Signals:
        """Return the signals of n bars that end with these; none at those before."""
        if n == len(self.bars):
            return self.signals
        found = Signals.none(n)
        for name in _COLUMNS:
            getattr(found, name)[n - len(self.bars) :] = getattr(self.signals, name)
        return found


class Hearing:
    """A strategy that is listened to, from the first of its bars on. For threads.

    Attributes
    ----------
    until
        Opening time of the last bar that was heard, Unix milliseconds.
    size
        Bytes that it takes at most, roughly.
    """

    def __init__(self, signals: "ContinuedSignals", source: Source, heard: Heard) -> None:
        """Be ready for the bars that follow those that were heard; see `listen`."""
        self._signals = signals
        self._lock = Lock()
        self._texts = [(each.text, each.plot) for each in heard.lines]
        # In a few small arrays: there are thousands of these.
        self._time, self._flags, self._values = _columns(heard, KEPT_BARS)
        self.source = source
        self.until = int(heard.bars.time[-1])
        self.size = signals.size + 2_000 + 200 * len(heard.lines)

    def hear(self, bars: Bars, after: int) -> Heard | None:
        """Return what is said at the bars after a moment; None if it is too long ago to be remembered.

        Parameters
        ----------
        bars
            Consecutive ones of the series; they begin with the last bar that was heard, or before it.
        """
        n = len(bars)
        with self._lock:
            known = int(bars.time.searchsorted(self.until, "right"))
            if known < n:
                goes_on = after == self.until
                heard = self._extend(bars.slice(known, n))
                if goes_on:
                    return heard
            begin = int(bars.time.searchsorted(after, "right"))
            to = int(self._time.searchsorted(bars.time[-1], "right"))
            at = to - (n - begin)
            if at < 0 or not np.array_equal(self._time[at:to], bars.time[begin:]):
                return None
            values = self._values[:, at:to].copy()
            return Heard(
                bars.slice(begin, n),
                Signals(*self._flags[:, at:to].copy()),
                tuple(PlotLine(text, values[line], plot) for line, (text, plot) in enumerate(self._texts)),
            )

    def _extend(self, new: Bars) -> Heard:
        heard = Heard(new, *self._signals.extend(new))
        # However many came at once, all of them are there to be asked for, until the next come.
        time, flags, values = _columns(heard, len(new))
        kept = max(KEPT_BARS, len(new))
        self._time = np.concatenate((self._time, time))[-kept:]
        self._flags = np.concatenate((self._flags, flags), axis=1)[:, -kept:]
        self._values = np.concatenate((self._values, values), axis=1)[:, -kept:]
        self.until = int(new.time[-1])
        return heard


def listen(
    code: CompiledRules, parameters: ParameterValues, source: Source, bars: Bars
) -> tuple[Heard, Hearing]:
    """Return what a strategy says at all its bars so far, at least one, and what listens to it from there."""
    signals = code.continued(parameters, bars.interval)
    heard = Heard(bars, *signals.extend(bars))
    return heard, Hearing(signals, source, heard)


def _columns(heard: Heard, most: int) -> tuple[Integers, Flags, Floats]:
    """Return times, signals and the lines' values of the last bars, copied: a view would hold all bars."""
    begin = max(0, len(heard.bars) - most)
    flags = [getattr(heard.signals, name)[begin:] for name in _COLUMNS]
    values = [each.values[begin:] for each in heard.lines]
    count = len(heard.bars) - begin
    return (
        heard.bars.time[begin:].copy(),
        np.array(flags, dtype=np.bool_),
        np.array(values, dtype=np.float64).reshape(len(values), count),
    )


class Hearings:
    """Strategies that are listened to, by what stands for their signals. For threads.

    Parameters
    ----------
    capacity
        Bytes that they may take together, roughly; those that were asked for longest ago go first.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[UUID, Hearing] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: UUID | None, source: Source) -> Hearing | None:
        """Return a strategy that has been listened to on these candles; one on others is forgotten."""
        if key is None:
            return None
        with self._lock:
            found = self._kept.get(key)
            if found is None or found.source != source:
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return found

    def put(self, key: UUID, hearing: Hearing) -> None:
        """Keep a strategy that is listened to."""
        with self._lock:
            self._drop(key)
            self._kept[key] = hearing
            self._bytes += hearing.size
            while self._bytes > self._capacity:
                self._drop(next(iter(self._kept)))

    def forget(self, key: UUID) -> None:
        """Let go of a strategy."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: UUID) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size


def hear(
    code: StrategyCode,
    parameters: ParameterValues,
    source: Source,
    key: UUID,
    bars: Bars,
    after: int | None,
) -> Heard:
    """Return what a strategy says at the bars after a moment, and maybe at some before, given all its bars.

    Parameters
    ----------
    key
        What stands for its signals.
    after
        Opening time of a bar, Unix milliseconds; None: at all bars.
    """
    if not isinstance(code, CompiledRules):
        return Heard(bars, code.signals(bars, parameters), code.lines(bars, parameters))
    hearing = None if after is None else hearings.get(key, source)
    if hearing is not None and after is not None and (heard := go_on(key, hearing, bars, after)) is not None:
        return heard
    heard, hearing = listen(code, parameters, source, bars)
    hearings.put(key, hearing)
    return heard


def go_on(key: UUID, hearing: Hearing, bars: Bars, after: int) -> Heard | None:
    """Return what `Hearing.hear` returns; one that has nothing to say any more is forgotten."""
    try:
        heard = hearing.hear(bars, after)
    except Exception:
        hearings.forget(key)
        raise
    if heard is None:
        hearings.forget(key)
    return heard


_MOST_BYTES = 256 * 2**20

hearings = Hearings(_MOST_BYTES)
"""Those of this process."""
