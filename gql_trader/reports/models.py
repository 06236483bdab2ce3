"""Tables of the reports domain: days of sessions, kept so that a look at all of them is soon done."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class SessionDayRow(Base):
    """What a session gained, and closed, on a day of its user's time zone, where that is anything.

    ``day`` counts from 1970-01-01.
    """

    __tablename__ = "session_days"

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

    With ``is_final`` they are all that there will ever be.
    """

    __tablename__ = "session_kept_days"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    timezone: Mapped[str]
    until: Mapped[int]
    is_final: Mapped[bool]
    looked_at: Mapped[datetime]
