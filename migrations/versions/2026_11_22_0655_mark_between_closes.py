"""Value the positions of bots between the closes of bars."""

import sqlalchemy as sa
from alembic import op

revision = "mark_between_closes"
down_revision = "forget_automation_runs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "trading_sessions",
        sa.Column("check_seconds", sa.Integer(), nullable=False, server_default=sa.text("60")),
    )
    op.add_column("tick_leases", sa.Column("check_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tick_leases_check_at",
        "tick_leases",
        ["check_at"],
        postgresql_where=sa.text("check_at IS NOT NULL"),
    )
    op.create_table(
        "session_marks",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("last_bar_time", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Float(), nullable=False),
        sa.Column("priced_at", sa.BigInteger(), nullable=False),
        sa.Column("equity", sa.Float(), nullable=False),
        sa.Column("exit_reason", sa.String(), nullable=True),
        sa.Column("exit_price", sa.Float(), nullable=True),
        sa.Column("exit_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(exit_reason IS NULL) = (exit_price IS NULL) AND (exit_reason IS NULL) = (exit_seen_at IS NULL)",
            name=op.f("ck_session_marks_exit_is_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_session_marks_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_marks")),
        postgresql_with={"fillfactor": "60"},
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("session_marks")
    op.drop_index("ix_tick_leases_check_at", table_name="tick_leases")
    op.drop_column("tick_leases", "check_at")
    op.drop_column("trading_sessions", "check_seconds")
