"""Note what the fees of live fills are counted as, and when funding was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "count_third_fees"
down_revision = "keep_session_days"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("order_fills", sa.Column("fee_worth", sa.Numeric(), nullable=True))
    op.add_column("live_accounts", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))
    # In a third currency nothing was counted until now.
    op.execute(
        "UPDATE order_fills SET fee_worth = order_fills.fee"
        " FROM orders, markets, assets WHERE orders.id = order_fills.order_id"
        " AND markets.id = orders.market_id AND assets.id = markets.quote_id"
        " AND order_fills.fee_currency = assets.symbol"
    )
    op.execute(
        "UPDATE order_fills SET fee_worth = round(order_fills.fee * order_fills.price, 8)"
        " FROM orders, markets, assets WHERE orders.id = order_fills.order_id"
        " AND markets.id = orders.market_id AND assets.id = markets.base_id"
        " AND order_fills.fee_currency = assets.symbol"
    )


def downgrade() -> None:
    """Revert."""
    op.drop_column("live_accounts", "asked_at")
    op.drop_column("order_fills", "fee_worth")
