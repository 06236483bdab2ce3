"""Specs and figures of the reports domain."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self
from uuid import UUID

from gql_trader.bots.types import TradeStatus
from gql_trader.engine.execution import Side
from gql_trader.settings.types import SessionMode

_NOTHING = Decimal(0)


class DayColor(StrEnum):
    """How a day went."""

    GREEN = "GREEN"
    RED = "RED"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True, slots=True)
class Level:
    """How far sessions had come at a moment; the difference of two levels is what happened between.

    Attributes
    ----------
    change
        Equity less capital, open positions at their value then.
    realized, fees, trades, wins
        Profit and fees of the trades that were closed, how many, and how many of them gained.
    """

    change: Decimal = _NOTHING
    realized: Decimal = _NOTHING
    fees: Decimal = _NOTHING
    trades: int = 0
    wins: int = 0

    @staticmethod
    def total(levels: Iterable["Level"]) -> "Level":
        """Return the sum of many, faster than one by one."""
        found = list(levels)
        return Level(
            sum([each.change for each in found], _NOTHING),
            sum([each.realized for each in found], _NOTHING),
            sum([each.fees for each in found], _NOTHING),
            sum([each.trades for each in found]),
            sum([each.wins for each in found]),
        )

    def __add__(self, other: Self) -> "Level":
        return Level(
            self.change + other.change,
            self.realized + other.realized,
            self.fees + other.fees,
            self.trades + other.trades,
            self.wins + other.wins,
        )

    def __sub__(self, other: Self) -> "Level":
        return Level(
            self.change - other.change,
            self.realized - other.realized,
            self.fees - other.fees,
            self.trades - other.trades,
            self.wins - other.wins,
        )


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
    replays
        Whether sessions over history count that are not named: what they gain is nobody's, and two of them
        were at work at the same time only because their candles are of the same time.
    """

    bot_id: UUID | None = None
    session_id: UUID | None = None
    currency: str | None = None
    mode: SessionMode | None = None
    replays: bool = False

    @property
    def leaves_replays_out(self) -> bool:
        """Whether only sessions of the present count."""
        return not self.replays and self.bot_id is None and self.session_id is None


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


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on a day.

    Attributes
    ----------
    before
        What the capital had become by its beginning: the baseline and what was gained until then.
    level
        What was gained, and closed, on it.
    """

    date: date
    before: Decimal
    level: Level

    @property
    def profit_fraction(self) -> float:
        """What was gained over what was there in the morning; 0 if that was nothing."""
        return float(self.level.change / self.before) if self.before > 0 else 0.0

    @property
    def color(self) -> DayColor:
        """Whether money was gained, lost or neither."""
        gained = self.level.change
        return DayColor.GREEN if gained > 0 else DayColor.RED if gained < 0 else DayColor.NEUTRAL


@dataclass(frozen=True, slots=True)
class Summary:
    """What was gained so far.

    Attributes
    ----------
    level
        Over all sessions.
    today
        What was gained since the last midnight in the user's time zone.
    """

    balance: Balance
    level: Level
    today: Decimal
    open_trades: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity at moments (Unix milliseconds), oldest first: the baseline and what was gained until then."""

    currency: str | None
    baseline: Decimal
    times: list[int]
    equity: list[Decimal]


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """Which of a user's trades to list; None: whichever.

    Attributes
    ----------
    market
        ``BTC/USD``, on any exchange, or ``coinbase:BTC/USD``.
    start, end
        Opened in [start, end).
    replays
        As in `Scope`.
    """

    bot_id: UUID | None = None
    session_id: UUID | None = None
    market: str | None = None
    side: Side | None = None
    status: TradeStatus | None = None
    start: datetime | None = None
    end: datetime | None = None
    replays: bool = False

    @property
    def scope(self) -> Scope:
        """The sessions that the trades are of."""
        return Scope(self.bot_id, self.session_id, replays=self.replays)


@dataclass(frozen=True, slots=True)
class SystemCounts:
    """What the database knows of the server's work.

    Attributes
    ----------
    running_bots
        Bots that are not idle, of all users.
    live, catching_up, late, failing
        Feeds that somebody wants, by how they are doing.
    """

    running_bots: int = 0
    live: int = 0
    catching_up: int = 0
    late: int = 0
    failing: int = 0
