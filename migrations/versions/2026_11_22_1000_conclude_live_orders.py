"""Note steps of amounts, answers that an order is not known, and stops that failed bots leave."""

import sqlalchemy as sa
from alembic import op

revision = "conclude_live_orders"
down_revision = "version_searches_metrics"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("live_markets", sa.Column("amount_step", sa.Numeric(), nullable=True))
    op.execute(
        "UPDATE live_markets SET amount_step = live_bots.amount_step FROM live_bots, trading_sessions"
        " WHERE live_bots.session_id = live_markets.session_id"
        " AND trading_sessions.id = live_markets.session_id"
        " AND trading_sessions.market_id = live_markets.market_id"
    )
    op.add_column("live_orders", sa.Column("absences", sa.Integer(), server_default="0", nullable=False))
    op.add_column("live_orders", sa.Column("absent_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("live_bots", sa.Column("left_stop", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("live_bots", "left_stop")
    op.drop_column("live_orders", "absent_since")
    op.drop_column("live_orders", "absences")
    op.drop_column("live_markets", "amount_step")
