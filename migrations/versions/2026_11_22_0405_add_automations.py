"""Add automations and their runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "add_automations"
down_revision = "add_telegram_blocks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "automations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("strategy_id", sa.UUID(), nullable=False),
        sa.Column("cron", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=True),
        sa.Column("interval", sa.String(), nullable=True),
        sa.Column("lookback_days", sa.Integer(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("execution", postgresql.JSONB(), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("action IN ('BACKTEST')", name=op.f("ck_automations_action")),
        sa.CheckConstraint("status IN ('ACTIVE', 'PAUSED')", name=op.f("ck_automations_status")),
        sa.CheckConstraint(
            "action <> 'BACKTEST' OR (market_id IS NOT NULL AND interval IS NOT NULL"
            " AND lookback_days IS NOT NULL)",
            name=op.f("ck_automations_backtest_has_market"),
        ),
        sa.CheckConstraint(
            "(status = 'ACTIVE') = (next_run_at IS NOT NULL)",
            name=op.f("ck_automations_active_is_scheduled"),
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_automations_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_automations_strategy_id_strategies")
        ),
        sa.ForeignKeyConstraint(["market_id"], ["markets.id"], name=op.f("fk_automations_market_id_markets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automations")),
    )
    op.create_index("ix_automations_user_created", "automations", ["user_id", "created_at", "id"])
    op.create_index(
        "ix_automations_next_run_at",
        "automations",
        ["next_run_at"],
        postgresql_where=sa.text("next_run_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_automations_strategy_id"), "automations", ["strategy_id"])
    op.create_index(op.f("ix_automations_market_id"), "automations", ["market_id"])
    op.create_table(
        "automation_runs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("automation_id", sa.UUID(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("backtest_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("trigger IN ('SCHEDULE', 'MANUAL')", name=op.f("ck_automation_runs_trigger")),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'SUCCEEDED', 'FAILED')", name=op.f("ck_automation_runs_status")
        ),
        sa.ForeignKeyConstraint(
            ["automation_id"],
            ["automations.id"],
            name=op.f("fk_automation_runs_automation_id_automations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["backtest_id"],
            ["backtests.id"],
            name=op.f("fk_automation_runs_backtest_id_backtests"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation_runs")),
        sa.UniqueConstraint(
            "automation_id",
            "scheduled_for",
            "trigger",
            name=op.f("uq_automation_runs_automation_id_scheduled_for_trigger"),
        ),
    )
    op.create_index(op.f("ix_automation_runs_backtest_id"), "automation_runs", ["backtest_id"])
    op.create_index(
        "ix_automation_runs_queued",
        "automation_runs",
        ["created_at"],
        postgresql_where=sa.text("status = 'QUEUED'"),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("automation_runs")
    op.drop_table("automations")
