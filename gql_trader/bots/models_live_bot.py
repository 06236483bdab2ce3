"""The table of live bots at work: what they are about to do besides what their sessions say."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class LiveBotRow(Base):
    """What a live bot's session is about to do; there is one as long as the session has not ended.

    ``exiting`` is why its position is being closed, null if it is not; ``exit_at`` when that was decided,
    Unix milliseconds, and ``exit_orders`` how many orders were placed for it. ``highest`` is the highest
    price of the bars that have closed since the entry. ``check_at`` is when to look at it between closes.
    ``ready_at`` is when the account at the exchange was found to be as the bot needs it, or ``acknowledged``:
    its user has said that it may be otherwise.
    """

    __tablename__ = "live_bots"
    __table_args__ = (
        CheckConstraint("(exiting IS NULL) = (exit_at IS NULL)", name="exit_is_whole"),
        Index("ix_live_bots_check_at", "check_at", postgresql_where="check_at IS NOT NULL"),
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    exiting: Mapped[str | None]
    exit_at: Mapped[int | None] = mapped_column(BigInteger)
    exit_orders: Mapped[int]
    highest: Mapped[float | None]
    check_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    acknowledged: Mapped[bool]
