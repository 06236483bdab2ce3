"""Conditions: checked when an alert is made, and looked at bar by bar."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gql_trader.core.errors import DomainError
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars
from gql_trader.engine.rules import CompiledRules, RuleIssues, Rules, compile_rules

_KEPT = 500


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of a condition in some bars.

    Attributes
    ----------
    triggered
        Opening time of the last bar at which it came to hold, Unix milliseconds; None: there is none.
    held
        Whether it holds at the last bar.
    last_bar
        Opening time of that bar, Unix milliseconds.
    """

    triggered: int | None
    held: bool
    last_bar: int


@lru_cache(maxsize=_KEPT)
def compiled(condition: str) -> CompiledRules:
    """Return a condition compiled; those used last are kept.

    Raises
    ------
    RuleIssues
        If it is not valid.
    """
    return compile_rules(Rules(entry_long=condition), ())


def check_condition(condition: str, interval: Interval) -> list[DomainError]:
    """Return what is wrong with a condition; it takes a while, so not for the event loop."""
    try:
        compiled(condition).check(interval=interval.milliseconds)
    except RuleIssues as error:
        return [DomainError(str(issue), ("condition",), issue.code) for issue in error.issues]
    return []


def warmup_of(condition: str, interval: Interval) -> int:
    """Return how many bars come before the first at which a condition can hold."""
    return compiled(condition).warmup(None, interval.milliseconds)


def look(condition: str, bars: Bars, after: int, held: bool | None) -> Looked:
    """Look at the bars after one that was looked at.

    Parameters
    ----------
    bars
        With those for warming up in front; the last one is looked at.
    after
        Opening time of the last bar that was looked at before, Unix milliseconds.
    held
        Whether the condition held there; None: nobody has looked yet, so that one that holds at the first
        bar has come to hold there.
    """
    signals = compiled(condition).signals(bars).entry_long
    begin = int(np.searchsorted(bars.time, after, side="right"))
    fresh = signals[begin:]
    before = np.concatenate(([bool(held)], fresh[:-1]))
    came = np.flatnonzero(fresh & ~before)
    triggered = int(bars.time[begin + came[-1]]) if len(came) else None
    return Looked(triggered, bool(fresh[-1]), int(bars.time[-1]))
