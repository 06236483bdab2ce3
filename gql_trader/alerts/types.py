"""Specs and names of the alert domain."""

from dataclasses import dataclass

from gql_trader.core.intervals import Interval

MAXIMUM_CONDITION = 4000

QUEUE = "alerts"


@dataclass(frozen=True, slots=True)
class AlertSpec:
    """An alert as asked for; nothing in it has been looked up yet.

    Attributes
    ----------
    once
        Whether it ends when it has told once.
    """

    market: str
    interval: Interval
    condition: str
    once: bool = True
