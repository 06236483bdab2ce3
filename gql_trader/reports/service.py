"""Rules of the reports domain: what counts, in which currency, and against which capital.

A report is over sessions of one currency, since amounts of different ones cannot be added. Its profit is the
sum of each session's equity less its capital, so that capital put to work is no gain, and open positions
count at their last value.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from gql_trader.core.ids import UserId
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository
from gql_trader.reports.types import Account, Balance, Scope, TradeFilter
from gql_trader.settings.service import settings_of

_NOTHING = Decimal(0)


async def balance(uow: UnitOfWork, user_id: UserId, scope: Scope | None = None) -> Balance:
    """Return what has become of a user's capital: of all sessions in one currency, unless a scope says less.

    Costs at most four statements, whatever the history. A bot or session in the scope that is not the
    user's counts as one without sessions.
    """
    return balance_of(await accounts_of(uow, user_id, scope or Scope()))


async def reported(uow: UnitOfWork, user_id: UserId, scope: Scope) -> list[Account] | None:
    """Return the sessions of a scope as `accounts_of`; None if its bot or session is not there."""
    if not await repository.exists(uow.session, user_id, scope):
        return None
    return await accounts_of(uow, user_id, scope)


async def accounts_of(uow: UnitOfWork, user_id: UserId, scope: Scope) -> list[Account]:
    """Return the sessions of a scope, all in one currency, oldest first."""
    found = await repository.accounts(uow.session, user_id, scope)
    currency = scope.currency
    if currency is None and len({each.currency for each in found}) > 1:
        stake = (await settings_of(uow, user_id)).values.stake_currency
        currency = choose_currency(found, stake)
    return [each for each in found if currency is None or each.currency == currency]


def choose_currency(accounts: Sequence[Account], stake: str) -> str | None:
    """Return the currency to report in if none was named.

    The user's stake currency, if any session is in it; else that of the newest session that has one.
    """
    used = [each.currency for each in accounts if each.currency is not None]
    return None if not used else stake if stake in used else used[-1]


def balance_of(accounts: Sequence[Account]) -> Balance:
    """Return what has become of the capital of sessions in one currency."""
    return Balance(
        currency=next((each.currency for each in accounts if each.currency is not None), None),
        baseline=most_at_work(accounts),
        profit=sum((each.profit for each in accounts), _NOTHING),
    )


def most_at_work(accounts: Iterable[Account]) -> Decimal:
    """Return the most capital that was at work at one time: what follows something else can use its money."""
    changes = []
    for each in accounts:
        changes.append((each.started_at, each.capital))
        if each.ended_at is not None:
            # One that ends as it begins was at work nevertheless; one that begins at the end of another
            # is not at work together with it.
            end = max(each.ended_at, each.started_at + timedelta(microseconds=1))
            changes.append((end, -each.capital))
    most = at_work = _NOTHING
    for _, change in sorted(changes):
        at_work += change
        most = max(most, at_work)
    return most


async def list_trades(
    uow: UnitOfWork, user_id: UserId, wanted: TradeFilter, page: PageRequest
) -> Slice[Row[Any]] | None:
    """Return one page of a user's trades, the last opened first; None if the bot or session is not there.

    Raises
    ------
    InvalidInput
        If a cursor is malformed or belongs to another list.
    """
    if not await repository.exists(uow.session, user_id, wanted.scope):
        return None
    return await repository.page_of_trades(uow.session, user_id, wanted, page)


async def count_trades(uow: UnitOfWork, user_id: UserId, wanted: TradeFilter) -> int:
    """Return how many trades a user has."""
    return await repository.count_trades(uow.session, user_id, wanted)
