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
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

from gql_trader.bots.rollups import note_summed
from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import HOUR
from gql_trader.core.zones import day_begins, day_of, known_zone
from gql_trader.infra.advisory_locks import try_lock_name
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository, repository_days, repository_ended, repository_series
from gql_trader.reports.levels import levels_at
from gql_trader.reports.repository_days import Candidate, KeptDays, Span
from gql_trader.reports.repository_ended import Over
from gql_trader.reports.repository_series import FOREVER, Days, ZonedSeries
from gql_trader.reports.types import Day, Level, Scope
from gql_trader.reports.types_books import SUMMING, Account, Book
from gql_trader.settings.types import SessionMode

LOOK_AGAIN = timedelta(hours=6)
"""After this long it is seen whether more days of a session are over."""

_FINAL_AFTER = timedelta(days=7)
"""Exchanges may tell of funding when a live session is over, which counts as it ended."""

_SETTLED = HOUR
"""Clocks of workers differ by less: where sessions stood this long ago is written."""

_MOST_DAYS = 50_000
"""Days of sessions that are kept in one transaction, about."""

_EPOCH = date(1970, 1, 1)


class KeepingFailed(Exception):
    """The days of some sessions could not be kept.

    Attributes
    ----------
    session_ids
        Whose turn it was, in their order.
    """

    def __init__(self, session_ids: Sequence[UUID]) -> None:
        super().__init__(f"the days of {len(session_ids)} sessions could not be kept")
        self.session_ids = session_ids


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
    low, high = _day_with(of.zone, min(first)), _day_with(of.zone, last)
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
            yield _day_with(zone, each.formed_since), each.forming


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
    spans, today = [], _day_with(zone, now)
    for each in accounts:
        mark = kept.get(each.id)
        if mark is None or not mark.is_final:
            begin = _day_with(zone, each.since) if mark is None else mark.until
            end = today if each.until is None else _day_with(zone, each.until)
            spans.append(_span(each, zone, begin, end, low, high))
    return spans


def _span(
    account: Account, zone: str, begin: int, end: int, low: int | None = None, high: int | None = None
) -> Span:
    first = begin if low is None else max(begin, low)
    last = end if high is None else min(end, high)
    return Span(account, first, [day_begins(zone, day) for day in range(first, last + 2)])


def _day_with(zone: str, moment: int) -> int:
    """Return the day of a zone, counted from 1970-01-01, that has begun last at a moment.

    Where clocks are put back over a midnight they show the day before again, but a day begins once.
    """
    day = day_of(zone, moment) + 1
    while day_begins(zone, day) > moment:
        day -= 1
    return day


async def keep(uow: UnitOfWork, after: UUID | None, limit: int) -> UUID | None:
    """Keep what is over of the days of up to so many sessions, in the order of their keys.

    Those that will not change any more are added to the sums over sessions that are over.

    Returns the last of them, to go on behind it; None: there are no more, or somebody else is at it.

    Raises
    ------
    KeepingFailed
        If anything goes wrong; the transaction must be rolled back then, and whose trouble it is found by
        keeping fewer at a time.
    """
    if not await try_lock_name(uow.session, SUMMING):
        return None
    now = uow.clock.now()
    candidates = await repository_days.candidates(uow.session, now - LOOK_AGAIN, after, limit)
    if not candidates:
        return None
    try:
        return await _keep(uow, candidates)
    except Exception as error:
        raise KeepingFailed([each.session_id for each in candidates]) from error


def _is_over(candidate: Candidate, account: Account, now: datetime) -> bool:
    if account.ended_at is None:
        return False
    return candidate.mode == SessionMode.PAPER.value or account.ended_at < now - _FINAL_AFTER


async def _keep(uow: UnitOfWork, candidates: Sequence[Candidate]) -> UUID:
    now = uow.clock.now()
    settled = to_milliseconds(now) - _SETTLED
    accounts = await repository.accounts_by_ids(uow.session, [each.session_id for each in candidates])
    spans: list[Span] = []
    marks: list[tuple[Any, ...]] = []
    anew: list[Days] = []
    added: list[Days] = []
    over: list[Over] = []
    for each in candidates:
        account, zone = accounts[each.session_id], known_zone(each.timezone)
        member = each.member(account.currency)
        until, days = account.until, sum(span.days for span in spans)
        is_final = until is not None and _is_over(each, account, now)
        if each.until is None or each.kept_timezone != each.timezone:
            if each.kept_timezone is not None:
                anew.append(Days(member, each.kept_timezone, *FOREVER, each.is_summed))
            begin = _day_with(zone, account.since)
        else:
            begin = each.until
        if until is not None and is_final:
            end = _day_with(zone, until) + 1
        else:
            end = _day_with(zone, settled if until is None else min(until, settled))
        span = _span(account, zone, begin, end - 1)
        if spans and days + span.days > _MOST_DAYS:
            break
        spans.append(span)
        added.append(Days(member, each.timezone, begin, end - 1, is_final))
        if is_final and not each.is_summed:
            over.append(Over(account, member))
        marks.append((account.id, each.timezone, max(begin, end), is_final, now))
    await repository_series.subtract(uow.session, anew)
    await repository_days.forget(uow.session, [each.member.session_id for each in anew])
    await repository_days.keep(uow.session, spans, marks)
    await repository_series.add(uow.session, added)
    await repository_ended.add(uow.session, over)
    await note_summed(uow, [each.account.id for each in over])
    return spans[-1].account.id
