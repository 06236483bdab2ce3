"""Tables of what is fetched from exchanges."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class CandleSyncRow(Base):
    """Candles to be fetched: one row for all users who want the same ones.

    Times of candles are Unix milliseconds; candles that open in [first_time, end_time) are wanted.
    ``market_id`` is null until the exchange has said that there is such a market. ``attempt`` fences: a
    worker that lost its lease finds another number and changes nothing. ``dispatch`` numbers the times the
    job was handed to the queue; before ``due_at`` it is not to be run.
    """

    __tablename__ = "candle_syncs"
    __table_args__ = (
        CheckConstraint("status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')", name="status"),
        CheckConstraint("first_time < end_time", name="range"),
        CheckConstraint("status <> 'RUNNING' OR lease_expires_at IS NOT NULL", name="running_has_lease"),
        Index(
            "ix_candle_syncs_unfinished",
            "exchange",
            "symbol",
            "interval",
            "first_time",
            "end_time",
            unique=True,
            postgresql_where="status IN ('QUEUED', 'RUNNING')",
        ),
        Index("ix_candle_syncs_due_at", "due_at", postgresql_where="status IN ('QUEUED', 'RUNNING')"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    exchange: Mapped[str]
    symbol: Mapped[str]
    market_id: Mapped[UUID | None] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str]
    first_time: Mapped[int] = mapped_column(BigInteger)
    end_time: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str]
    progress: Mapped[float] = mapped_column(default=0.0)
    fetched: Mapped[int] = mapped_column(BigInteger, default=0)
    refused: Mapped[int] = mapped_column(BigInteger, default=0)
    error: Mapped[str | None]
    due_at: Mapped[datetime]
    dispatch: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class CandleSyncRequestRow(Base):
    """Who has asked for a sync, and may see it."""

    __tablename__ = "candle_sync_requests"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sync_id: Mapped[UUID] = mapped_column(
        ForeignKey("candle_syncs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime]


class CandleCoverageRow(Base):
    """Times for which an exchange has sent all candles that it has: what is missing there is a gap.

    The ranges [start_time, end_time) of a series, in Unix milliseconds, neither overlap nor touch.
    """

    __tablename__ = "candle_coverage"
    __table_args__ = (CheckConstraint("start_time < end_time", name="range"),)

    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id", ondelete="CASCADE"), primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    start_time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    end_time: Mapped[int] = mapped_column(BigInteger)
