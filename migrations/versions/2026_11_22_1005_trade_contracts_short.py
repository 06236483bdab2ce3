"""Let live bots trade contracts in both directions."""

import sqlalchemy as sa
from alembic import op

revision = "trade_contracts_short"
down_revision = "conclude_live_orders"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("bots", sa.Column("contracts", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("live_bots", "highest", new_column_name="best")
    op.add_column("live_bots", sa.Column("entering", sa.String(), nullable=True))
    op.add_column("live_bots", sa.Column("entering_at", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        op.f("ck_live_bots_entry_is_whole"), "live_bots", "(entering IS NULL) = (entering_at IS NULL)"
    )


def downgrade() -> None:
    """Revert."""
    op.drop_constraint(op.f("ck_live_bots_entry_is_whole"), "live_bots", type_="check")
    op.drop_column("live_bots", "entering_at")
    op.drop_column("live_bots", "entering")
    op.alter_column("live_bots", "best", new_column_name="highest")
    op.drop_column("bots", "contracts")
