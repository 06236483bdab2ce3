"""Tables of sums over sessions that are over, so that a report costs the same however many there were.

Everything here is written as sessions' days are kept for good, in the same transaction and by one worker at
a time (`gql_trader.reports.keeping`), and never otherwise.
"""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class EndedSeriesRow(Base):
    """Sessions that are over and will not change: how many of them the sums in the other tables are over.

    The columns up to ``replays`` are those of `gql_trader.reports.types_books.SeriesKey`. ``held`` counts
    trades whose positions were held when their sessions ended. A bot that is deleted takes its series along,
    and leaves its sessions to the user's.
    """

    __tablename__ = "ended_series"
    __table_args__ = (
        UniqueConstraint(
            *("user_id", "bot_id", "currency", "mode", "replays"), postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    bot_id: Mapped[UUID | None] = mapped_column(ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    currency: Mapped[str | None]
    mode: Mapped[str | None]
    replays: Mapped[bool]
    sessions: Mapped[int] = mapped_column(server_default="0")
    held: Mapped[int] = mapped_column(server_default="0")
    newest: Mapped[UUID | None]


class EndedLevelRow(Base):
    """How far the sessions of a series had come, together, at the end of the quarter of an hour at ``time``.

    As of `gql_trader.bots.models_rollups.SessionRollupRow`, there is none for a quarter without a change;
    ``change`` is equity less capital, of those that had begun. The last row is what came of all of them.
    """

    __tablename__ = "ended_levels"

    series_id: Mapped[UUID] = mapped_column(
        ForeignKey("ended_series.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    change: Mapped[Decimal]
    realized: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]


class EndedCapitalRow(Base):
    """How much capital of the sessions of a series was at work from a moment on, Unix microseconds."""

    __tablename__ = "ended_capital"

    series_id: Mapped[UUID] = mapped_column(
        ForeignKey("ended_series.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at_work: Mapped[Decimal]


class EndedCapitalPeakRow(Base):
    """The most of `EndedCapitalRow` in a block of time: see `gql_trader.reports.capital.block_of`."""

    __tablename__ = "ended_capital_peaks"

    series_id: Mapped[UUID] = mapped_column(
        ForeignKey("ended_series.id", ondelete="CASCADE"), primary_key=True
    )
    block: Mapped[int] = mapped_column(primary_key=True)
    at_work: Mapped[Decimal]
