"""Add what bots decided at every bar, and why."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_decisions"
down_revision: str | Sequence[str] | None = "add_market_feeds"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "signal_log",
        sa.Column("key", sa.UUID(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("signals", sa.SmallInteger(), nullable=False),
        sa.Column("values", postgresql.JSONB(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", "time", name=op.f("pk_signal_log")),
    )
    op.create_index(op.f("ix_signal_log_noted_at"), "signal_log", ["noted_at"])
    op.create_table(
        "session_guards",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("day_start_equity", sa.Double(), nullable=False),
        sa.Column("day_entries", sa.Integer(), nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("resting_bars", sa.Integer(), nullable=False),
        sa.Column("equity", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_session_guards_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "time", name=op.f("pk_session_guards")),
    )
    op.add_column("session_states", sa.Column("signal_key", sa.UUID(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("session_states", "signal_key")
    op.drop_table("session_guards")
    op.drop_table("signal_log")
