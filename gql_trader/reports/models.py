"""Tables of the reports domain: days of each session and of many together, so that all are soon seen."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base
from gql_trader.reports import models_ended as models_ended


class SessionDayRow(Base):
    """What a session gained, and closed, on a day of its user's time zone, where that is anything.

    ``day`` counts from 1970-01-01.
    """

    __tablename__ = "session_days"
    __table_args__ = (
        Index("ix_session_days_change", "session_id", "change", "day", postgresql_where="change <> 0"),
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[int] = mapped_column(primary_key=True)
    change: Mapped[Decimal]
    realized: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]


class KeptDaysRow(Base):
    """Which days of a session are in `SessionDayRow`: all of a time zone before the day ``until``.

    With ``is_final`` they are all that there will ever be, and the session is part of the sums over those
    that are over (`gql_trader.reports.models_ended`). Its trades up to the number ``counted_trades`` are in
    `TradeCountRow`.
    """

    __tablename__ = "session_kept_days"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    timezone: Mapped[str]
    until: Mapped[int]
    is_final: Mapped[bool]
    looked_at: Mapped[datetime]
    counted_trades: Mapped[int] = mapped_column(server_default="0")


class DaySeriesRow(Base):
    """Sessions whose kept days are summed, day by day, in `SeriesDayRow`.

    The columns up to ``replays`` are those of `gql_trader.reports.types_books.SeriesKey`: of these, the
    sessions whose days are kept in ``timezone``, and how many of them are final. A bot that is deleted takes
    its series along, and leaves its sessions to the user's.
    """

    __tablename__ = "day_series"
    __table_args__ = (
        UniqueConstraint(
            *("user_id", "bot_id", "currency", "mode", "replays", "timezone"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    bot_id: Mapped[UUID | None] = mapped_column(ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    currency: Mapped[str | None]
    mode: Mapped[str | None]
    replays: Mapped[bool]
    timezone: Mapped[str]
    final_sessions: Mapped[int] = mapped_column(server_default="0")


class SeriesDayRow(Base):
    """The sum of the sessions of a series on a day, as in `SessionDayRow`.

    Written in the transaction that keeps the sessions' days, or forgets them, and never otherwise.
    """

    __tablename__ = "series_days"
    __table_args__ = (
        Index("ix_series_days_change", "series_id", "change", "day", postgresql_where="change <> 0"),
    )

    series_id: Mapped[UUID] = mapped_column(ForeignKey("day_series.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True)
    change: Mapped[Decimal]
    realized: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]


class TradeCountRow(Base):
    """How many trades somebody opened in a month, in a year, or ever, on a market and in a direction.

    ``owner_id`` is a user, a bot or a session; of a bot that was deleted rows stay until its user goes.
    ``period`` is 202611 for a month, in UTC, 2026 for a year, 0 for ever. ``held`` are those whose positions
    were held when their sessions ended, of sessions that are over and will not change.

    Trades are counted with the days of their sessions, which says up to which number
    (`KeptDaysRow.counted_trades`): what is opened later is counted one by one.
    """

    __tablename__ = "trade_counts"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    period: Mapped[int] = mapped_column(primary_key=True)
    is_replay: Mapped[bool] = mapped_column(primary_key=True)
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), primary_key=True, index=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    trades: Mapped[int]
    held: Mapped[int]
