"""How far sessions had come at moments: what they have gained between two is the difference.

While a session traded, one row of its figures tells; afterwards it stays where it ended. Sessions that are
over for good have one such row together. So a moment costs a row for each session that was trading then and
may still change, whatever was traded and however long ago.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository
from gql_trader.reports.repository import LevelGroup
from gql_trader.reports.types import Level
from gql_trader.reports.types_books import Account, Book


async def levels_at(uow: UnitOfWork, book: Book, moments: Sequence[int]) -> list[Level]:
    """Return how far sessions had come, together, at moments.

    Parameters
    ----------
    moments
        Unix milliseconds; at a quarter of an hour exactly all that is before it counts, and nothing else.
    """
    return (await levels_of_groups(uow, [(book, moments)]))[0]


async def levels_of_groups(uow: UnitOfWork, groups: Sequence[LevelGroup]) -> list[list[Level]]:
    """Return the same for several groups of sessions, such as those of users, by one statement."""
    trading = await repository.levels(uow.session, groups)
    return [
        _with_those_over(found, book.accounts, moments)
        for found, (book, moments) in zip(trading, groups, strict=True)
    ]


def _with_those_over(
    trading: Mapping[int, Level], accounts: Sequence[Account], moments: Sequence[int]
) -> list[Level]:
    ordered = sorted(set(moments))
    # By the first moment behind the end of each; what ends behind them all does not count.
    over: list[list[Level]] = [[] for _ in range(len(ordered) + 1)]
    for each in accounts:
        level = each.level
        if each.formed_since is not None:
            forming = Level(each.forming)
            level -= forming
            over[bisect_right(ordered, each.formed_since)].append(forming)
        if each.until is not None:
            over[bisect_right(ordered, each.until)].append(level)
    sums = dict(zip(ordered, accumulate(map(Level.total, over[:-1])), strict=True))
    return [trading.get(each, Level()) + sums[each] for each in moments]
