"""Add bots, trading sessions, their orders, trades and equity."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_bots"
down_revision: str | Sequence[str] | None = "add_walk_forward"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "bots",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("strategy_id", sa.UUID(), nullable=False),
        sa.Column("strategy_version", sa.Integer(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("initial_capital", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("execution", postgresql.JSONB(), nullable=False),
        sa.Column("check_interval_seconds", sa.Integer(), nullable=False),
        sa.Column("replay_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replay_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replay_speed", sa.Double(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("session_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("mode IN ('PAPER', 'LIVE')", name=op.f("ck_bots_mode")),
        sa.CheckConstraint("state <> 'FAILED' OR error IS NOT NULL", name=op.f("ck_bots_failed_has_error")),
        sa.CheckConstraint(
            "state IN ('STOPPED', 'PENDING', 'RUNNING', 'STOPPING', 'FAILED')", name=op.f("ck_bots_state")
        ),
        sa.CheckConstraint(
            "(replay_start IS NULL) = (replay_end IS NULL)"
            " AND (replay_start IS NULL) = (replay_speed IS NULL)",
            name=op.f("ck_bots_replay"),
        ),
        sa.ForeignKeyConstraint(["market_id"], ["markets.id"], name=op.f("fk_bots_market_id_markets")),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_bots_strategy_id_strategies")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_bots_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bots")),
    )
    op.create_index(
        "ix_bots_active",
        "bots",
        ["user_id"],
        postgresql_where=sa.text("state IN ('PENDING', 'RUNNING', 'STOPPING')"),
    )
    op.create_index(op.f("ix_bots_market_id"), "bots", ["market_id"])
    op.create_index(op.f("ix_bots_strategy_id"), "bots", ["strategy_id"])
    op.create_index("ix_bots_user_id_id", "bots", ["user_id", "id"])
    op.create_table(
        "trading_sessions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("bot_id", sa.UUID(), nullable=True),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("strategy_id", sa.UUID(), nullable=False),
        sa.Column("strategy_version", sa.Integer(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("execution", postgresql.JSONB(), nullable=False),
        sa.Column("capital", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("replay_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replay_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replay_speed", sa.Double(), nullable=True),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("equity_every", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trade_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'STOPPED') = (ended_at IS NOT NULL)", name=op.f("ck_trading_sessions_stopped_has_end")
        ),
        sa.CheckConstraint("mode IN ('PAPER', 'LIVE')", name=op.f("ck_trading_sessions_mode")),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'CLOSING', 'STOPPED')", name=op.f("ck_trading_sessions_status")
        ),
        sa.ForeignKeyConstraint(
            ["bot_id"], ["bots.id"], name=op.f("fk_trading_sessions_bot_id_bots"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_trading_sessions_market_id_markets")
        ),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_trading_sessions_strategy_id_strategies")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trading_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trading_sessions")),
    )
    op.create_index("ix_trading_sessions_bot_id_id", "trading_sessions", ["bot_id", "id"])
    op.create_index(op.f("ix_trading_sessions_strategy_id"), "trading_sessions", ["strategy_id"])
    op.create_index(
        "ix_trading_sessions_unfinished",
        "trading_sessions",
        ["market_id", "interval", "shard"],
        postgresql_where=sa.text("status <> 'STOPPED'"),
    )
    op.create_index("ix_trading_sessions_user_id_id", "trading_sessions", ["user_id", "id"])
    op.create_table(
        "orders",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client_order_id", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("filled_quantity", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("stop_price", sa.Numeric(), nullable=True),
        sa.Column("average_price", sa.Numeric(), nullable=True),
        sa.Column("fee", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("exit_reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_orders_side")),
        sa.CheckConstraint("type IN ('MARKET', 'LIMIT', 'STOP', 'STOP_LIMIT')", name=op.f("ck_orders_type")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_orders_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_orders_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("session_id", "number", name="uq_orders_session_id_number"),
        sa.UniqueConstraint("user_id", "client_order_id", name="uq_orders_user_id_client_order_id"),
    )
    op.create_table(
        "session_equity",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("equity", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_session_equity_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "time", name=op.f("pk_session_equity")),
    )
    op.create_table(
        "session_states",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("anchor_time", sa.BigInteger(), nullable=True),
        sa.Column("last_bar_time", sa.BigInteger(), nullable=True),
        sa.Column("bars", sa.Integer(), nullable=False),
        sa.Column("balance", sa.Double(), nullable=False),
        sa.Column("equity", sa.Double(), nullable=False),
        sa.Column("cash", sa.Double(), nullable=False),
        sa.Column("last_close", sa.Double(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("day_start_equity", sa.Double(), nullable=False),
        sa.Column("day_entries", sa.Integer(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("resting_bars", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_session_states_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_states")),
        postgresql_with={"fillfactor": "60"},
    )
    op.create_index(
        "ix_session_states_due_at",
        "session_states",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "tick_leases",
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["market_id"],
            ["markets.id"],
            name=op.f("fk_tick_leases_market_id_markets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("market_id", "interval", "shard", name=op.f("pk_tick_leases")),
    )
    op.create_table(
        "trades",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("entry_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_price", sa.Numeric(), nullable=False),
        sa.Column("exit_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_price", sa.Numeric(), nullable=True),
        sa.Column("exit_reason", sa.String(), nullable=True),
        sa.Column("profit", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("profit_fraction", sa.Double(), nullable=True),
        sa.Column("fees", sa.Numeric(precision=38, scale=18), nullable=False),
        sa.Column("funding", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("bars", sa.Integer(), nullable=True),
        sa.Column("max_favorable", sa.Double(), nullable=True),
        sa.Column("max_adverse", sa.Double(), nullable=True),
        sa.Column("equity_after", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("side IN ('LONG', 'SHORT')", name=op.f("ck_trades_side")),
        sa.CheckConstraint(
            "(exit_time IS NULL) = (exit_price IS NULL) AND (exit_time IS NULL) = (profit IS NULL)"
            " AND (exit_time IS NULL) = (exit_reason IS NULL)",
            name=op.f("ck_trades_closed_is_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_trades_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trades_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trades")),
        sa.UniqueConstraint("session_id", "number", name="uq_trades_session_id_number"),
    )
    op.create_index("ix_trades_open", "trades", ["session_id"], postgresql_where=sa.text("exit_time IS NULL"))
    op.create_index("ix_trades_user_id_changed_at", "trades", ["user_id", "changed_at"])


def downgrade() -> None:
    """Undo."""
    for table in (
        "tick_leases",
        "trades",
        "session_states",
        "session_equity",
        "orders",
        "trading_sessions",
        "bots",
    ):
        op.drop_table(table)
