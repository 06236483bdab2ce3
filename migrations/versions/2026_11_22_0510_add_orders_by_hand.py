"""Let sessions be traded by hand: on any market, with orders that wait and positions that grow and shrink."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "add_orders_by_hand"
down_revision: str | Sequence[str] | None = "watch_market_feeds"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OF_STRATEGY = ("market_id", "interval", "strategy_id", "strategy_version", "parameters")
_CLOSED_IS_WHOLE = (
    "(exit_time IS NULL) = (exit_price IS NULL) AND (exit_time IS NULL) = (profit IS NULL)"
    " AND (exit_time IS NULL) = (exit_reason IS NULL)"
)


def upgrade() -> None:
    """Apply."""
    for name in _OF_STRATEGY:
        op.alter_column("trading_sessions", name, nullable=True)
    op.add_column("trading_sessions", sa.Column("quote_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_trading_sessions_quote_id_assets"), "trading_sessions", "assets", ["quote_id"], ["id"]
    )
    op.create_check_constraint(
        op.f("ck_trading_sessions_strategy_is_whole"),
        "trading_sessions",
        " AND ".join(f"(market_id IS NULL) = ({name} IS NULL)" for name in _OF_STRATEGY[1:]),
    )
    op.create_index(
        "ix_trading_sessions_by_hand",
        "trading_sessions",
        ["user_id"],
        postgresql_where=sa.text("market_id IS NULL AND status = 'ACTIVE'"),
    )
    for table in ("orders", "trades"):
        op.add_column(table, sa.Column("market_id", sa.UUID(), nullable=True))
        op.create_foreign_key(op.f(f"fk_{table}_market_id_markets"), table, "markets", ["market_id"], ["id"])
    for column in (
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request_hash", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("triggered", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("tested_until", sa.BigInteger(), nullable=True),
    ):
        op.add_column("orders", column)
    op.create_index(
        "uq_orders_user_id_idempotency_key",
        "orders",
        ["user_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "ix_orders_waiting",
        "orders",
        ["session_id"],
        postgresql_where=sa.text("status IN ('NEW', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN')"),
    )
    for column in (
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.Column("mark_price", sa.Numeric(), nullable=True),
        sa.Column("marked_until", sa.BigInteger(), nullable=True),
    ):
        op.add_column("trades", column)
    op.drop_constraint(op.f("ck_trades_closed_is_whole"), "trades", type_="check")
    op.create_check_constraint(
        op.f("ck_trades_closed_is_whole"),
        "trades",
        "(exit_time IS NULL) = (exit_price IS NULL) AND (exit_time IS NULL) = (profit IS NULL)"
        " AND (exit_reason IS NULL OR exit_time IS NOT NULL)"
        " AND (exit_time IS NULL OR exit_reason IS NOT NULL OR market_id IS NOT NULL)",
    )


def downgrade() -> None:
    """Undo; what was traded by hand is lost."""
    op.execute("DELETE FROM trading_sessions WHERE market_id IS NULL")
    op.drop_constraint(op.f("ck_trades_closed_is_whole"), "trades", type_="check")
    op.create_check_constraint(op.f("ck_trades_closed_is_whole"), "trades", _CLOSED_IS_WHOLE)
    for name in ("cost", "mark_price", "marked_until", "market_id"):
        op.drop_column("trades", name)
    op.drop_index("ix_orders_waiting", "orders")
    op.drop_index("uq_orders_user_id_idempotency_key", "orders")
    for name in ("idempotency_key", "request_hash", "reason", "triggered", "tested_until", "market_id"):
        op.drop_column("orders", name)
    op.drop_index("ix_trading_sessions_by_hand", "trading_sessions")
    op.drop_constraint(op.f("ck_trading_sessions_strategy_is_whole"), "trading_sessions", type_="check")
    op.drop_column("trading_sessions", "quote_id")
    for name in _OF_STRATEGY:
        op.alter_column("trading_sessions", name, nullable=False)
