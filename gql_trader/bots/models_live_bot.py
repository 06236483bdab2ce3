"""The table of live bots at work: what they are about to do besides what their sessions say."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base

_EXACT = Numeric()


class LiveBotRow(Base):
    """What a live bot's session is about to do; there is one as long as the session has not ended.

    ``exiting`` is why its position is being closed, null if it is not; ``exit_at`` when that was decided,
    Unix milliseconds, and ``exit_orders`` how many orders were placed for it. ``entering`` is the side of the
    position that is to be opened once that is done, because the bar that opened at ``entering_at`` (Unix
    milliseconds) asks for it. ``best`` is the best price of the bars that have closed since the entry: the
    highest of a long position, the lowest of a short one. ``check_at`` is when to look at it between closes.
    ``ready_at`` is when the account at the exchange was found to be as the bot needs it, or ``acknowledged``:
    its user has said that it may be otherwise. The columns from ``amount_step`` on are what the exchange said
    then of what it takes on the market; null where it did not. ``left_stop`` is the number of the stop order
    that stays with the exchange after the bot has failed, 0 if one is to be placed, -1 if
    the exchange has not taken one, null before that.
    """

    __tablename__ = "live_bots"
    __table_args__ = (
        CheckConstraint("(exiting IS NULL) = (exit_at IS NULL)", name="exit_is_whole"),
        CheckConstraint("(entering IS NULL) = (entering_at IS NULL)", name="entry_is_whole"),
        Index("ix_live_bots_check_at", "check_at", postgresql_where="check_at IS NOT NULL"),
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    exiting: Mapped[str | None]
    exit_at: Mapped[int | None] = mapped_column(BigInteger)
    exit_orders: Mapped[int]
    entering: Mapped[str | None]
    entering_at: Mapped[int | None] = mapped_column(BigInteger)
    best: Mapped[float | None]
    check_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    acknowledged: Mapped[bool]
    amount_step: Mapped[Decimal | None] = mapped_column(_EXACT)
    price_tick: Mapped[Decimal | None] = mapped_column(_EXACT)
    least_amount: Mapped[Decimal | None] = mapped_column(_EXACT)
    least_cost: Mapped[Decimal | None] = mapped_column(_EXACT)
    left_stop: Mapped[int | None]
