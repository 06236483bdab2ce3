"""What was gained over time: days of a time zone, and equity curves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import DAY, HOUR, MINUTE, WEEK, Interval
from gql_trader.core.zones import day_begins, known_zone, time_zones
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import daily, repository
from gql_trader.reports.daily import Selection
from gql_trader.reports.levels import levels_at, levels_of_groups
from gql_trader.reports.service import balance_of, reported
from gql_trader.reports.types import Curve, Day, Level, Scope, Summary
from gql_trader.reports.types_books import Book
from gql_trader.settings.service import preferences_of

MOST_DAYS = 4000
"""Days of one calendar: more than ten years."""

USUAL_DAYS = 30

_MANY_DAYS = 60
"""From so many on, days that are kept are worth another statement."""

CURVE_POINTS = 1500
"""A curve is looked at in so many places at most."""

_EPOCH = date(1970, 1, 1)
_FIRST_DAY, _LAST_DAY = date(1971, 1, 1), date(2099, 12, 31)
_STEPS = (
    *(15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR),
    *(DAY, 2 * DAY, WEEK, 2 * WEEK, 4 * WEEK, 12 * WEEK, 52 * WEEK),
)


async def zone_of(uow: UnitOfWork, user_id: UserId, named: str | None) -> str:
    """Return the time zone to cut days in: the one named, or that of the user's preferences.

    Raises
    ------
    InvalidInput
        If there is no such zone.
    """
    if named is None:
        return known_zone((await preferences_of(uow, user_id)).timezone)
    if named not in time_zones():
        raise InvalidInput("This is no time zone of the IANA database, such as Europe/Berlin.", ("timezone",))
    return named


def day_of(moment: datetime, zone: str) -> date:
    """Return the day that a zone's calendars show at a moment."""
    return moment.astimezone(ZoneInfo(zone)).date()


@dataclass(frozen=True, slots=True)
class DaysWanted:
    """Sessions of one currency, and the days from ``first`` to ``last`` of a zone, both included."""

    book: Book
    first: date
    last: date
    zone: str


async def days(uow: UnitOfWork, book: Book, first: date, last: date, zone: str) -> list[Day]:
    """Return what sessions of one currency gained on each day from ``first`` to ``last``, both included.

    A bar belongs to the day on which it opened, with all that was filled in it. Days have 23 or 25 hours
    where the zone's clocks change.
    """
    return (await days_of_groups(uow, [DaysWanted(book, first, last, zone)]))[0]


async def days_of_groups(uow: UnitOfWork, wanted: Sequence[DaysWanted]) -> list[list[Day]]:
    """Return the same for several groups of sessions, such as those of users, by one statement."""
    # The first look at a zone takes a tenth of a second.
    midnights = await asyncio.to_thread(
        lambda: [_midnights(each.first, each.last, each.zone) for each in wanted]
    )
    groups = [(each.book, moments) for each, moments in zip(wanted, midnights, strict=True)]
    levels = await levels_of_groups(uow, groups)
    return [_days(each, reached) for each, reached in zip(wanted, levels, strict=True)]


def _midnights(first: date, last: date, zone: str) -> list[int]:
    numbers = range((first - _EPOCH).days, (last - _EPOCH).days + 2)
    return [day_begins(zone, number) for number in numbers]


def _days(wanted: DaysWanted, levels: Sequence[Level]) -> list[Day]:
    return [
        Day(wanted.first + timedelta(days=at), wanted.book.baseline + before.change, after - before)
        for at, (before, after) in enumerate(pairwise(levels))
    ]


async def calendar(
    uow: UnitOfWork, user_id: UserId, scope: Scope, start: date | None, end: date | None, zone: str | None
) -> list[Day] | None:
    """Return every day from ``start`` to ``end``, both included; None if the scope names what is not there.

    Parameters
    ----------
    start, end
        None: the 30 days up to ``end``; up to today.
    zone
        IANA name; None: the user's.

    Raises
    ------
    InvalidInput
        If the range is empty or too long, or there is no such zone or currency.
    """
    book = await reported(uow, user_id, scope)
    if book is None:
        return None
    name = await zone_of(uow, user_id, zone)
    for given, path in ((start, "start"), (end, "end")):
        if given is not None and not _FIRST_DAY <= given <= _LAST_DAY:
            raise InvalidInput(f"Days are between {_FIRST_DAY} and {_LAST_DAY}.", (path,))
    last = end or day_of(uow.clock.now(), name)
    first = start or last - timedelta(days=USUAL_DAYS - 1)
    if first > last:
        raise InvalidInput("end is before start.", ("end",))
    if (count := (last - first).days + 1) > MOST_DAYS:
        raise InvalidInput(f"At most {MOST_DAYS} days at a time; this would be {count}.", ("start",))
    if count > _MANY_DAYS:
        return await daily.days_between(uow, Selection(user_id, scope, book, name), first, last)
    return await days(uow, book, first, last, name)


async def best_and_worst(uow: UnitOfWork, of: Selection) -> tuple[Day, Day] | None:
    """Return the days on which sessions gained most and least; see `daily.best_and_worst`."""
    found = await daily.best_and_worst(uow, of)
    if found is None:
        return None
    wanted = [DaysWanted(of.book, each, each, of.zone) for each in found]
    [best], [worst] = await days_of_groups(uow, wanted)
    return best, worst


async def summary(uow: UnitOfWork, user_id: UserId, book: Book) -> Summary:
    """Return what sessions of one currency have gained."""
    zone = await zone_of(uow, user_id, None)
    today = day_of(uow.clock.now(), zone)
    midnights = await asyncio.to_thread(_midnights, today, today, zone)
    before, after = await levels_at(uow, book, midnights)
    held = await repository.count_open(uow.session, [each.id for each in book.accounts])
    return Summary(
        balance=balance_of(book),
        level=book.level,
        today=after.change - before.change,
        open_trades=held + (0 if book.ended is None else book.ended.held),
    )


async def curve(uow: UnitOfWork, book: Book, start: datetime | None, end: datetime | None) -> Curve:
    """Return the equity of sessions of one currency at regular moments.

    It begins at the baseline, whatever the capital at the time: capital that is put to work is no gain.

    Parameters
    ----------
    start, end
        Rounded down to quarters of an hour. None: 30 days before ``end``; now.

    Raises
    ------
    InvalidInput
        If ``end`` is not after ``start``.
    """
    now = to_milliseconds(uow.clock.now())
    high = now if end is None else min(now, Interval.M15.floor(to_milliseconds(end)))
    low = Interval.M15.floor(high - USUAL_DAYS * DAY if start is None else to_milliseconds(start))
    if start is not None and end is not None and start >= end:
        raise InvalidInput("end must be after start.", ("end",))
    balance = balance_of(book)
    if low >= high or book.is_empty:
        return Curve(balance.currency, balance.baseline, [], [])
    step = next((each for each in _STEPS if (high - low) // each <= CURVE_POINTS), _STEPS[-1])
    times = [low, *range((low // step + 1) * step, high, step), high]
    levels = await levels_at(uow, book, times)
    return Curve(
        balance.currency, balance.baseline, times, [balance.baseline + each.change for each in levels]
    )
