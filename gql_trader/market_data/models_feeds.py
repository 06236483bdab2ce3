"""The table of live feeds."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class MarketFeedRow(Base):
    """A stored series that grows as its bars close, for as long as somebody wants it to.

    ``last_time`` is the opening time of the newest bar that the feed has seen in the store, in Unix
    milliseconds; ``holes`` are those of bars just before it that the exchange has not sent yet. ``fence``
    rises with each claim: a worker that lost its lease finds another number and changes nothing. Before
    ``watch_expires_at`` nobody but its holder follows the exchange's stream.
    """

    __tablename__ = "market_feeds"
    __table_args__ = (
        CheckConstraint("state IN ('CATCHING_UP', 'LIVE', 'LATE', 'FAILING')", name="state"),
        Index("ix_market_feeds_next_poll_at", "next_poll_at"),
    )

    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id", ondelete="CASCADE"), primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    wanted_until: Mapped[datetime]
    state: Mapped[str]
    error: Mapped[str | None]
    last_time: Mapped[int | None] = mapped_column(BigInteger)
    holes: Mapped[list[Any]] = mapped_column(JSONB)
    failures: Mapped[int]
    next_poll_at: Mapped[datetime]
    fence: Mapped[int]
    lease_expires_at: Mapped[datetime | None]
    watch_expires_at: Mapped[datetime | None]
    watch_fence: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime]
