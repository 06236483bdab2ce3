"""Tables of the balances domain."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class BalanceClockRow(Base):
    """What is next for a user who trades; those who do not have no row.

    ``timezone`` is the one that the moments were computed in. ``snapshot_at`` and ``heartbeat_at`` are null
    once nothing of the user's trades any more, and ``heartbeat_at`` also where no hours are set.

    ``day`` is the next day of the user's to be summed up, ``day_at`` when it will be.
    """

    __tablename__ = "balance_clocks"
    __table_args__ = (Index("ix_balance_clocks_due_at", "due_at"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    timezone: Mapped[str]
    snapshot_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    day: Mapped[date]
    day_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(
        Computed("LEAST(snapshot_at, heartbeat_at, day_at)", persisted=True)
    )


class DailyProfitRow(Base):
    """What a user's sessions gained on a day of the user's, as it was summed up last.

    ``before`` is what the capital had become by its beginning, ``change`` what equity changed by;
    ``realized`` and ``fees`` are of the trades that were closed.
    """

    __tablename__ = "daily_profits"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    timezone: Mapped[str]
    currency: Mapped[str | None]
    before: Mapped[Decimal]
    change: Mapped[Decimal]
    realized: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]
    summed_at: Mapped[datetime]


class BalanceSnapshotRow(Base):
    """What a user's balance was at a moment; a partition for each month, see `balances.partitions`."""

    __tablename__ = "balance_snapshots"
    __table_args__ = (
        CheckConstraint("kind IN ('SNAPSHOT', 'HEARTBEAT')", name="kind"),
        {"postgresql_partition_by": "RANGE (time)"},
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    time: Mapped[datetime] = mapped_column(primary_key=True)
    kind: Mapped[str]
    currency: Mapped[str | None]
    baseline: Mapped[Decimal]
    profit: Mapped[Decimal]
