"""The days of sessions: kept once they are over, so that a look at all of them is soon done.

What is kept are days of the user's time zone: a worker keeps them soon after they are over, and all of them
anew where the user has moved to another zone. With those of each session it keeps their sums, for all that a
report may be about: so the best of a user's or a bot's days is found by an index, whatever the number of
days and sessions. Days that are not kept yet, and those of other zones, are made of where the sessions stood
at midnights, as everywhere else: that is the same, but takes longer.

Once all days of a session are kept, the session itself is added to the sums over those that are over
(`gql_trader.reports.repository_ended`), and is not read any more but where it is named.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.zones import day_begins, day_of
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository_days, repository_ended, repository_series
from gql_trader.reports.levels import levels_at
from gql_trader.reports.repository_days import KeptDays, Span
from gql_trader.reports.repository_series import ZonedSeries
from gql_trader.reports.types import Day, Level, Scope
from gql_trader.reports.types_books import Account, Book

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a report is over: all that a scope of a user's has, and the time zone of the days."""

    user_id: UserId
    scope: Scope
    book: Book
    zone: str

    @property
    def series(self) -> ZonedSeries:
        """That of the sessions, unless a single one was named."""
        scope = self.scope
        mode = None if scope.mode is None else scope.mode.value
        replays = not scope.leaves_replays_out
        return ZonedSeries(self.user_id, scope.bot_id, self.book.currency, mode, replays, self.zone)

    def stored(self, kept: Mapping[UUID, KeptDays]) -> UUID | ZonedSeries | None:
        """Return what has the sum of the days that are kept of the sessions; None: nothing is kept.

        Parameters
        ----------
        kept
            Of those that may still change.
        """
        if self.scope.session_id is not None:
            return self.scope.session_id if kept else None
        return self.series if kept or self.book.ended is not None else None


async def best_and_worst(uow: UnitOfWork, of: Selection) -> tuple[date, date] | None:
    """Return the days on which sessions gained most and least, together.

    The first of several; None if nothing was gained or lost on any. It reads as much for ten years as for
    one, and for a thousand sessions that are over as for none.
    """
    now = to_milliseconds(uow.clock.now())
    if not await _has_all_ended(uow, of):
        return await _best_and_worst_of_all(uow, of, now)
    kept = await repository_days.kept(uow.session, [each.id for each in of.book.accounts], of.zone)
    spans = spans_left(of.book.accounts, kept, of.zone, now)
    forming = list(_forming(of.book.accounts, of.zone))
    found = await repository_days.best_and_worst(uow.session, of.stored(kept), spans, forming)
    if found is None:
        return None
    best, worst = (_EPOCH + timedelta(days=number) for number in found)
    return best, worst


async def _has_all_ended(uow: UnitOfWork, of: Selection) -> bool:
    """Return whether the days of all sessions that are summed are kept in this zone.

    They are not of other zones than the user's, nor shortly after the user has moved.
    """
    if of.book.ended is None:
        return True
    return await repository_series.final_sessions(uow.session, of.series) == of.book.ended.sessions


async def _best_and_worst_of_all(uow: UnitOfWork, of: Selection, now: int) -> tuple[date, date] | None:
    """Return the same, made of where all sessions stood at every midnight."""
    first = [each.since for each in of.book.accounts]
    if of.book.ended is not None:
        begun = await repository_ended.first_time(uow.session, of.book.ended.id)
        first += [] if begun is None else [begun]
    if not first:
        return None
    last = max([now, *(each.until for each in of.book.accounts if each.until is not None)])
    low, high = day_with(of.zone, min(first)), day_with(of.zone, last)
    changes = {day: level.change for day, level in (await _from_midnights(uow, of, low, high)).items()}
    eventful = [day for day, change in changes.items() if change]
    if not eventful:
        return None
    best, worst = max(eventful, key=changes.__getitem__), min(eventful, key=changes.__getitem__)
    return _EPOCH + timedelta(days=best), _EPOCH + timedelta(days=worst)


async def days_between(uow: UnitOfWork, of: Selection, first: date, last: date) -> list[Day]:
    """Return the same as `gql_trader.reports.periods.days`, with fewer reads where they are many."""
    numbers = range(_number(first), _number(last) + 1)
    if await _has_all_ended(uow, of):
        changes = await _changes(uow, of, numbers[0], numbers[-1])
    else:
        changes = await _from_midnights(uow, of, numbers[0], numbers[-1])
    [reached] = await levels_at(uow, of.book, [day_begins(of.zone, numbers[0])])
    return _days(changes, numbers, Level(of.book.baseline) + reached)


async def _from_midnights(uow: UnitOfWork, of: Selection, low: int, high: int) -> dict[int, Level]:
    """Return what sessions gained and closed, by day from ``low`` to ``high``, in this order."""
    midnights = [day_begins(of.zone, day) for day in range(low, high + 2)]
    levels = await levels_at(uow, of.book, midnights)
    return {low + at: after - before for at, (before, after) in enumerate(pairwise(levels))}


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _days(changes: Mapping[int, Level], numbers: Sequence[int], before: Level) -> list[Day]:
    found, reached = [], before.change
    for number in numbers:
        level = changes.get(number, Level())
        found.append(Day(_EPOCH + timedelta(days=number), reached, level))
        reached += level.change
    return found


async def _changes(uow: UnitOfWork, of: Selection, low: int, high: int) -> dict[int, Level]:
    """Return what sessions gained and closed, by day from ``low`` to ``high``, where it is anything."""
    accounts = of.book.accounts
    kept = await repository_days.kept(uow.session, [each.id for each in accounts], of.zone)
    spans = spans_left(accounts, kept, of.zone, to_milliseconds(uow.clock.now()), low, high)
    found = await repository_days.changes(uow.session, of.stored(kept), spans, low, high)
    for day, amount in _forming(accounts, of.zone):
        if low <= day <= high:
            found[day] = found.get(day, Level()) + Level(amount)
    return found


def _forming(accounts: Sequence[Account], zone: str) -> Iterator[tuple[int, Decimal]]:
    for each in accounts:
        if each.formed_since is not None and each.forming:
            yield day_with(zone, each.formed_since), each.forming


def spans_left(
    accounts: Sequence[Account],
    kept: Mapping[UUID, KeptDays],
    zone: str,
    now: int,
    low: int | None = None,
    high: int | None = None,
) -> list[Span]:
    """Return the days of sessions, from ``low`` to ``high``, that are not kept.

    ``now`` is in Unix milliseconds.
    """
    spans, today = [], day_with(zone, now)
    for each in accounts:
        mark = kept.get(each.id)
        if mark is None or not mark.is_final:
            begin = day_with(zone, each.since) if mark is None else mark.until
            end = today if each.until is None else day_with(zone, each.until)
            spans.append(span_of(each, zone, begin, end, low, high))
    return spans


def span_of(
    account: Account, zone: str, begin: int, end: int, low: int | None = None, high: int | None = None
) -> Span:
    first = begin if low is None else max(begin, low)
    last = end if high is None else min(end, high)
    return Span(account, first, [day_begins(zone, day) for day in range(first, last + 2)])


def day_with(zone: str, moment: int) -> int:
    """Return the day of a zone, counted from 1970-01-01, that has begun last at a moment.

    Where clocks are put back over a midnight they show the day before again, but a day begins once.
    """
    day = day_of(zone, moment) + 1
    while day_begins(zone, day) > moment:
        day -= 1
    return day
