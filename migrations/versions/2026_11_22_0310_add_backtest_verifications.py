"""Add verifications: what came of running a backtest again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_backtest_verifications"
down_revision: str | Sequence[str] | None = "add_external_identities"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "backtest_verifications",
        sa.Column("backtest_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("differences", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED')",
            name=op.f("ck_backtest_verifications_status"),
        ),
        sa.CheckConstraint(
            "(status = 'COMPLETED') = (differences IS NOT NULL)",
            name=op.f("ck_backtest_verifications_completed_has_differences"),
        ),
        sa.ForeignKeyConstraint(
            ["backtest_id"],
            ["backtests.id"],
            name=op.f("fk_backtest_verifications_backtest_id_backtests"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("backtest_id", name=op.f("pk_backtest_verifications")),
    )
    op.create_index(
        "ix_backtest_verifications_unfinished",
        "backtest_verifications",
        ["requested_at"],
        unique=False,
        postgresql_where="status IN ('QUEUED', 'RUNNING')",
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("backtest_verifications")
