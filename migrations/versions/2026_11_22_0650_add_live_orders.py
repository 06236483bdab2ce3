"""Add live orders: what a session trades with, where its orders stand with the exchange, and their fills."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "add_live_orders"
down_revision: str | Sequence[str] | None = "guard_the_drawdown"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _reference(column: str, target: str, table: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.partition('.')[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name), ondelete=ondelete)


def upgrade() -> None:
    """Apply."""
    op.add_column("orders", sa.Column("exchange_order_id", sa.String(), nullable=True))
    op.add_column("orders", sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "live_sessions",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("exchange_key_id", sa.UUID(), nullable=False),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("close_positions", sa.Boolean(), nullable=True),
        sa.Column("closings", sa.Integer(), nullable=False),
        _reference("session_id", "trading_sessions.id", "live_sessions", "CASCADE"),
        _reference("exchange_key_id", "exchange_keys.id", "live_sessions"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_live_sessions")),
    )
    op.create_index(op.f("ix_live_sessions_exchange_key_id"), "live_sessions", ["exchange_key_id"])
    op.create_table(
        "live_orders",
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_version", sa.Integer(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reference_price", sa.Numeric(), nullable=True),
        sa.Column("cancel_reason", sa.String(), nullable=True),
        _reference("order_id", "orders.id", "live_orders", "CASCADE"),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_live_orders")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_live_orders_due_at", "live_orders", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_table(
        "order_fills",
        sa.Column("order_id", sa.UUID(), nullable=False),
        sa.Column("fill_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("fee", sa.Numeric(), nullable=True),
        sa.Column("fee_currency", sa.String(), nullable=True),
        sa.Column("maker", sa.Boolean(), nullable=True),
        sa.Column("cash", sa.Numeric(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        _reference("order_id", "orders.id", "order_fills", "CASCADE"),
        _reference("session_id", "trading_sessions.id", "order_fills", "CASCADE"),
        sa.PrimaryKeyConstraint("order_id", "fill_id", name=op.f("pk_order_fills")),
    )
    op.create_index(op.f("ix_order_fills_session_id"), "order_fills", ["session_id"])


def downgrade() -> None:
    """Undo; what was traded live is lost."""
    op.execute("DELETE FROM trading_sessions WHERE mode = 'LIVE'")
    op.drop_table("order_fills")
    op.drop_table("live_orders")
    op.drop_table("live_sessions")
    op.drop_column("orders", "cancel_requested_at")
    op.drop_column("orders", "exchange_order_id")
