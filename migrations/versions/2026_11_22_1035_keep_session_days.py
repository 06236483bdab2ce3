"""Keep the days of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "keep_session_days"
down_revision = "look_at_live_accounts"
branch_labels = None
depends_on = None


def _of_session(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_session_id_trading_sessions")
    return sa.ForeignKeyConstraint(["session_id"], ["trading_sessions.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    """Apply; a worker keeps the days that there are."""
    op.create_table(
        "session_days",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("change", sa.Numeric(38, 18), nullable=False),
        sa.Column("realized", sa.Numeric(38, 18), nullable=False),
        sa.Column("fees", sa.Numeric(38, 18), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        _of_session("session_days"),
        sa.PrimaryKeyConstraint("session_id", "day", name=op.f("pk_session_days")),
    )
    op.create_table(
        "session_kept_days",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=False),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        _of_session("session_kept_days"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_kept_days")),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("session_kept_days")
    op.drop_table("session_days")
