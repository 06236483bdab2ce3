"""Add backtests."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_backtests"
down_revision: str | Sequence[str] | None = "add_strategies"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "backtests",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.TEXT()), nullable=False),
        sa.Column("strategy_id", sa.UUID(), nullable=False),
        sa.Column("strategy_version", sa.Integer(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bars", sa.Integer(), nullable=False),
        sa.Column("initial_capital", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("execution", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dispatch", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metrics_version", sa.Integer(), nullable=True),
        sa.Column("total_return", sa.Double(), nullable=True),
        sa.Column("cagr", sa.Double(), nullable=True),
        sa.Column("annual_volatility", sa.Double(), nullable=True),
        sa.Column("sharpe_ratio", sa.Double(), nullable=True),
        sa.Column("sortino_ratio", sa.Double(), nullable=True),
        sa.Column("calmar_ratio", sa.Double(), nullable=True),
        sa.Column("omega_ratio", sa.Double(), nullable=True),
        sa.Column("max_drawdown", sa.Double(), nullable=True),
        sa.Column("max_drawdown_duration_days", sa.Double(), nullable=True),
        sa.Column("ulcer_index", sa.Double(), nullable=True),
        sa.Column("value_at_risk_95", sa.Double(), nullable=True),
        sa.Column("expected_shortfall_95", sa.Double(), nullable=True),
        sa.Column("trades", sa.Integer(), nullable=True),
        sa.Column("win_rate", sa.Double(), nullable=True),
        sa.Column("profit_factor", sa.Double(), nullable=True),
        sa.Column("expectancy", sa.Double(), nullable=True),
        sa.Column("payoff_ratio", sa.Double(), nullable=True),
        sa.Column("sqn", sa.Double(), nullable=True),
        sa.Column("kelly", sa.Double(), nullable=True),
        sa.Column("avg_trade_return", sa.Double(), nullable=True),
        sa.Column("best_trade", sa.Double(), nullable=True),
        sa.Column("worst_trade", sa.Double(), nullable=True),
        sa.Column("avg_trade_duration_hours", sa.Double(), nullable=True),
        sa.Column("max_consecutive_wins", sa.Integer(), nullable=True),
        sa.Column("max_consecutive_losses", sa.Integer(), nullable=True),
        sa.Column("exposure", sa.Double(), nullable=True),
        sa.Column("turnover", sa.Double(), nullable=True),
        sa.Column("fees_paid", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("final_equity", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("buy_and_hold_return", sa.Double(), nullable=True),
        sa.Column("alpha", sa.Double(), nullable=True),
        sa.Column("beta", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "status <> 'COMPLETED' OR metrics_version IS NOT NULL",
            name=op.f("ck_backtests_completed_has_metrics"),
        ),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')",
            name=op.f("ck_backtests_status"),
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_backtests_progress")),
        sa.ForeignKeyConstraint(["market_id"], ["markets.id"], name=op.f("fk_backtests_market_id_markets")),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_backtests_strategy_id_strategies")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_backtests_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
    )
    op.create_index(op.f("ix_backtests_market_id"), "backtests", ["market_id"], unique=False)
    op.create_index(op.f("ix_backtests_strategy_id"), "backtests", ["strategy_id"], unique=False)
    op.create_index("ix_backtests_tags", "backtests", ["tags"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_backtests_unfinished",
        "backtests",
        ["queued_at"],
        unique=False,
        postgresql_where="status IN ('QUEUED', 'RUNNING')",
    )
    op.create_index(
        "ix_backtests_user_cagr",
        "backtests",
        ["user_id", sa.literal_column("cagr DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_calmar_ratio",
        "backtests",
        ["user_id", sa.literal_column("calmar_ratio DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index("ix_backtests_user_content", "backtests", ["user_id", "content_hash"], unique=False)
    op.create_index("ix_backtests_user_created", "backtests", ["user_id", "created_at", "id"], unique=False)
    op.create_index(
        "ix_backtests_user_max_drawdown",
        "backtests",
        ["user_id", sa.literal_column("max_drawdown ASC"), sa.literal_column("id ASC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_profit_factor",
        "backtests",
        ["user_id", sa.literal_column("profit_factor DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_sharpe_ratio",
        "backtests",
        ["user_id", sa.literal_column("sharpe_ratio DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_sortino_ratio",
        "backtests",
        ["user_id", sa.literal_column("sortino_ratio DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_total_return",
        "backtests",
        ["user_id", sa.literal_column("total_return DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_trades",
        "backtests",
        ["user_id", sa.literal_column("trades DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_backtests_user_win_rate",
        "backtests",
        ["user_id", sa.literal_column("win_rate DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "backtest_keys",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("backtest_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backtest_id"],
            ["backtests.id"],
            name=op.f("fk_backtest_keys_backtest_id_backtests"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_backtest_keys_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_backtest_keys")),
    )
    op.create_index(op.f("ix_backtest_keys_backtest_id"), "backtest_keys", ["backtest_id"], unique=False)
    op.create_table(
        "backtest_curves",
        sa.Column("backtest_id", sa.UUID(), nullable=False),
        sa.Column("equity", sa.LargeBinary(), nullable=False),
        sa.Column("daily", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backtest_id"],
            ["backtests.id"],
            name=op.f("fk_backtest_curves_backtest_id_backtests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("backtest_id", name=op.f("pk_backtest_curves")),
    )
    op.create_table(
        "backtest_ledger_segments",
        sa.Column("backtest_id", sa.UUID(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backtest_id"],
            ["backtests.id"],
            name=op.f("fk_backtest_ledger_segments_backtest_id_backtests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "segment", name=op.f("pk_backtest_ledger_segments")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("backtest_ledger_segments")
    op.drop_table("backtest_curves")
    op.drop_table("backtest_keys")
    op.drop_table("backtests")
