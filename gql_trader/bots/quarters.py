"""Quarters of an hour: where a session stood at the end of each that it passes through."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Floats, Integers

QUARTER: Final = Interval.M15.milliseconds


@dataclass(frozen=True, slots=True)
class Quarter:
    """Where a session stood at the end of a quarter of an hour.

    Attributes
    ----------
    time
        When the quarter began, Unix milliseconds.
    closed
        How many of the step's trades were closed by then.
    """

    time: int
    equity: float
    closed: int


def leaves_quarter(last_bar_time: int | None, time: int) -> bool:
    """Return whether a bar opens in a later quarter than the last one before it, if there is one."""
    return last_bar_time is not None and last_bar_time // QUARTER < time // QUARTER


def quarters_between(time: Integers, equity: Floats, exits: Integers) -> tuple[Quarter, ...]:
    """Return where a session stood at the end of each quarter of some bars, but for the last.

    Those in which nothing has changed since the one before are left out.

    Parameters
    ----------
    time
        int64[n], opening times, Unix milliseconds.
    equity
        float64[n], account currency, at the bars' closes.
    exits
        int64[k], at which of the bars trades were closed, ascending; -1: before the first of them.
    """
    begins = time // QUARTER
    ends = np.flatnonzero(begins[1:] != begins[:-1])
    closed, reached = np.searchsorted(exits, ends, side="right"), equity[ends]
    changed = np.ones(len(ends), bool)
    changed[1:] = (reached[1:] != reached[:-1]) | (closed[1:] != closed[:-1])
    kept = (begins[ends[changed]] * QUARTER, reached[changed], closed[changed])
    return tuple(map(Quarter, *(column.tolist() for column in kept)))
