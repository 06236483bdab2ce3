"""Let one worker follow the stream of a live feed."""

import sqlalchemy as sa
from alembic import op

revision = "watch_market_feeds"
down_revision = "add_decisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("market_feeds", sa.Column("watch_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "market_feeds", sa.Column("watch_fence", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.alter_column("market_feeds", "watch_fence", server_default=None)


def downgrade() -> None:
    """Revert."""
    op.drop_column("market_feeds", "watch_fence")
    op.drop_column("market_feeds", "watch_expires_at")
