"""Add live feeds of candles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "add_market_feeds"
down_revision = "let_automations_start_bots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "market_feeds",
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("wanted_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("last_time", sa.BigInteger(), nullable=True),
        sa.Column("holes", postgresql.JSONB(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_poll_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('CATCHING_UP', 'LIVE', 'LATE', 'FAILING')", name=op.f("ck_market_feeds_state")
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_market_feeds_market_id_markets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("market_id", "interval", name=op.f("pk_market_feeds")),
    )
    op.create_index("ix_market_feeds_next_poll_at", "market_feeds", ["next_poll_at"])


def downgrade() -> None:
    """Revert."""
    op.drop_table("market_feeds")
