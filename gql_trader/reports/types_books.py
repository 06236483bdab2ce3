"""What a report is over: the sessions that may still change, and the sums over those that are over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from gql_trader.reports.types import Level

_NOTHING = Decimal(0)

SUMMING = "session_days"
"""The lock that whoever keeps days and sums sessions holds."""

SUMS = "session_sums"
"""The lock that whoever reads sums and sessions one after the other shares, until which no sum is changed."""


@dataclass(frozen=True, slots=True)
class Account:
    """A session as reports see it. Amounts in its quote currency.

    Attributes
    ----------
    currency
        None: traded by hand, and nothing was ordered yet.
    equity
        As it is now, or was at the end.
    since
        Nothing happened before this moment, Unix milliseconds.
    until
        Nothing happened after this moment, Unix milliseconds; None: that is not known.
    closed
        Sums over its closed trades; ``change`` is not set.
    forming, formed_since
        What its position has gained at the newest price since the last bar closed, which is part of
        ``equity``, and when the bar opened that is under way, Unix milliseconds; None: that is not known.
    """

    id: UUID
    currency: str | None
    capital: Decimal
    equity: Decimal
    started_at: datetime
    ended_at: datetime | None
    since: int
    until: int | None
    closed: Level
    forming: Decimal = _NOTHING
    formed_since: int | None = None

    @property
    def profit(self) -> Decimal:
        """What was gained since the start, open positions at their last value."""
        return self.equity - self.capital

    @property
    def level(self) -> Level:
        """How far it has come by now."""
        closed = self.closed
        return Level(self.profit, closed.realized, closed.fees, closed.trades, closed.wins)


class SeriesKey(NamedTuple):
    """What the sessions of a series have in common.

    They are a user's, or a bot's, in one currency; ``mode`` None: on paper and live; ``replays``: also those
    over history.
    """

    user_id: UUID
    bot_id: UUID | None
    currency: str | None
    mode: str | None
    replays: bool


class Member(NamedTuple):
    """A session, and what decides of which series it is; ``currency`` is that of its amounts."""

    session_id: UUID
    user_id: UUID
    bot_id: UUID | None
    currency: str | None
    mode: str
    is_replay: bool

    def series(self) -> Iterator[SeriesKey]:
        """Return the series that it counts in: all that a report can be over but itself."""
        for mode in (None, self.mode):
            yield SeriesKey(self.user_id, None, self.currency, mode, True)
            if not self.is_replay:
                yield SeriesKey(self.user_id, None, self.currency, mode, False)
            if self.bot_id is not None:
                yield SeriesKey(self.user_id, self.bot_id, self.currency, mode, True)


@dataclass(frozen=True, slots=True)
class Ended:
    """Sums over the sessions of a series that are over and will not change.

    Attributes
    ----------
    id
        Of the row that has them, see `gql_trader.reports.models_ended.EndedSeriesRow`.
    newest
        The session that was made last.
    level
        How far they came.
    held
        Trades whose positions were still held when their sessions ended.
    """

    id: UUID
    currency: str | None
    sessions: int
    newest: UUID
    level: Level
    held: int


@dataclass(frozen=True, slots=True)
class Book:
    """What a report is over: sessions of one currency.

    Attributes
    ----------
    accounts
        Those that may still change, oldest first; or all of them.
    ended
        Sums over the others; None: there are no others.
    baseline
        The most capital of all that was at work at one time.
    """

    accounts: Sequence[Account]
    ended: Ended | None
    baseline: Decimal

    @property
    def is_empty(self) -> bool:
        """Whether there is no session."""
        return not self.accounts and self.ended is None

    @property
    def currency(self) -> str | None:
        """Symbol of the currency of the amounts; None: no session has one yet."""
        if self.ended is not None and self.ended.currency is not None:
            return self.ended.currency
        return next((each.currency for each in self.accounts if each.currency is not None), None)

    @property
    def level(self) -> Level:
        """How far they have come by now, together."""
        own = Level.total(each.level for each in self.accounts)
        return own if self.ended is None else own + self.ended.level
