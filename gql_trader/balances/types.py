"""Names, specs and records of the balances domain."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from gql_trader.reports.types import Balance

QUEUE = "balances"


class BalanceEventKind(StrEnum):
    """Why a balance is told."""

    PRESENT = "PRESENT"
    SNAPSHOT = "SNAPSHOT"
    HEARTBEAT = "HEARTBEAT"


@dataclass(frozen=True, slots=True)
class Timing:
    """When balances are noted and told.

    Attributes
    ----------
    every
        Between two snapshots; they are taken at whole multiples of it.
    hours
        Hours of the user's day at which a heartbeat is sent, 0 to 23, ascending; empty: none is.
    """

    every: timedelta
    hours: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BalanceRecord(Balance):
    """What a user's balance was at a moment.

    Attributes
    ----------
    time
        Whole milliseconds; no two of a user have the same, and later ones are noted later.
    """

    time: datetime
    kind: BalanceEventKind


def stream_of(user_id: UUID) -> str:
    """Return the name of the stream that wakes whoever follows a user's balance."""
    return f"balance:{user_id}"
