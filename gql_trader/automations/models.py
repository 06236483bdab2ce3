"""Tables of the automation domain."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base


class AutomationRow(Base):
    """What happens by the clock; ``next_run_at`` is null while it is paused."""

    __tablename__ = "automations"
    __table_args__ = (
        CheckConstraint("action IN ('BACKTEST', 'BOT_START', 'BOT_STOP')", name="action"),
        CheckConstraint("status IN ('ACTIVE', 'PAUSED')", name="status"),
        CheckConstraint(
            "action <> 'BACKTEST' OR (market_id IS NOT NULL AND interval IS NOT NULL"
            " AND lookback_days IS NOT NULL)",
            name="backtest_has_market",
        ),
        CheckConstraint("action = 'BACKTEST' OR bot_id IS NOT NULL", name="bot_is_named"),
        CheckConstraint("(status = 'ACTIVE') = (next_run_at IS NOT NULL)", name="active_is_scheduled"),
        Index("ix_automations_user_created", "user_id", "created_at", "id"),
        Index("ix_automations_next_run_at", "next_run_at", postgresql_where="next_run_at IS NOT NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    strategy_id: Mapped[UUID] = mapped_column(ForeignKey("strategies.id"), index=True)
    cron: Mapped[str]
    timezone: Mapped[str]
    action: Mapped[str]
    status: Mapped[str]
    bot_id: Mapped[UUID | None] = mapped_column(ForeignKey("bots.id", ondelete="CASCADE"), index=True)
    market_id: Mapped[UUID | None] = mapped_column(ForeignKey("markets.id"), index=True)
    interval: Mapped[str | None]
    lookback_days: Mapped[int | None]
    parameters: Mapped[dict[str, Any]]
    execution: Mapped[dict[str, Any]]
    next_run_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AutomationRunRow(Base):
    """One run of an automation; there is one for each moment, whatever the number of workers."""

    __tablename__ = "automation_runs"
    __table_args__ = (
        CheckConstraint("trigger IN ('SCHEDULE', 'MANUAL')", name="trigger"),
        CheckConstraint("status IN ('QUEUED', 'SUCCEEDED', 'FAILED')", name="status"),
        UniqueConstraint("automation_id", "scheduled_for", "trigger"),
        Index("ix_automation_runs_queued", "created_at", postgresql_where="status = 'QUEUED'"),
        Index("ix_automation_runs_ended", "finished_at", postgresql_where="finished_at IS NOT NULL"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    automation_id: Mapped[UUID] = mapped_column(ForeignKey("automations.id", ondelete="CASCADE"))
    trigger: Mapped[str]
    scheduled_for: Mapped[datetime]
    missed: Mapped[int] = mapped_column(default=0)
    status: Mapped[str]
    error: Mapped[str | None]
    backtest_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("backtests.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
