"""How much capital was at work at one time, and what it comes to with sums over sessions that are over.

What follows something else can use its money, so it is the most at one time that counts. Of sessions that
may still change it is counted one by one; of those that are over it is kept how much was at work from moment
to moment, and the most of each block of time, so that little is read of however many there were.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from gql_trader.reports.types_books import Account

_NOTHING = Decimal(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
BLOCK_BITS = 41
"""A block of time has 2 ** 41 microseconds, 25 days: ten years are 143 blocks."""

BEGINNING, END = 0, 2**62
"""Before and after everything."""


class Stretch(NamedTuple):
    """A time from ``low`` on and before ``high``, Unix microseconds, of which the most is asked for.

    ``at_work`` is what is at work all the time besides.
    """

    low: int
    high: int
    at_work: Decimal


class Change(NamedTuple):
    """More capital is at work from a moment on, Unix microseconds, or less."""

    time: int
    amount: Decimal


def microseconds(moment: datetime) -> int:
    """Return a moment as Unix microseconds."""
    return (moment - _EPOCH) // _MICROSECOND


def block_of(time: int) -> int:
    """Return the block that a moment is in, Unix microseconds."""
    return time >> BLOCK_BITS


def block_begins(block: int) -> int:
    """Return when a block begins, Unix microseconds."""
    return block << BLOCK_BITS


def changes_of(account: Account) -> Iterator[Change]:
    """Return when a session put its capital to work, and when it was free again."""
    begun = microseconds(account.started_at)
    yield Change(begun, account.capital)
    if account.ended_at is not None:
        # One that ends as it begins was at work nevertheless; one that begins at the end of another is not
        # at work together with it.
        yield Change(max(microseconds(account.ended_at), begun + 1), -account.capital)


def stretches(accounts: Sequence[Account]) -> list[Stretch]:
    """Return all of time, cut where one of some sessions begins or ends, with what they have at work."""
    changes: dict[int, Decimal] = {}
    for each in accounts:
        for time, amount in changes_of(each):
            changes[time] = changes.get(time, _NOTHING) + amount
    cuts, found, at_work = [BEGINNING, *sorted(changes), END], [], _NOTHING
    for low, high in pairwise(cuts):
        at_work += changes.get(low, _NOTHING)
        found.append(Stretch(low, high, at_work))
    return found


class Asked(NamedTuple):
    """A stretch of time, and the series of sessions that are over of which the most is asked for."""

    series_id: UUID
    low: int
    high: int
