"""Keep stops of live sessions that are ended until they may be closed; tell of unknown orders once."""

import sqlalchemy as sa
from alembic import op

revision = "keep_stops_of_endings"
down_revision = "count_rewrites"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("live_markets", sa.Column("least_amount", sa.Numeric()))
    op.add_column("live_markets", sa.Column("least_cost", sa.Numeric()))
    op.add_column("live_markets", sa.Column("closings", sa.Integer(), server_default="0", nullable=False))
    op.add_column("live_markets", sa.Column("left_stop", sa.Integer()))
    op.drop_column("live_sessions", "closings")
    op.add_column(
        "live_orders", sa.Column("taken_back", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("live_orders", sa.Column("told_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Revert."""
    op.drop_column("live_orders", "told_at")
    op.drop_column("live_orders", "taken_back")
    op.add_column("live_sessions", sa.Column("closings", sa.Integer(), server_default="0", nullable=False))
    op.alter_column("live_sessions", "closings", server_default=None)
    op.drop_column("live_markets", "left_stop")
    op.drop_column("live_markets", "closings")
    op.drop_column("live_markets", "least_cost")
    op.drop_column("live_markets", "least_amount")
