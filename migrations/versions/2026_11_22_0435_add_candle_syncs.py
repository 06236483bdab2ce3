"""Add syncs of candles from exchanges, and what exchanges have been asked for."""

import sqlalchemy as sa
from alembic import op

revision = "add_candle_syncs"
down_revision = "add_bots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "candle_syncs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=True),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("fetched", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dispatch", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')",
            name=op.f("ck_candle_syncs_status"),
        ),
        sa.CheckConstraint("first_time < end_time", name=op.f("ck_candle_syncs_range")),
        sa.CheckConstraint(
            "status <> 'RUNNING' OR lease_expires_at IS NOT NULL",
            name=op.f("ck_candle_syncs_running_has_lease"),
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_candle_syncs_market_id_markets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candle_syncs")),
    )
    op.create_index(
        "ix_candle_syncs_unfinished",
        "candle_syncs",
        ["exchange", "symbol", "interval", "first_time", "end_time"],
        unique=True,
        postgresql_where=sa.text("status IN ('QUEUED', 'RUNNING')"),
    )
    op.create_index(
        "ix_candle_syncs_due_at",
        "candle_syncs",
        ["due_at"],
        postgresql_where=sa.text("status IN ('QUEUED', 'RUNNING')"),
    )
    op.create_index(op.f("ix_candle_syncs_market_id"), "candle_syncs", ["market_id"])
    op.create_table(
        "candle_sync_requests",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("sync_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_candle_sync_requests_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sync_id"],
            ["candle_syncs.id"],
            name=op.f("fk_candle_sync_requests_sync_id_candle_syncs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "sync_id", name=op.f("pk_candle_sync_requests")),
    )
    op.create_index(op.f("ix_candle_sync_requests_sync_id"), "candle_sync_requests", ["sync_id"])
    op.create_table(
        "candle_coverage",
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("start_time < end_time", name=op.f("ck_candle_coverage_range")),
        sa.ForeignKeyConstraint(
            ["market_id"],
            ["markets.id"],
            name=op.f("fk_candle_coverage_market_id_markets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("market_id", "interval", "start_time", name=op.f("pk_candle_coverage")),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("candle_coverage")
    op.drop_table("candle_sync_requests")
    op.drop_table("candle_syncs")
