"""Let sessions by hand on paper fill orders in parts."""

import sqlalchemy as sa
from alembic import op

revision = "fill_in_parts_on_paper"
down_revision = "add_live_bots"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("trading_sessions", sa.Column("volume_share", sa.Float(), nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("trading_sessions", "volume_share")
