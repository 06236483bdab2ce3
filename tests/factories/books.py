"""What reports are over, read without the sums that they keep: to compare with."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select

from gql_trader.bots.models import TradingSessionRow
from gql_trader.core.ids import UserId
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository
from gql_trader.reports.capital import stretches
from gql_trader.reports.types import Scope
from gql_trader.reports.types_books import Account, Book


def most_at_work(accounts: Sequence[Account]) -> Decimal:
    """Return the most capital of sessions that was at work at one time."""
    return max(each.at_work for each in stretches(accounts))


async def every_session(uow: UnitOfWork, user_id: UserId, scope: Scope, currency: str | None) -> Book:
    """Return the sessions of a scope one by one, also those that are summed; of one currency, or of all."""
    rows = await uow.session.scalars(
        select(TradingSessionRow).where(TradingSessionRow.user_id == user_id).order_by(TradingSessionRow.id)
    )
    wanted = [
        row.id
        for row in rows
        if scope.bot_id in (None, row.bot_id)
        and scope.session_id in (None, row.id)
        and scope.mode in (None, row.mode)
        and not (scope.leaves_replays_out and row.replay_start is not None)
    ]
    found = await repository.accounts_by_ids(uow.session, wanted)
    accounts = [found[key] for key in wanted if currency in (None, found[key].currency)]
    return Book(accounts, None, most_at_work(accounts))
