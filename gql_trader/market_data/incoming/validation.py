"""Checking the candles of a file, row by row but all rows at once; and repairing what can be repaired."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.clock import SystemClock, from_milliseconds, to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.market_data.incoming.raw_candles import PRICES, TAKEN_TIMES, UNREADABLE, RawCandles

LISTED_PROBLEMS: Final = 20

# Far beyond everything that was ever traded, and far within what a float64 can add up exactly enough.
LOWEST_PRICE: Final = 1e-12
HIGHEST_PRICE: Final = 1e15
HIGHEST_VOLUME: Final = 1e18

_LONGEST_SHOWN: Final = 40
_ENOUGH_TO_TELL: Final = 4
_LEAST_SHARE: Final = 0.05

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row of a file is refused."""

    row: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"


class RefusedRows(InvalidInput):
    """A file has rows that are not candles.

    Attributes
    ----------
    problems
        The first twenty, in the order of the file.
    count
        How many there are.
    """

    def __init__(self, problems: Sequence[RowProblem], count: int) -> None:
        self.problems = tuple(problems)
        self.count = count
        rows = "1 row is refused" if count == 1 else f"{count} rows are refused"
        more = f"; and {count - len(problems)} more" if count > len(problems) else ""
        super().__init__(f"{rows}: {'; '.join(map(str, problems))}{more}.", ("file",))


def check(raw: RawCandles, interval: Interval, now: int | None = None) -> Bars:
    """Return the candles of a file, oldest first.

    The rows may be in any order: files with the newest first are common, and real ones have stretches
    where rows of two days are interleaved. Only one time in two rows is ambiguous.

    Parameters
    ----------
    now
        Unix milliseconds; by default the machine's clock.

    Raises
    ------
    RefusedRows
        If a row is malformed or unreadable, has a price that is not finite, positive and within the limits,
        a high below or a low above another of its prices, a negative or enormous volume, a time before
        1970, that is not the opening of a candle or that an earlier row has, or is not over yet.
    InvalidInput
        If there are no rows, or the candles are those of another interval.
    """
    if not len(raw) and not raw.malformed:
        raise InvalidInput("The file has no candles.", ("file",))
    step = other_step(raw, interval)
    if step is not None:
        raise _other_interval(step, interval)
    reasons: dict[int, RowProblem] = {}
    refused = np.zeros(len(raw), np.bool_)
    for bad, reason in _problems(raw, interval, _present(now)):
        for index in np.flatnonzero(bad & ~refused)[:LISTED_PROBLEMS]:
            reasons[int(index)] = RowProblem(int(raw.row[index]), reason(int(index)))
        refused |= bad
    count = int(np.count_nonzero(refused)) + len(raw.malformed)
    if count:
        listed = [*reasons.values(), *(RowProblem(row, why) for row, why in raw.malformed[:LISTED_PROBLEMS])]
        raise RefusedRows(sorted(listed, key=lambda problem: problem.row)[:LISTED_PROBLEMS], count)
    return _bars(raw, np.argsort(raw.time), interval)


def keep_sound(raw: RawCandles, interval: Interval, now: int) -> tuple[Bars, int]:
    """Return the rows that `check` would take, oldest first, and how many it would refuse.

    Nothing is repaired: of a series that comes in parts, the rest is a gap.

    Parameters
    ----------
    now
        Unix milliseconds.
    """
    refused = np.zeros(len(raw), np.bool_)
    for bad, _ in _problems(raw, interval, now):
        refused |= bad
    kept = np.flatnonzero(~refused)
    order = kept[np.argsort(raw.time[kept])]
    return _bars(raw, order, interval), int(np.count_nonzero(refused))


def other_step(raw: RawCandles, interval: Interval) -> int | None:
    """Return how far apart the candles are in milliseconds if it is not the interval, else None.

    Files with gaps have enough candles that follow each other, and those with stray rows between them have
    too; a file of another interval has next to none. Nothing is said of files with a few candles only.
    """
    times = np.unique(raw.time[raw.time != UNREADABLE])
    if len(times) < _ENOUGH_TO_TELL:
        return None
    steps, counts = np.unique(np.diff(times), return_counts=True)
    if counts[steps == interval.milliseconds].sum() >= _LEAST_SHARE * (len(times) - 1):
        return None
    return int(steps[np.argmax(counts)])


def _other_interval(step: int, interval: Interval) -> InvalidInput:
    name = next((each.name for each in Interval if each.milliseconds == step), None)
    found = name or f"{step / 1000:g} s"
    advice = f": import them with interval {name}" if name else ""
    return InvalidInput(f"The file's candles are {found} apart, not {interval.name}{advice}.", ("interval",))


def _present(now: int | None) -> int:
    return to_milliseconds(SystemClock().now()) if now is None else now


def _problems(raw: RawCandles, interval: Interval, now: int) -> Iterator[tuple[Rows, Callable[[int], str]]]:
    """Yield tests in order of importance: which rows fail, and the reason for one of them."""
    yield raw.time == UNREADABLE, lambda index: _unreadable(raw, index)
    yield (
        raw.time < 0,
        lambda index: f"{_shown(raw.time[index])} is before 1970",
    )
    yield (
        _unfinished(raw.time, interval, now),
        lambda index: f"the candle of {_shown(raw.time[index])} is not over yet: it is {_shown(now)} (UTC)",
    )
    for name in (*PRICES, "volume"):
        column = getattr(raw, name)
        yield ~np.isfinite(column), lambda index, name=name: f"{name} is missing or not a finite number"  # type: ignore[misc]
    for name in PRICES:
        column = getattr(raw, name)
        yield column <= 0, lambda index, name=name, column=column: f"{name} {column[index]} is not positive"  # type: ignore[misc]
    for name in PRICES:
        column = getattr(raw, name)
        yield (
            (column < LOWEST_PRICE) | (column > HIGHEST_PRICE),
            lambda index, name=name, column=column: (  # type: ignore[misc]
                f"{name} {column[index]} is not between {LOWEST_PRICE:g} and {HIGHEST_PRICE:g}"
            ),
        )
    highest = np.maximum(np.maximum(raw.open, raw.close), raw.low)
    lowest = np.minimum(np.minimum(raw.open, raw.close), raw.high)
    yield (
        raw.high < highest,
        lambda index: f"high {raw.high[index]} is below {highest[index]}, the highest of open, low and close",
    )
    yield (
        raw.low > lowest,
        lambda index: f"low {raw.low[index]} is above {lowest[index]}, the lowest of open, high and close",
    )
    yield raw.volume < 0, lambda index: f"volume {raw.volume[index]} is negative"
    yield (
        raw.volume > HIGHEST_VOLUME,
        lambda index: f"volume {raw.volume[index]} is above {HIGHEST_VOLUME:g}",
    )
    yield (
        _misaligned(raw.time, interval),
        lambda index: f"{_shown(raw.time[index])} is not the opening of a candle of {interval.name}",
    )
    yield from _repeated_times(raw)


def _repeated_times(raw: RawCandles) -> Iterator[tuple[Rows, Callable[[int], str]]]:
    first_row: dict[int, int] = {}
    order = np.argsort(raw.time, kind="stable")
    again = np.zeros(len(raw), np.bool_)
    same = np.flatnonzero(raw.time[order][1:] == raw.time[order][:-1]) + 1
    again[order[same]] = True
    for index in order[same - 1]:
        first_row.setdefault(int(raw.time[index]), int(raw.row[index]))
    yield (
        again,
        lambda index: f"{_shown(raw.time[index])} is already the time of row {first_row[raw.time[index]]}",
    )


def repair(
    raw: RawCandles, interval: Interval, now: int | None = None
) -> tuple[Bars, tuple[tuple[str, int], ...]]:
    """Return the candles that can be made of a file's rows, and what was done, with how often.

    - Rows with another number of fields than the header, an unreadable time, one before 1970, a price that
      is missing, not finite, not positive or out of the limits, or a time that is not the opening of a
      candle, and candles that are not over yet, are dropped.
    - A missing, infinite, negative or enormous volume becomes 0.
    - High becomes the highest and low the lowest of a row's four prices.
    - Rows are put in order; of rows with one time, that furthest down in the file is kept.
    - Candles that are further apart than the interval are taken for what is left of it.

    Parameters
    ----------
    now
        Unix milliseconds; by default the machine's clock.

    Raises
    ------
    InvalidInput
        If no row is left, or the candles are those of a shorter interval: every so many of them would
        pass for one of this interval and would be wrong.
    """
    step = other_step(raw, interval)
    if step is not None and step < interval.milliseconds:
        raise _other_interval(step, interval)
    done: list[tuple[str, int]] = []

    def note(what: str, rows: Rows) -> None:
        if rows.any():
            done.append((what, int(np.count_nonzero(rows))))

    prices = np.stack([getattr(raw, name) for name in PRICES])
    positive = np.all(np.isfinite(prices) & (prices > 0), axis=0)
    possible = np.all((prices >= LOWEST_PRICE) & (prices <= HIGHEST_PRICE), axis=0)
    readable = raw.time != UNREADABLE
    early = readable & (raw.time < 0)
    unfinished = readable & _unfinished(raw.time, interval, _present(now))
    timed = readable & ~early & ~unfinished
    misaligned = possible & timed & _misaligned(raw.time, interval)
    note("dropped: malformed row", np.ones(len(raw.malformed), np.bool_))
    note("dropped: time unreadable", ~readable)
    note("dropped: time before 1970", early)
    note("dropped: candle not over yet", unfinished)
    note("dropped: price missing or not positive", ~positive & timed)
    note(f"dropped: price not between {LOWEST_PRICE:g} and {HIGHEST_PRICE:g}", positive & ~possible & timed)
    note("dropped: time not the opening of a candle", misaligned)
    kept = np.flatnonzero(possible & ~misaligned & timed)

    # Stable, so that of equal times the one furthest down in the file comes last.
    order = kept[np.argsort(raw.time[kept], kind="stable")]
    last = np.append(raw.time[order][1:] != raw.time[order][:-1], True)[: len(order)]
    note("dropped: another row of the same time further down", ~last)
    order = order[last]
    if not len(order):
        raise InvalidInput("The file has no candles that can be repaired.", ("file",))

    bars = _bars(raw, order, interval)
    sound = (bars.volume >= 0) & (bars.volume <= HIGHEST_VOLUME)
    volume = np.where(sound, bars.volume, 0.0)
    note("volume set to 0", ~sound)
    high, low = prices[:, order].max(axis=0), prices[:, order].min(axis=0)
    note("high raised to the highest price", high != bars.high)
    note("low lowered to the lowest price", low != bars.low)
    return Bars(bars.time, bars.open, high, low, bars.close, volume, bars.interval), tuple(done)


def _bars(raw: RawCandles, order: NDArray[np.intp], interval: Interval) -> Bars:
    columns = {name: np.ascontiguousarray(getattr(raw, name)[order]) for name in (*PRICES, "volume")}
    return Bars(time=np.ascontiguousarray(raw.time[order]), **columns, interval=interval.milliseconds)


def _misaligned(time: NDArray[np.int64], interval: Interval) -> Rows:
    return np.asarray((time - interval.offset) % interval.milliseconds != 0)


def _unfinished(time: NDArray[np.int64], interval: Interval, now: int) -> Rows:
    return np.asarray(time > now - interval.milliseconds)


def _unreadable(raw: RawCandles, index: int) -> str:
    written = None if raw.written_times is None else raw.written_times[index].as_py()
    if written is None or written == "":
        return "the time is missing"
    shown = repr(written) if isinstance(written, str) else str(written)
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}…"
    return f"the time {shown} cannot be read; taken are {TAKEN_TIMES}"


def _shown(time: int) -> str:
    try:
        return from_milliseconds(int(time)).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time} ms"
