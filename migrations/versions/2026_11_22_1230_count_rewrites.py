"""Count changes of candles that are not added behind the last one."""

import sqlalchemy as sa
from alembic import op

revision = "count_rewrites"
down_revision = "sum_days_of_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("price_series", sa.Column("rewrites", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Revert."""
    op.drop_column("price_series", "rewrites")
