"""Tables of the sessions' figures over time, from which reports are made."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class SessionRollupRow(Base):
    """Where a session stood at the end of a quarter of an hour that began at ``time`` (Unix milliseconds).

    There is no row for a quarter in which nothing has changed, nor, of a session that a strategy trades, for
    the one of its last bar: that is in `SessionStateRow` and `SessionTotalsRow`. All but ``equity`` are sums
    over the trades that were closed since the session's start.

    Reports rely on it that the rows of all quarters before that of ``last_bar_time`` are written together
    with it: the days before it are kept for good (`gql_trader.reports.keeping`).
    """

    __tablename__ = "session_rollups"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    equity: Mapped[Decimal]
    profit: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]


class SessionTotalsRow(Base):
    """Sums over all trades of a session that are closed; there is none before the first."""

    __tablename__ = "session_totals"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    profit: Mapped[Decimal]
    fees: Mapped[Decimal]
    trades: Mapped[int]
    wins: Mapped[int]
