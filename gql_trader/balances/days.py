"""The days of users, summed up in the night after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gql_trader.balances.clocks import end_of
from gql_trader.balances.models import DailyProfitRow
from gql_trader.core.ids import UserId
from gql_trader.core.zones import known_zone
from gql_trader.infra.bulk import insert_rows
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import periods
from gql_trader.reports import service as reports
from gql_trader.reports.periods import DaysWanted
from gql_trader.reports.types import Day, Level
from gql_trader.reports.types_books import Book

SUMMED_AGAIN = timedelta(days=7)
"""Days that are summed up once more: a weekly bar that has closed belongs to the day on which it opened."""

_MOST_DAYS = 400
_DAY = timedelta(days=1)

_COLUMNS = (
    *("user_id", "day", "timezone", "currency", "before", "change"),
    *("realized", "fees", "trades", "wins", "summed_at"),
)


@dataclass(frozen=True, slots=True)
class ToSum:
    """A user's days from ``first`` to ``last``, both included, in a time zone."""

    user_id: UserId
    zone: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class SummedDay:
    """A day, and the currency of its amounts."""

    currency: str | None
    day: Day


async def sum_up(
    uow: UnitOfWork, wanted: Sequence[ToSum], books: Mapping[UserId, Book]
) -> dict[UserId, SummedDay]:
    """Sum up users' days, and those shortly before them again; return the last day of each user.

    Days on which nothing traded are left out. A second time changes nothing but figures that have changed.
    As many statements for a thousand users as for one.

    Parameters
    ----------
    books
        All sessions of each user that count, in one currency.
    """
    if not wanted:
        return {}
    asked = [
        DaysWanted(
            books[each.user_id],
            max(each.first - SUMMED_AGAIN, each.last - _MOST_DAYS * _DAY),
            each.last,
            known_zone(each.zone),
        )
        for each in wanted
    ]
    found = await periods.days_of_groups(uow, asked)
    rows, told = [], {}
    traded = await _traded(uow, asked, found)
    for each, days, eventful in zip(wanted, found, traded, strict=True):
        currency = books[each.user_id].currency
        told[each.user_id] = SummedDay(currency, days[-1])
        for day in days:
            if day.date in eventful:
                sums = day.level
                rows.append(
                    (
                        *(each.user_id, day.date, each.zone, currency, day.before, sums.change),
                        *(sums.realized, sums.fees, sums.trades, sums.wins, uow.clock.now()),
                    )
                )
    if rows:
        statement = insert_rows(DailyProfitRow, _COLUMNS, rows)
        changed = {name: statement.excluded[name] for name in _COLUMNS[2:]}
        await uow.session.execute(
            statement.on_conflict_do_update(index_elements=["user_id", "day"], set_=changed)
        )
    return told


async def _traded(
    uow: UnitOfWork, asked: Sequence[DaysWanted], found: Sequence[Sequence[Day]]
) -> list[set[date]]:
    """Return the days, of those of each user, on which something was at work, or has changed."""
    traded = [{day.date for day in days if day.level != Level()} for days in found]
    quiet = [(at, day.date) for at, days in enumerate(found) for day in days if day.date not in traded[at]]
    times = [
        (asked[at].book, end_of(day - _DAY, asked[at].zone), end_of(day, asked[at].zone)) for at, day in quiet
    ]
    for (at, day), at_work in zip(quiet, await reports.were_at_work(uow, times), strict=True):
        if at_work:
            traded[at].add(day)
    return traded
