"""How far sessions had come at moments: what they have gained between two is the difference.

While a session traded, one row of its figures tells; afterwards it stays where it ended. So a moment costs a
row for each session that was trading then, whatever was traded and however long ago.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.reports import repository
from gql_trader.reports.repository import LevelGroup
from gql_trader.reports.types import Account, Level


async def levels_at(uow: UnitOfWork, accounts: Sequence[Account], moments: Sequence[int]) -> list[Level]:
    """Return how far sessions had come, together, at moments.

    Parameters
    ----------
    moments
        Unix milliseconds; at a quarter of an hour exactly all that is before it counts, and nothing else.
    """
    return (await levels_of_groups(uow, [(accounts, moments)]))[0]


async def levels_of_groups(uow: UnitOfWork, groups: Sequence[LevelGroup]) -> list[list[Level]]:
    """Return the same for several groups of sessions, such as those of users, by one statement."""
    trading = await repository.levels(uow.session, groups)
    return [
        _with_those_over(found, accounts, moments)
        for found, (accounts, moments) in zip(trading, groups, strict=True)
    ]


def _with_those_over(
    trading: Mapping[int, Level], accounts: Sequence[Account], moments: Sequence[int]
) -> list[Level]:
    over = []
    for each in accounts:
        forming = Level(each.forming)
        if each.until is not None:
            over.append((each.until, each.level - forming))
        if each.formed_since is not None:
            over.append((each.formed_since, forming))
    over.sort(key=lambda each: each[0])
    ends = [moment for moment, _ in over]
    sums = list(accumulate((level for _, level in over), initial=Level()))
    return [trading.get(each, Level()) + sums[bisect_left(ends, each)] for each in moments]


def level_of(accounts: Sequence[Account]) -> Level:
    """Return how far sessions have come by now, together."""
    return sum((each.level for each in accounts), Level())
