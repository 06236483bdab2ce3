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
from gql_trader.reports.types import Account, Day, Level

SUMMED_AGAIN = timedelta(days=7)
"""Days that are summed up once more: a weekly bar that has closed belongs to the day on which it opened."""

_MOST_DAYS = 400

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
    uow: UnitOfWork, wanted: Sequence[ToSum], accounts: Mapping[UserId, Sequence[Account]]
) -> dict[UserId, SummedDay]:
    """Sum up users' days, and those shortly before them again; return the last day of each user.

    Days on which nothing traded are left out. A second time changes nothing but figures that have changed.
    As many statements for a thousand users as for one.

    Parameters
    ----------
    accounts
        All sessions of each user that count, in one currency.
    """
    if not wanted:
        return {}
    asked = [
        DaysWanted(
            accounts[each.user_id],
            max(each.first - SUMMED_AGAIN, each.last - timedelta(days=_MOST_DAYS)),
            each.last,
            known_zone(each.zone),
        )
        for each in wanted
    ]
    found = await periods.days_of_groups(uow, asked)
    rows, told = [], {}
    for each, days in zip(wanted, found, strict=True):
        currency = reports.balance_of(accounts[each.user_id]).currency
        told[each.user_id] = SummedDay(currency, days[-1])
        for day in days:
            if _was_traded(accounts[each.user_id], day, each.zone):
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


def _was_traded(accounts: Sequence[Account], day: Day, zone: str) -> bool:
    if day.level != Level():
        return True
    begins, ends = end_of(day.date - timedelta(days=1), zone), end_of(day.date, zone)
    return any(
        each.started_at < ends and (each.ended_at is None or each.ended_at >= begins) for each in accounts
    )
