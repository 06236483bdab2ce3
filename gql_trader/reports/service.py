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

from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import UserId
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository
from gql_trader.reports.types import Account, Balance, Scope, TradeFilter
from gql_trader.settings.service import settings_of, settings_of_users

_NOTHING = Decimal(0)


async def balance(uow: UnitOfWork, user_id: UserId, scope: Scope | None = None) -> Balance:
    """Return what has become of a user's capital: of all sessions in one currency, unless a scope says less.

    Costs at most four statements, whatever the history. A bot or session in the scope that is not the
    user's counts as one without sessions.
    """
    return balance_of(await accounts_of(uow, user_id, scope or Scope()))


async def reported(uow: UnitOfWork, user_id: UserId, scope: Scope) -> list[Account] | None:
    """Return the sessions of a scope as `accounts_of`; None if its bot or session is not there.

    Raises
    ------
    InvalidInput
        If there is no such currency.
    """
    if not await repository.exists(uow.session, user_id, scope):
        return None
    found = await accounts_of(uow, user_id, scope)
    if not found and scope.currency is not None:
        await _check_currency(uow, user_id, scope.currency)
    return found


async def _check_currency(uow: UnitOfWork, user_id: UserId, symbol: str) -> None:
    if await repository.knows_currency(uow.session, symbol):
        return
    # A server may not have any market yet in what a user means to trade with.
    if symbol != (await settings_of(uow, user_id)).values.stake_currency:
        raise InvalidInput("Nothing here is called so.", ("currency",))


async def accounts_of(uow: UnitOfWork, user_id: UserId, scope: Scope) -> list[Account]:
    """Return the sessions of a scope, all in one currency, oldest first."""
    return (await accounts_of_users(uow, [user_id], scope))[user_id]


async def accounts_of_users(
    uow: UnitOfWork, user_ids: Sequence[UserId], scope: Scope
) -> dict[UserId, list[Account]]:
    """Return the same for several users, by at most three statements."""
    found = await repository.accounts(uow.session, user_ids, scope)
    chosen: dict[UserId, str | None] = dict.fromkeys(user_ids, scope.currency)
    if scope.currency is None:
        mixed = [key for key, all_ in found.items() if len({each.currency for each in all_}) > 1]
        settings = await settings_of_users(uow, mixed) if mixed else {}
        for key in mixed:
            chosen[key] = choose_currency(found[key], settings[key].values.stake_currency)
    return {
        key: [each for each in found[key] if chosen[key] is None or each.currency == chosen[key]]
        for key in user_ids
    }


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
