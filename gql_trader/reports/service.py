"""Rules of the reports domain: what counts, in which currency, and against which capital.

A report is over sessions of one currency, since amounts of different ones cannot be added. Its profit is the
sum of each session's equity less its capital, so that capital put to work is no gain, and open positions
count at their last value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from gql_trader.core.errors import InvalidInput
from gql_trader.core.ids import UserId
from gql_trader.infra.advisory_locks import share_lock_name
from gql_trader.infra.keyset import PageRequest, Slice
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository, repository_counts, repository_ended
from gql_trader.reports.capital import Asked, Stretch, microseconds, stretches
from gql_trader.reports.types import Balance, Scope, TradeFilter
from gql_trader.reports.types_books import SUMS, Account, Book, Ended
from gql_trader.settings.service import settings_of, settings_of_users

_NOTHING = Decimal(0)


async def balance(uow: UnitOfWork, user_id: UserId, scope: Scope | None = None) -> Balance:
    """Return what has become of a user's capital: of all sessions in one currency, unless a scope says less.

    Costs at most five statements, whatever the history. A bot or session in the scope that is not the
    user's counts as one without sessions. All must be read as of one moment, see `books_of_users`.
    """
    return balance_of(await book_of(uow, user_id, scope or Scope()))


async def reported(uow: UnitOfWork, user_id: UserId, scope: Scope) -> Book | None:
    """Return what a report is over as `book_of`; None if its bot or session is not there.

    Raises
    ------
    InvalidInput
        If there is no such currency.
    """
    if not await repository.exists(uow.session, user_id, scope):
        return None
    found = await book_of(uow, user_id, scope)
    if found.is_empty and scope.currency is not None:
        await _check_currency(uow, user_id, scope.currency)
    return found


async def _check_currency(uow: UnitOfWork, user_id: UserId, symbol: str) -> None:
    if await repository.knows_currency(uow.session, symbol):
        return
    # A server may not have any market yet in what a user means to trade with.
    if symbol != (await settings_of(uow, user_id)).values.stake_currency:
        raise InvalidInput("Nothing here is called so.", ("currency",))


async def book_of(uow: UnitOfWork, user_id: UserId, scope: Scope) -> Book:
    """Return the sessions of a scope, all in one currency."""
    return (await books_of_users(uow, [user_id], scope))[user_id]


async def books_of_users(uow: UnitOfWork, user_ids: Sequence[UserId], scope: Scope) -> dict[UserId, Book]:
    """Return the same for several users, by at most four statements.

    The caller has to see to it that all is read as of one moment, with what is asked of the books later on:
    by `UnitOfWork.read_one_moment`, or by keeping sessions from being summed meanwhile, see `hold_sums`.
    """
    accounts = await repository.accounts(uow.session, user_ids, scope)
    ended = await repository_ended.ended(uow.session, user_ids, scope)
    chosen: dict[UserId, str | None] = dict.fromkeys(user_ids, scope.currency)
    if scope.currency is None:
        mixed = [key for key in user_ids if len(_currencies(accounts[key], ended[key])) > 1]
        settings = await settings_of_users(uow, mixed) if mixed else {}
        for key in mixed:
            stake = settings[key].values.stake_currency
            chosen[key] = choose_currency(_currencies(accounts[key], ended[key]), stake)
    drafts = []
    for key in user_ids:
        own, sums, currency = accounts[key], ended[key], chosen[key]
        if currency is not None:
            own = [each for each in own if each.currency == currency]
            sums = [each for each in sums if each.currency == currency]
        drafts.append(Book(own, next(iter(sums), None), _NOTHING))
    baselines = await _most_at_work(uow, drafts)
    return {
        key: replace(draft, baseline=baseline)
        for key, draft, baseline in zip(user_ids, drafts, baselines, strict=True)
    }


async def hold_sums(uow: UnitOfWork) -> None:
    """Let no session move into the sums until the transaction ends; wait while one does."""
    await share_lock_name(uow.session, SUMS)


def _currencies(accounts: Sequence[Account], ended: Sequence[Ended]) -> dict[str | None, UUID]:
    """Return the newest session in each currency."""
    found = {each.currency: each.id for each in accounts}
    for each in ended:
        found[each.currency] = max(each.newest, found.get(each.currency, each.newest))
    return found


def choose_currency(newest: Mapping[str | None, UUID], stake: str) -> str | None:
    """Return the currency to report in if none was named.

    The user's stake currency, if any session is in it; else that of the newest session that has one.

    Parameters
    ----------
    newest
        The newest session in each currency; the keys of sessions ascend as they are made.
    """
    used = {key: currency for currency, key in newest.items() if currency is not None}
    return None if not used else stake if stake in used.values() else used[max(used)]


async def _most_at_work(uow: UnitOfWork, books: Sequence[Book]) -> list[Decimal]:
    asked: list[Asked] = []
    cut: list[list[Stretch]] = []
    for book in books:
        parts = stretches(book.accounts)
        cut.append(parts)
        if book.ended is not None:
            asked += [Asked(book.ended.id, each.low, each.high) for each in parts]
    found = iter(await repository_ended.most_at_work(uow.session, asked))
    return [
        max(each.at_work + (_NOTHING if book.ended is None else next(found)) for each in parts)
        for book, parts in zip(books, cut, strict=True)
    ]


async def were_at_work(uow: UnitOfWork, asked: Sequence[tuple[Book, datetime, datetime]]) -> list[bool]:
    """Return whether any session of a book was at work from a moment on and before another one, for each.

    One that ended at the first of them was.
    """
    times = [(book, microseconds(low) - 1, microseconds(high)) for book, low, high in asked]
    found = [
        any(
            microseconds(each.started_at) < high
            and (each.ended_at is None or microseconds(each.ended_at) > low)
            for each in book.accounts
        )
        for book, low, high in times
    ]
    places = [at for at, (book, *_) in enumerate(times) if book.ended is not None and not found[at]]
    series = []
    for at in places:
        book, low, high = times[at]
        assert book.ended is not None
        series.append(Asked(book.ended.id, low, high))
    for at, most in zip(places, await repository_ended.most_at_work(uow.session, series), strict=True):
        found[at] = most > 0
    return found


def balance_of(book: Book) -> Balance:
    """Return what has become of the capital of sessions in one currency."""
    return Balance(currency=book.currency, baseline=book.baseline, profit=book.level.change)


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
    """Return how many trades a user has; all must be read as of one moment, see `books_of_users`."""
    return await repository_counts.count_trades(uow.session, user_id, wanted)
