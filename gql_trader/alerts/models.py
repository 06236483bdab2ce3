"""Tables of the alert domain."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class AlertRow(Base):
    """A condition that somebody is told of.

    ``last_bar`` is the opening time, in Unix milliseconds, of the last bar that was looked at; whoever moves
    it on names the one that was found, so that of many workers one tells. ``held`` says whether the
    condition held there; null: no bar has been looked at since the alert was made.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_user_created", "user_id", "created_at", "id"),
        Index("ix_alerts_active_market", "market_id", "interval", postgresql_where="active"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str]
    condition: Mapped[str]
    once: Mapped[bool]
    active: Mapped[bool]
    last_bar: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[bool | None]
    error: Mapped[str | None]
    last_triggered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
