"""Add parameter searches, and the warm-up of backtests that are taken from one."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_optimizations"
down_revision: str | Sequence[str] | None = "add_exchange_keys"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column("backtests", sa.Column("warmup_bars", sa.Integer(), nullable=True))
    op.create_table(
        "optimizations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("strategy_id", sa.UUID(), nullable=False),
        sa.Column("strategy_version", sa.Integer(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bars", sa.Integer(), nullable=False),
        sa.Column("warmup_bars", sa.Integer(), nullable=False),
        sa.Column("initial_capital", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("execution", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("axes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("objectives", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("min_trades", sa.Integer(), nullable=False),
        sa.Column("max_drawdown", sa.Double(), nullable=True),
        sa.Column("trials_total", sa.Integer(), nullable=False),
        sa.Column("trials_done", sa.Integer(), nullable=False),
        sa.Column("candles_hash", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')",
            name=op.f("ck_optimizations_status"),
        ),
        sa.CheckConstraint(
            "trials_done BETWEEN 0 AND trials_total", name=op.f("ck_optimizations_trials_done")
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_optimizations_market_id_markets")
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_optimizations_strategy_id_strategies")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_optimizations_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optimizations")),
    )
    op.create_index(op.f("ix_optimizations_market_id"), "optimizations", ["market_id"], unique=False)
    op.create_index(op.f("ix_optimizations_strategy_id"), "optimizations", ["strategy_id"], unique=False)
    op.create_index(
        "ix_optimizations_user_created", "optimizations", ["user_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_optimizations_user_content", "optimizations", ["user_id", "content_hash"], unique=False
    )
    op.create_index(
        "ix_optimizations_unfinished",
        "optimizations",
        ["created_at"],
        unique=False,
        postgresql_where="status IN ('QUEUED', 'RUNNING')",
    )
    op.create_table(
        "optimization_keys",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("optimization_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_keys_optimization_id_optimizations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_optimization_keys_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_optimization_keys")),
    )
    op.create_index(
        op.f("ix_optimization_keys_optimization_id"), "optimization_keys", ["optimization_id"], unique=False
    )
    op.create_table(
        "optimization_chunks",
        sa.Column("optimization_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("first_trial", sa.Integer(), nullable=False),
        sa.Column("trial_count", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatch", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("best_score", sa.Double(), nullable=True),
        sa.Column("best_trial", sa.Integer(), nullable=True),
        sa.Column("scores", sa.LargeBinary(), nullable=True),
        sa.Column("trials", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "status IN ('WAITING', 'QUEUED', 'RUNNING', 'DONE')", name=op.f("ck_optimization_chunks_status")
        ),
        sa.CheckConstraint(
            "status <> 'DONE' OR kind <> 'TRIALS' OR trials IS NOT NULL",
            name=op.f("ck_optimization_chunks_done_has_trials"),
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_chunks_optimization_id_optimizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("optimization_id", "number", name=op.f("pk_optimization_chunks")),
    )
    op.create_index(
        "ix_optimization_chunks_handed_out",
        "optimization_chunks",
        ["queued_at"],
        unique=False,
        postgresql_where="status IN ('QUEUED', 'RUNNING')",
    )
    op.create_table(
        "optimization_reports",
        sa.Column("optimization_id", sa.UUID(), nullable=False),
        sa.Column("summary", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("daily", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_reports_optimization_id_optimizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("optimization_id", name=op.f("pk_optimization_reports")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("optimization_reports")
    op.drop_table("optimization_chunks")
    op.drop_table("optimization_keys")
    op.drop_table("optimizations")
    op.drop_column("backtests", "warmup_bars")
