"""The days of users, summed up in the night after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from gql_trader.balances.clocks import end_of, known_zone
from gql_trader.balances.models import DailyProfitRow
from gql_trader.core.ids import UserId
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import periods
from gql_trader.reports import service as reports
from gql_trader.reports.types import Account, Day, Level, Scope

SUMMED_AGAIN = timedelta(days=7)
"""Days that are summed up once more: a weekly bar that has closed belongs to the day on which it opened."""

_MOST_DAYS = 400


@dataclass(frozen=True, slots=True)
class SummedDay:
    """A day, and the currency of its amounts."""

    currency: str | None
    day: Day


async def sum_up(uow: UnitOfWork, user_id: UUID, zone: str, first: date, last: date) -> SummedDay:
    """Sum up a user's days from ``first`` to ``last``, both included, and those shortly before them again.

    Days on which nothing traded are left out. A second time changes nothing but figures that have changed.
    Returns the last of the days.
    """
    accounts = await reports.accounts_of(uow, UserId(user_id), Scope())
    begin = max(first - SUMMED_AGAIN, last - timedelta(days=_MOST_DAYS))
    days = await periods.days(uow, accounts, begin, last, known_zone(zone))
    currency = reports.balance_of(accounts).currency
    rows = [
        {
            "user_id": user_id,
            "day": day.date,
            "timezone": zone,
            "currency": currency,
            "before": day.before,
            "change": day.level.change,
            "realized": day.level.realized,
            "fees": day.level.fees,
            "trades": day.level.trades,
            "wins": day.level.wins,
            "summed_at": uow.clock.now(),
        }
        for day in days
        if _was_traded(accounts, day, zone)
    ]
    if rows:
        statement = insert(DailyProfitRow).values(rows)
        changed: dict[str, Any] = {
            name: statement.excluded[name] for name in rows[0] if name not in ("user_id", "day")
        }
        await uow.session.execute(
            statement.on_conflict_do_update(
                index_elements=[DailyProfitRow.user_id, DailyProfitRow.day], set_=changed
            )
        )
    return SummedDay(currency, days[-1])


def _was_traded(accounts: Sequence[Account], day: Day, zone: str) -> bool:
    if day.level != Level():
        return True
    begins, ends = end_of(day.date - timedelta(days=1), zone), end_of(day.date, zone)
    return any(
        each.started_at < ends and (each.ended_at is None or each.ended_at >= begins) for each in accounts
    )
