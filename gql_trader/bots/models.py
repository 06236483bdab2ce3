"""Tables of the bots domain."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.bots import models_live as models_live
from gql_trader.bots import models_live_bot as models_live_bot
from gql_trader.bots import models_rollups as models_rollups
from gql_trader.infra.database import Base

_EXACT = Numeric()
"""Prices and quantities: the smallest have more decimals than an amount of money."""


class BotRow(Base):
    """A bot: what it is to trade, and what it is doing.

    ``session_id`` is its last session's. There is no foreign key on it: sessions refer to bots.
    """

    __tablename__ = "bots"
    __table_args__ = (
        CheckConstraint("state IN ('STOPPED', 'PENDING', 'RUNNING', 'STOPPING', 'FAILED')", name="state"),
        CheckConstraint("mode IN ('PAPER', 'LIVE')", name="mode"),
        CheckConstraint("state <> 'FAILED' OR error IS NOT NULL", name="failed_has_error"),
        CheckConstraint(
            "(replay_start IS NULL) = (replay_end IS NULL)"
            " AND (replay_start IS NULL) = (replay_speed IS NULL)",
            name="replay",
        ),
        Index("ix_bots_user_id_id", "user_id", "id"),
        Index("ix_bots_active", "user_id", postgresql_where="state IN ('PENDING', 'RUNNING', 'STOPPING')"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str]
    strategy_id: Mapped[UUID] = mapped_column(ForeignKey("strategies.id"), index=True)
    strategy_version: Mapped[int]
    parameters: Mapped[dict[str, Any]]
    mode: Mapped[str]
    initial_capital: Mapped[Decimal]
    execution: Mapped[dict[str, Any]]
    check_interval_seconds: Mapped[int]
    replay_start: Mapped[datetime | None]
    replay_end: Mapped[datetime | None]
    replay_speed: Mapped[float | None]
    exchange_key_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("exchange_keys.id", ondelete="SET NULL"), index=True
    )
    transfer_amount: Mapped[Decimal | None]
    auto_transfer_funds: Mapped[bool] = mapped_column(server_default=false())
    contracts: Mapped[bool] = mapped_column(server_default=false())
    state: Mapped[str]
    error: Mapped[str | None]
    session_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TradingSessionRow(Base):
    """A session: what it trades, as it was at its start, and whether it still does.

    One that is traded by hand has no market, interval and strategy of its own; ``quote_id`` is the currency
    that its first order has given it. What changes with every bar is in `SessionStateRow`. ``trade_from`` is
    the moment from which bars may trade; ``shard`` says which of the live sessions on one market and interval
    are advanced together. ``is_summed``: reports have it in their sums over sessions that are over, and it
    will not change any more.
    """

    __tablename__ = "trading_sessions"
    __table_args__ = (
        CheckConstraint("status IN ('ACTIVE', 'CLOSING', 'STOPPED')", name="status"),
        CheckConstraint("mode IN ('PAPER', 'LIVE')", name="mode"),
        CheckConstraint("(status = 'STOPPED') = (ended_at IS NOT NULL)", name="stopped_has_end"),
        CheckConstraint(
            "(market_id IS NULL) = (interval IS NULL) AND (market_id IS NULL) = (strategy_id IS NULL)"
            " AND (market_id IS NULL) = (strategy_version IS NULL)"
            " AND (market_id IS NULL) = (parameters IS NULL)",
            name="strategy_is_whole",
        ),
        Index(
            "ix_trading_sessions_by_hand",
            "user_id",
            postgresql_where="market_id IS NULL AND status = 'ACTIVE'",
        ),
        Index("ix_trading_sessions_user_id_id", "user_id", "id"),
        Index("ix_trading_sessions_unsummed", "user_id", "id", postgresql_where="NOT is_summed"),
        Index("ix_trading_sessions_bot_id_id", "bot_id", "id"),
        Index(
            "ix_trading_sessions_unfinished",
            "market_id",
            "interval",
            "shard",
            postgresql_where="status <> 'STOPPED'",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    bot_id: Mapped[UUID | None] = mapped_column(ForeignKey("bots.id", ondelete="SET NULL"))
    mode: Mapped[str]
    status: Mapped[str]
    market_id: Mapped[UUID | None] = mapped_column(ForeignKey("markets.id"))
    interval: Mapped[str | None]
    strategy_id: Mapped[UUID | None] = mapped_column(ForeignKey("strategies.id"), index=True)
    strategy_version: Mapped[int | None]
    parameters: Mapped[dict[str, Any] | None]
    quote_id: Mapped[UUID | None] = mapped_column(ForeignKey("assets.id"))
    execution: Mapped[dict[str, Any]]
    capital: Mapped[Decimal]
    replay_start: Mapped[datetime | None]
    replay_end: Mapped[datetime | None]
    replay_speed: Mapped[float | None]
    shard: Mapped[int]
    equity_every: Mapped[int]
    check_seconds: Mapped[int] = mapped_column(server_default="60")
    volume_share: Mapped[float | None]
    started_at: Mapped[datetime]
    trade_from: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    is_summed: Mapped[bool] = mapped_column(server_default=false())


class SessionStateRow(Base):
    """Where a session stands: narrow, since it is written with every bar.

    ``revision`` counts the writes; each names the one it began from, so that nothing is booked twice.
    ``fence`` and ``lease_expires_at`` say which worker may act. ``anchor_time`` is the first bar of the
    window that signals are computed on, ``last_bar_time`` the last bar that was traded, both as Unix
    milliseconds. The figures are the engine's, in float64, those from ``day`` on its guards'; ``state`` is
    all that the next bar depends on.
    """

    __tablename__ = "session_states"
    __table_args__ = (
        Index("ix_session_states_due_at", "due_at", postgresql_where="due_at IS NOT NULL"),
        {"postgresql_with": {"fillfactor": "60"}},
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    anchor_time: Mapped[int | None] = mapped_column(BigInteger)
    signal_key: Mapped[UUID | None]
    last_bar_time: Mapped[int | None] = mapped_column(BigInteger)
    bars: Mapped[int]
    balance: Mapped[float]
    equity: Mapped[float]
    cash: Mapped[float]
    last_close: Mapped[float | None]
    day: Mapped[int]
    day_start_equity: Mapped[float]
    day_entries: Mapped[int]
    halted: Mapped[bool]
    resting_bars: Mapped[int]
    peak_equity: Mapped[float]
    drawn_down: Mapped[bool]
    state: Mapped[bytes | None] = mapped_column(LargeBinary)


class SignalRow(Base):
    """What a strategy said at the close of a bar: the same for all sessions that share its signals.

    ``key`` stands for strategy, version, parameters, market, interval and first bar; ``values`` are those of
    the number series that the rules are made of, by their text.
    """

    __tablename__ = "signal_log"

    key: Mapped[UUID] = mapped_column(primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    signals: Mapped[int] = mapped_column(SmallInteger)
    values: Mapped[dict[str, Any]]
    noted_at: Mapped[datetime] = mapped_column(index=True)


class GuardRow(Base):
    """What a session's guards looked at from the close of a bar on, until the next row."""

    __tablename__ = "session_guards"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    day: Mapped[int]
    day_start_equity: Mapped[float]
    day_entries: Mapped[int]
    halted: Mapped[bool]
    resting_bars: Mapped[int]
    peak_equity: Mapped[float]
    drawn_down: Mapped[bool]
    equity: Mapped[float]


class TickLeaseRow(Base):
    """Which worker may advance a shard of live sessions; ``fence`` as in `SessionStateRow`.

    ``check_at`` is when its positions are to be looked at between closes; None: nothing is to be looked at.
    """

    __tablename__ = "tick_leases"
    __table_args__ = (Index("ix_tick_leases_check_at", "check_at", postgresql_where="check_at IS NOT NULL"),)

    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id", ondelete="CASCADE"), primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(primary_key=True)
    fence: Mapped[int] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    check_at: Mapped[datetime | None]


class SessionMarkRow(Base):
    """A bot's position at a price between the closes of bars: the newest when it was looked at.

    It holds while ``last_bar_time`` is the last bar that the session has traded. ``priced_at`` is the moment
    of the price, Unix milliseconds. ``exit_reason`` and ``exit_price`` tell how the engine would close the
    position if the bar ended as it stood then, ``exit_seen_at`` since when. Nothing in it is booked.
    """

    __tablename__ = "session_marks"
    __table_args__ = (
        CheckConstraint(
            "(exit_reason IS NULL) = (exit_price IS NULL) AND (exit_reason IS NULL) = (exit_seen_at IS NULL)",
            name="exit_is_whole",
        ),
        {"postgresql_with": {"fillfactor": "60"}},
    )

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    last_bar_time: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[float]
    priced_at: Mapped[int] = mapped_column(BigInteger)
    equity: Mapped[float]
    exit_reason: Mapped[str | None]
    exit_price: Mapped[float | None]
    exit_seen_at: Mapped[int | None] = mapped_column(BigInteger)
    checked_at: Mapped[datetime]


class TradeRow(Base):
    """A position from its opening to its closing; ``number`` counts a session's from 1.

    By hand a position may grow, and be closed in parts, each of which becomes a trade of its own: ``cost`` is
    what the held quantity was bought for, exactly, and ``mark_price`` the close of the bar that ended at
    ``marked_until`` (Unix milliseconds). ``market_id`` is only noted by hand; else it is the session's.
    """

    __tablename__ = "trades"
    __table_args__ = (
        CheckConstraint("side IN ('LONG', 'SHORT')", name="side"),
        CheckConstraint(
            "(exit_time IS NULL) = (exit_price IS NULL) AND (exit_time IS NULL) = (profit IS NULL)"
            " AND (exit_reason IS NULL OR exit_time IS NOT NULL)"
            " AND (exit_time IS NULL OR exit_reason IS NOT NULL OR market_id IS NOT NULL)",
            name="closed_is_whole",
        ),
        UniqueConstraint("session_id", "number", name="uq_trades_session_id_number"),
        Index("ix_trades_user_id_changed_at", "user_id", "changed_at"),
        Index("ix_trades_user_id_entry_time_id", "user_id", "entry_time", "id"),
        Index("ix_trades_open", "session_id", postgresql_where="exit_time IS NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("trading_sessions.id", ondelete="CASCADE"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    number: Mapped[int]
    side: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(_EXACT)
    entry_time: Mapped[datetime]
    entry_price: Mapped[Decimal] = mapped_column(_EXACT)
    exit_time: Mapped[datetime | None]
    exit_price: Mapped[Decimal | None] = mapped_column(_EXACT)
    exit_reason: Mapped[str | None]
    profit: Mapped[Decimal | None]
    profit_fraction: Mapped[float | None]
    fees: Mapped[Decimal]
    funding: Mapped[Decimal | None]
    bars: Mapped[int | None]
    max_favorable: Mapped[float | None]
    max_adverse: Mapped[float | None]
    equity_after: Mapped[Decimal | None]
    changed_at: Mapped[datetime]
    market_id: Mapped[UUID | None] = mapped_column(ForeignKey("markets.id"))
    cost: Mapped[Decimal | None] = mapped_column(_EXACT)
    mark_price: Mapped[Decimal | None] = mapped_column(_EXACT)
    marked_until: Mapped[int | None] = mapped_column(BigInteger)


class OrderRow(Base):
    """An order; ``number`` counts a session's in the order in which they were placed.

    The columns from ``market_id`` on are used by hand only. Bars that opened before ``tested_until`` (Unix
    milliseconds) cannot fill it; ``triggered`` says whether its stop price was reached; ``reason`` is why
    it was not filled. ``exchange_order_id`` and ``cancel_requested_at`` are of live orders only.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("side IN ('BUY', 'SELL')", name="side"),
        CheckConstraint("type IN ('MARKET', 'LIMIT', 'STOP', 'STOP_LIMIT')", name="type"),
        UniqueConstraint("user_id", "client_order_id", name="uq_orders_user_id_client_order_id"),
        UniqueConstraint("session_id", "number", name="uq_orders_session_id_number"),
        Index(
            "uq_orders_user_id_idempotency_key",
            "user_id",
            "idempotency_key",
            unique=True,
            postgresql_where="idempotency_key IS NOT NULL",
        ),
        Index(
            "ix_orders_waiting",
            "session_id",
            postgresql_where="status IN ('NEW', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN')",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    session_id: Mapped[UUID] = mapped_column(ForeignKey("trading_sessions.id", ondelete="CASCADE"))
    number: Mapped[int]
    client_order_id: Mapped[str]
    side: Mapped[str]
    type: Mapped[str]
    status: Mapped[str]
    reduce_only: Mapped[bool]
    quantity: Mapped[Decimal] = mapped_column(_EXACT)
    filled_quantity: Mapped[Decimal] = mapped_column(_EXACT)
    price: Mapped[Decimal | None] = mapped_column(_EXACT)
    stop_price: Mapped[Decimal | None] = mapped_column(_EXACT)
    average_price: Mapped[Decimal | None] = mapped_column(_EXACT)
    fee: Mapped[Decimal]
    exit_reason: Mapped[str | None]
    created_at: Mapped[datetime]
    filled_at: Mapped[datetime | None]
    market_id: Mapped[UUID | None] = mapped_column(ForeignKey("markets.id"))
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[str | None]
    reason: Mapped[str | None]
    triggered: Mapped[bool] = mapped_column(server_default=false())
    tested_until: Mapped[int | None] = mapped_column(BigInteger)
    exchange_order_id: Mapped[str | None]
    cancel_requested_at: Mapped[datetime | None]


class EquityPointRow(Base):
    """A session's equity, marked at the close of the bar that opened at ``time`` (Unix milliseconds)."""

    __tablename__ = "session_equity"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("trading_sessions.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    equity: Mapped[float]
