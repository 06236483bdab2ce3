"""Tables of live trading: what a session trades with, where its orders stand with the exchange, and fills."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base

_EXACT = Numeric()


class LiveSessionRow(Base):
    """The exchange and the key that a live session trades with, as long as it has not ended.

    The key cannot be deleted while there is such a row. ``close_positions`` is what was asked for when the
    session was told to stop, null before. With a ``leverage`` it trades contracts that are settled in the
    quote currency, under ``margin_mode``; without one, the currencies themselves. ``funds`` is what the
    contracts' wallet has to have before the first order; what is missing is moved there.
    """

    __tablename__ = "live_sessions"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    exchange_key_id: Mapped[UUID] = mapped_column(ForeignKey("exchange_keys.id"), index=True)
    exchange: Mapped[str]
    close_positions: Mapped[bool | None]
    leverage: Mapped[int | None]
    margin_mode: Mapped[str | None]
    funds: Mapped[Decimal | None] = mapped_column(_EXACT)


class LiveMarketRow(Base):
    """A market of a live session on which the account was found to be what the session takes it for.

    ``mismatch`` is what was not, and was acknowledged; null if all was. It was found with ``key_version`` of
    the key: another version may be another account's. That is null, and ``compared_at`` when it was set so,
    if the account has to be compared again for another reason. ``amount_step`` is of what quantities are
    multiples on the market, ``least_amount`` and ``least_cost`` what one order has at least, as the exchange
    said then; null where it did not. ``closings`` counts the orders to close the position that the exchange
    was asked to take since the session was told to stop. ``left_stop`` is null unless it could not be closed
    then: the number of the last stop that stays with the exchange, 0 without one. ``exchange_key_id`` is the
    key of a session that trades contracts, kept after its end: what was paid for them may be told later.
    """

    __tablename__ = "live_markets"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), primary_key=True)
    mismatch: Mapped[str | None]
    key_version: Mapped[int | None]
    amount_step: Mapped[Decimal | None] = mapped_column(_EXACT)
    least_amount: Mapped[Decimal | None] = mapped_column(_EXACT)
    least_cost: Mapped[Decimal | None] = mapped_column(_EXACT)
    closings: Mapped[int] = mapped_column(server_default="0")
    left_stop: Mapped[int | None]
    exchange_key_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("exchange_keys.id", ondelete="SET NULL"), index=True
    )
    compared_at: Mapped[datetime]


class LiveAccountRow(Base):
    """What is known of a contract in the account behind a key, whichever sessions share it.

    It is looked at again at ``due_at``. Funding is booked up to ``paid_until``, and was asked for at
    ``asked_at``, null if it never was. ``agreed_at`` is when the position was last as believed, with
    ``foreign_amount`` more of it than the sessions hold. ``missing`` is how much less there is since
    ``missing_since``, found by ``looks`` looks in a row, null if nothing is missing; ``told`` whether users
    were told that nothing tells why.
    """

    __tablename__ = "live_accounts"

    exchange_key_id: Mapped[UUID] = mapped_column(
        ForeignKey("exchange_keys.id", ondelete="CASCADE"), primary_key=True
    )
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), primary_key=True)
    due_at: Mapped[datetime]
    paid_until: Mapped[datetime]
    asked_at: Mapped[datetime | None]
    agreed_at: Mapped[datetime]
    foreign_amount: Mapped[Decimal] = mapped_column(_EXACT)
    missing: Mapped[Decimal | None] = mapped_column(_EXACT)
    missing_since: Mapped[datetime | None]
    looks: Mapped[int]
    told: Mapped[bool]


class FundingRow(Base):
    """A session's share of a funding payment, by the exchange's own id of it, so that it is booked once.

    ``amount`` is what it has changed the session's cash by: positive if it was received.
    """

    __tablename__ = "funding_payments"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    payment_id: Mapped[str] = mapped_column(primary_key=True)
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"))
    amount: Mapped[Decimal] = mapped_column(_EXACT)
    time: Mapped[datetime]


class LiveOrderRow(Base):
    """Where a live order stands with its exchange, for the workers that send and follow it.

    ``fence`` and ``lease_expires_at`` say which worker may act; whatever it writes names the fence.
    ``due_at`` is when to act on the order next, null once there is nothing left to do. ``sent_at`` is when a
    worker was last allowed to send it, ``key_version`` with which version of the key. ``failures`` counts
    attempts to ask the exchange that have failed one after the other. ``absences`` counts the times since
    ``absent_since`` that the exchange did not know an order which it had had before. ``taken_back`` is
    whether a stop was cancelled for the order that was to close its position at once: if that is not done, it
    is placed again. ``told_at`` is when its user was told that its outcome is not known. All times are the
    database's.
    """

    __tablename__ = "live_orders"
    __table_args__ = (
        Index("ix_live_orders_due_at", "due_at", postgresql_where="due_at IS NOT NULL"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    key_version: Mapped[int | None]
    failures: Mapped[int]
    absences: Mapped[int] = mapped_column(server_default="0")
    absent_since: Mapped[datetime | None]
    reference_price: Mapped[Decimal | None] = mapped_column(_EXACT)
    cancel_reason: Mapped[str | None]
    taken_back: Mapped[bool] = mapped_column(server_default="false")
    told_at: Mapped[datetime | None]


class OrderFillRow(Base):
    """A trade of a live order by the exchange's own id of it, so that it is booked once.

    ``cash`` is what it has changed the session's cash by, in the quote currency, ``fee_worth`` what its fee
    is counted as; null if no price of the fee's currency was known.
    """

    __tablename__ = "order_fills"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    fill_id: Mapped[str] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), index=True
    )
    price: Mapped[Decimal] = mapped_column(_EXACT)
    quantity: Mapped[Decimal] = mapped_column(_EXACT)
    fee: Mapped[Decimal | None] = mapped_column(_EXACT)
    fee_currency: Mapped[str | None]
    fee_worth: Mapped[Decimal | None] = mapped_column(_EXACT)
    maker: Mapped[bool | None]
    cash: Mapped[Decimal] = mapped_column(_EXACT)
    time: Mapped[datetime]
