"""The days of sessions: kept once they are over, so that a look at all of them is soon done.

What is kept are days of the user's time zone: a worker keeps them soon after they are over, and all of them
anew where the user has moved to another zone. With those of each session it keeps their sums, for all that a
report may be about: so the best of a user's or a bot's days is found by an index, whatever the number of
days and sessions. Days that are not kept yet, and those of other zones, are made of where the sessions stood
at midnights, as everywhere else: that is the same, but takes longer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from gql_trader.core.clock import to_milliseconds
from gql_trader.core.ids import UserId
from gql_trader.core.intervals import HOUR
from gql_trader.core.zones import day_begins, day_of, known_zone
from gql_trader.infra.advisory_locks import try_lock_name
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository, repository_days, repository_series
from gql_trader.reports.levels import levels_at
from gql_trader.reports.repository_days import Candidate, KeptDays, Span
from gql_trader.reports.repository_series import FOREVER, Days, SeriesKey
from gql_trader.reports.service import balance_of
from gql_trader.reports.types import Account, Day, Level, Scope

LOOK_AGAIN = timedelta(hours=6)
"""After this long it is seen whether more days of a session are over."""

_FINAL_AFTER = timedelta(days=7)
"""Exchanges may tell of funding when a session is over, which counts as it ended."""

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
    """A user's sessions of one currency, all that a scope has, and the time zone of the days."""

    user_id: UserId
    scope: Scope
    accounts: Sequence[Account]
    zone: str

    def stored(self, kept: Mapping[UUID, KeptDays]) -> UUID | SeriesKey | None:
        """Return what has the sum of the days that are kept of the sessions; None: nothing is kept."""
        if not kept:
            return None
        scope = self.scope
        if scope.session_id is not None:
            return scope.session_id
        return SeriesKey(
            self.user_id,
            scope.bot_id,
            self.accounts[0].currency,
            None if scope.mode is None else scope.mode.value,
            not scope.leaves_replays_out,
            self.zone,
        )


async def best_and_worst(uow: UnitOfWork, of: Selection) -> tuple[date, date] | None:
    """Return the days on which sessions gained most and least, together.

    The first of several; None if nothing was gained or lost on any. It reads as much for ten years as for
    one.
    """
    kept = await repository_days.kept(uow.session, [each.id for each in of.accounts], of.zone)
    spans = spans_left(of.accounts, kept, of.zone, to_milliseconds(uow.clock.now()))
    forming = list(_forming(of.accounts, of.zone))
    found = await repository_days.best_and_worst(uow.session, of.stored(kept), spans, forming)
    if found is None:
        return None
    best, worst = (_EPOCH + timedelta(days=number) for number in found)
    return best, worst


async def days_between(uow: UnitOfWork, of: Selection, first: date, last: date) -> list[Day]:
    """Return the same as `gql_trader.reports.periods.days`, with fewer reads where they are many."""
    numbers = range(_number(first), _number(last) + 1)
    changes = await _changes(uow, of, numbers[0], numbers[-1])
    [reached] = await levels_at(uow, of.accounts, [day_begins(of.zone, numbers[0])])
    return _days(changes, numbers, Level(balance_of(of.accounts).baseline) + reached)


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
    kept = await repository_days.kept(uow.session, [each.id for each in of.accounts], of.zone)
    spans = spans_left(of.accounts, kept, of.zone, to_milliseconds(uow.clock.now()), low, high)
    found = await repository_days.changes(uow.session, of.stored(kept), spans, low, high)
    for day, amount in _forming(of.accounts, of.zone):
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

    Returns the last of them, to go on behind it; None: there are no more, or somebody else is at it.

    Raises
    ------
    KeepingFailed
        If anything goes wrong; the transaction must be rolled back then, and whose trouble it is found by
        keeping fewer at a time.
    """
    if not await try_lock_name(uow.session, "session_days"):
        return None
    now = uow.clock.now()
    candidates = await repository_days.candidates(uow.session, now - LOOK_AGAIN, after, limit)
    if not candidates:
        return None
    try:
        return await _keep(uow, candidates)
    except Exception as error:
        raise KeepingFailed([each.session_id for each in candidates]) from error


async def _keep(uow: UnitOfWork, candidates: Sequence[Candidate]) -> UUID:
    now = uow.clock.now()
    settled = to_milliseconds(now) - _SETTLED
    accounts = await repository.accounts_by_ids(uow.session, [each.session_id for each in candidates])
    spans: list[Span] = []
    marks: list[tuple[Any, ...]] = []
    anew: list[Days] = []
    added: list[Days] = []
    for each in candidates:
        account, zone = accounts[each.session_id], known_zone(each.timezone)
        member = each.member(account.currency)
        until, days = account.until, sum(span.days for span in spans)
        is_final = (
            until is not None and account.ended_at is not None and account.ended_at < now - _FINAL_AFTER
        )
        if each.until is None or each.kept_timezone != each.timezone:
            if each.kept_timezone is not None:
                anew.append(Days(member, each.kept_timezone, *FOREVER))
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
        added.append(Days(member, each.timezone, begin, end - 1))
        marks.append((account.id, each.timezone, max(begin, end), is_final, now))
    await repository_series.subtract(uow.session, anew)
    await repository_days.forget(uow.session, [each.member.session_id for each in anew])
    await repository_days.keep(uow.session, spans, marks)
    await repository_series.add(uow.session, added)
    return spans[-1].account.id
