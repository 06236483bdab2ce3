"""Specs and figures of the reports domain."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from gql_trader.settings.types import SessionMode


@dataclass(frozen=True, slots=True)
class Scope:
    """Which of a user's sessions a report is about.

    Attributes
    ----------
    bot_id, session_id
        Only of this one; None: of all.
    currency
        Symbol of the quote currency; None: the usual one, see `gql_trader.reports.service.choose_currency`.
    mode
        Only on paper, or only live; None: both.
    """

    bot_id: UUID | None = None
    session_id: UUID | None = None
    currency: str | None = None
    mode: SessionMode | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A session as reports see it. Amounts in its quote currency.

    Attributes
    ----------
    currency
        None: traded by hand, and nothing was ordered yet.
    equity
        As it is now, or was at the end.
    last_bar_time
        Opening time of the last bar that a strategy has traded, Unix milliseconds; None: there was none, or
        the session is traded by hand.
    """

    id: UUID
    currency: str | None
    mode: SessionMode
    capital: Decimal
    equity: Decimal
    started_at: datetime
    ended_at: datetime | None
    last_bar_time: int | None

    @property
    def profit(self) -> Decimal:
        """What was gained since the start, open positions at their last value."""
        return self.equity - self.capital


@dataclass(frozen=True, slots=True)
class Balance:
    """What has become of the capital at work.

    Attributes
    ----------
    currency
        Symbol of the currency of the amounts; None: no session has one yet.
    baseline
        The most capital that was at work at one time.
    profit
        Equity less capital of every session, summed: open positions count at their last value.
    """

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
