"""Add balances by the clock."""

import sqlalchemy as sa
from alembic import op

revision = "add_balances"
down_revision = "add_session_rollups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "balance_clocks",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("snapshot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("day_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            sa.Computed("LEAST(snapshot_at, heartbeat_at, day_at)", persisted=True),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_balance_clocks_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_balance_clocks")),
    )
    op.create_index("ix_balance_clocks_due_at", "balance_clocks", ["due_at"])
    # Its partitions are made by the workers, month by month.
    op.create_table(
        "balance_snapshots",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("baseline", sa.Numeric(38, 18), nullable=False),
        sa.Column("profit", sa.Numeric(38, 18), nullable=False),
        sa.CheckConstraint("kind IN ('SNAPSHOT', 'HEARTBEAT')", name=op.f("ck_balance_snapshots_kind")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_balance_snapshots_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "time", name=op.f("pk_balance_snapshots")),
        postgresql_partition_by="RANGE (time)",
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("balance_snapshots")
    op.drop_table("balance_clocks")
