"""Names, specs and records of the balances domain."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

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
class BalanceRecord:
    """What a user's balance was.

    Attributes
    ----------
    time
        Whole milliseconds; no two of a user have the same, and later ones are noted later.
    currency
        Symbol of the currency of the amounts; None: no session has one yet.
    """

    time: datetime
    kind: BalanceEventKind
    currency: str | None
    baseline: Decimal
    profit: Decimal

    @property
    def balance(self) -> Decimal:
        """Baseline and profit."""
        return self.baseline + self.profit

    @property
    def profit_fraction(self) -> float:
        """Profit over baseline; 0 while nothing was at work."""
        return float(self.profit / self.baseline) if self.baseline else 0.0


def stream_of(user_id: UUID) -> str:
    """Return the name of the stream that wakes whoever follows a user's balance."""
    return f"balance:{user_id}"
