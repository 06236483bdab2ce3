"""Tables of the backtest domain."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base

# The metrics that clients may filter and order by; each has an index that begins with the user and puts
# the best first: that way round pages need no sorting.
ORDERED_METRICS = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "win_rate",
    "profit_factor",
    "trades",
)

_BEST_FIRST = dict.fromkeys(ORDERED_METRICS, "DESC NULLS LAST") | {"max_drawdown": "ASC"}


class BacktestRow(Base):
    """A backtest: what was asked for, how far it is, and its metrics.

    ``attempt`` fences: a worker that lost its lease finds another number and changes nothing.
    ``dispatch`` numbers the times the job was handed to the queue, so that a job that died with its
    worker does not block the next one by its key.
    """

    __tablename__ = "backtests"
    __table_args__ = (
        CheckConstraint("status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')", name="status"),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress"),
        CheckConstraint("status <> 'COMPLETED' OR metrics_version IS NOT NULL", name="completed_has_metrics"),
        Index("ix_backtests_user_created", "user_id", "created_at", "id"),
        *(
            Index(
                f"ix_backtests_user_{name}",
                "user_id",
                text(f"{name} {_BEST_FIRST[name]}"),
                text(f"id {_BEST_FIRST[name][:4]}"),
            )
            for name in ORDERED_METRICS
        ),
        Index("ix_backtests_user_content", "user_id", "content_hash"),
        Index("ix_backtests_tags", "tags", postgresql_using="gin"),
        Index("ix_backtests_unfinished", "queued_at", postgresql_where="status IN ('QUEUED', 'RUNNING')"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    status: Mapped[str]
    progress: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[str | None]
    label: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    strategy_id: Mapped[UUID] = mapped_column(ForeignKey("strategies.id"), index=True)
    strategy_version: Mapped[int]
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str]
    start_time: Mapped[datetime]
    end_time: Mapped[datetime]
    bars: Mapped[int]
    warmup_bars: Mapped[int | None]
    initial_capital: Mapped[Decimal]
    parameters: Mapped[dict[str, Any]]
    execution: Mapped[dict[str, Any]]
    content_hash: Mapped[str]
    engine_version: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[float | None]

    queued_at: Mapped[datetime]
    dispatch: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None]

    metrics_version: Mapped[int | None]
    total_return: Mapped[float | None]
    cagr: Mapped[float | None]
    annual_volatility: Mapped[float | None]
    sharpe_ratio: Mapped[float | None]
    sortino_ratio: Mapped[float | None]
    calmar_ratio: Mapped[float | None]
    omega_ratio: Mapped[float | None]
    max_drawdown: Mapped[float | None]
    max_drawdown_duration_days: Mapped[float | None]
    ulcer_index: Mapped[float | None]
    value_at_risk_95: Mapped[float | None]
    expected_shortfall_95: Mapped[float | None]
    trades: Mapped[int | None]
    win_rate: Mapped[float | None]
    profit_factor: Mapped[float | None]
    expectancy: Mapped[float | None]
    payoff_ratio: Mapped[float | None]
    sqn: Mapped[float | None]
    kelly: Mapped[float | None]
    avg_trade_return: Mapped[float | None]
    best_trade: Mapped[float | None]
    worst_trade: Mapped[float | None]
    avg_trade_duration_hours: Mapped[float | None]
    max_consecutive_wins: Mapped[int | None]
    max_consecutive_losses: Mapped[int | None]
    exposure: Mapped[float | None]
    turnover: Mapped[float | None]
    fees_paid: Mapped[Decimal | None]
    funding_paid: Mapped[Decimal | None]
    final_equity: Mapped[Decimal | None]
    buy_and_hold_return: Mapped[float | None]
    alpha: Mapped[float | None]
    beta: Mapped[float | None]


class BacktestKeyRow(Base):
    """An idempotency key: what was asked for under it, and which backtest was the answer."""

    __tablename__ = "backtest_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    backtest_id: Mapped[UUID] = mapped_column(ForeignKey("backtests.id", ondelete="CASCADE"), index=True)


class BacktestCurveRow(Base):
    """Equity at every bar's close and at every day's end, as compressed columns."""

    __tablename__ = "backtest_curves"

    backtest_id: Mapped[UUID] = mapped_column(
        ForeignKey("backtests.id", ondelete="CASCADE"), primary_key=True
    )
    equity: Mapped[bytes] = mapped_column(LargeBinary)
    daily: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerSegmentRow(Base):
    """A thousand trades of a backtest, as compressed columns, so that a page costs one segment."""

    __tablename__ = "backtest_ledger_segments"

    backtest_id: Mapped[UUID] = mapped_column(
        ForeignKey("backtests.id", ondelete="CASCADE"), primary_key=True
    )
    segment: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class BacktestVerificationRow(Base):
    """The last time that a backtest was run again to compare the results.

    ``number`` counts how often it was asked for and names the job, so that whoever is still at an earlier
    request changes nothing. ``attempts`` counts how often a worker began with this one.
    """

    __tablename__ = "backtest_verifications"
    __table_args__ = (
        CheckConstraint("status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')", name="status"),
        CheckConstraint(
            "(status = 'COMPLETED') = (differences IS NOT NULL)", name="completed_has_differences"
        ),
        Index(
            "ix_backtest_verifications_unfinished",
            "requested_at",
            postgresql_where="status IN ('QUEUED', 'RUNNING')",
        ),
    )

    backtest_id: Mapped[UUID] = mapped_column(
        ForeignKey("backtests.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int]
    attempts: Mapped[int]
    status: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    engine_version: Mapped[str]
    error: Mapped[str | None]
    differences: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
