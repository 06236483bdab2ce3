"""Pages of trials by number or by objective, out of the columns of all chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from gql_trader.core.errors import InvalidInput
from gql_trader.infra.keyset import PageRequest, decode_cursor, encode_cursor
from gql_trader.optimizations.trials import decode_scores
from gql_trader.optimizations.types import TrialOrderField


@dataclass(frozen=True, slots=True)
class TrialOrdering:
    """An ordering of trials; those without an objective come last in either direction."""

    field: TrialOrderField = TrialOrderField.OBJECTIVE
    descending: bool = True

    @property
    def signature(self) -> str:
        """What cursors of this ordering begin with."""
        return f"trials:{self.field.value}:{'d' if self.descending else 'a'}"


@dataclass(frozen=True, slots=True)
class TrialPage:
    """The numbers of the trials of one page, in order, with a cursor for each; and how many there are."""

    numbers: Sequence[int]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    total: int


def cut_page(chunks: Sequence[Row[Any]], ordering: TrialOrdering, page: PageRequest) -> TrialPage:
    """Return one page of the trials that are done.

    Parameters
    ----------
    chunks
        Of the whole search, in order, with their encoded scores.

    Raises
    ------
    InvalidInput
        If a cursor is not one of this list and order.
    """
    numbers, scores = decode_scores(chunks)
    if ordering.field is TrialOrderField.NUMBER:
        order = np.arange(len(numbers))
        order = order[::-1] if ordering.descending else order
    else:
        # Stable: trials with the same score stay in the order of their numbers. NaN sorts last.
        order = np.argsort(-scores if ordering.descending else scores, kind="stable")
    low, high = 0, len(order)
    if page.after is not None:
        low = _place(page.after, "after", ordering, numbers, order) + 1
    if page.before is not None:
        high = _place(page.before, "before", ordering, numbers, order)
    high = max(low, high)
    more = high - low > page.limit
    if page.backwards:
        low = max(low, high - page.limit)
    else:
        high = min(high, low + page.limit)
    chosen = numbers[order[low:high]].tolist()
    return TrialPage(
        numbers=chosen,
        cursors=[encode_cursor(ordering.signature, [number]) for number in chosen],
        has_next=page.before is not None if page.backwards else more,
        has_previous=more if page.backwards else page.after is not None,
        total=len(numbers),
    )


def _place(
    cursor: str, argument: str, ordering: TrialOrdering, numbers: NDArray[Any], order: NDArray[Any]
) -> int:
    values = decode_cursor(cursor, ordering.signature, argument)
    if len(values) == 1 and type(values[0]) is int and 0 < values[0] < 2**62:
        index = int(np.searchsorted(numbers, values[0]))
        if index < len(numbers) and numbers[index] == values[0]:
            return int(np.flatnonzero(order == index)[0])
    raise InvalidInput(f"{argument} is not a cursor of this list.", (argument,))


def chunks_of(chunks: Sequence[Row[Any]], numbers: Sequence[int]) -> list[Row[Any]]:
    """Return the chunks that have trials with some of these numbers, in order."""
    wanted = np.array(sorted(numbers))
    ends = np.array([row.first_trial + row.trial_count for row in chunks])
    places = np.unique(np.searchsorted(ends, wanted, side="right"))
    return [chunks[place] for place in places]
