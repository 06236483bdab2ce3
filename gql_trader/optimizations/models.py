"""Tables of the optimization domain."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class OptimizationRow(Base):
    """A search: what was asked for and how far it is.

    ``attempt`` rises when the search is cancelled, so that followers know what a worker still tells.
    ``candles_hash`` is that of the candles at the request: all trials see the same ones.
    """

    __tablename__ = "optimizations"
    __table_args__ = (
        CheckConstraint("status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')", name="status"),
        CheckConstraint("trials_done BETWEEN 0 AND trials_total", name="trials_done"),
        Index("ix_optimizations_user_created", "user_id", "created_at", "id"),
        Index("ix_optimizations_user_content", "user_id", "content_hash"),
        Index(
            "ix_optimizations_unfinished", "created_at", postgresql_where="status IN ('QUEUED', 'RUNNING')"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    status: Mapped[str]
    progress: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[str | None]
    label: Mapped[str | None]
    strategy_id: Mapped[UUID] = mapped_column(ForeignKey("strategies.id"), index=True)
    strategy_version: Mapped[int]
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str]
    start_time: Mapped[datetime]
    end_time: Mapped[datetime]
    bars: Mapped[int]
    warmup_bars: Mapped[int]
    initial_capital: Mapped[Decimal]
    parameters: Mapped[dict[str, Any]]
    execution: Mapped[dict[str, Any]]
    axes: Mapped[list[Any]] = mapped_column(JSONB)
    method: Mapped[str]
    seed: Mapped[int]
    objectives: Mapped[list[Any]] = mapped_column(JSONB)
    min_trades: Mapped[int]
    max_drawdown: Mapped[float | None]
    walk_forward: Mapped[dict[str, Any] | None]
    trials_total: Mapped[int]
    trials_done: Mapped[int] = mapped_column(default=0)
    candles_hash: Mapped[str]
    content_hash: Mapped[str]
    engine_version: Mapped[str]
    metrics_version: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[float | None]


class OptimizationKeyRow(Base):
    """An idempotency key: what was asked for under it, and which search was the answer."""

    __tablename__ = "optimization_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    optimization_id: Mapped[UUID] = mapped_column(
        ForeignKey("optimizations.id", ondelete="CASCADE"), index=True
    )


class OptimizationChunkRow(Base):
    """A part of a search: trials that are run together by one worker, and their figures.

    Chunks of a stage wait until all of the stages before are done. ``attempt`` fences: a worker that lost
    its lease finds another number and changes nothing. ``dispatch`` numbers the times the job was handed to
    the queue. ``scores`` and ``trials`` are compressed columns, a value for each trial.
    """

    __tablename__ = "optimization_chunks"
    __table_args__ = (
        CheckConstraint("status IN ('WAITING', 'QUEUED', 'RUNNING', 'DONE')", name="status"),
        CheckConstraint("status <> 'DONE' OR kind <> 'TRIALS' OR trials IS NOT NULL", name="done_has_trials"),
        Index(
            "ix_optimization_chunks_handed_out",
            "queued_at",
            postgresql_where="status IN ('QUEUED', 'RUNNING')",
        ),
    )

    optimization_id: Mapped[UUID] = mapped_column(
        ForeignKey("optimizations.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    stage: Mapped[int]
    first_trial: Mapped[int]
    trial_count: Mapped[int]
    status: Mapped[str]
    queued_at: Mapped[datetime | None]
    dispatch: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    lease_expires_at: Mapped[datetime | None]
    best_score: Mapped[float | None]
    best_trial: Mapped[int | None]
    scores: Mapped[bytes | None] = mapped_column(LargeBinary)
    trials: Mapped[bytes | None] = mapped_column(LargeBinary)


class OptimizationReportRow(Base):
    """What a completed search amounts to.

    ``daily`` has equity and return of each day, as compressed columns: of the best trial, or of the tests
    of a walk-forward search, whose equity at every bar is in ``equity``.
    """

    __tablename__ = "optimization_reports"

    optimization_id: Mapped[UUID] = mapped_column(
        ForeignKey("optimizations.id", ondelete="CASCADE"), primary_key=True
    )
    summary: Mapped[dict[str, Any]]
    daily: Mapped[bytes] = mapped_column(LargeBinary)
    equity: Mapped[bytes | None] = mapped_column(LargeBinary)
