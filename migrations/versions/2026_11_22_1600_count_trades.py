"""Count trades by month, market and direction."""

import sqlalchemy as sa
from alembic import op

revision = "count_trades"
down_revision = "sum_ended_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; a worker sums all sessions that are over anew, and counts their trades as it does."""
    op.add_column(
        "session_kept_days", sa.Column("counted_trades", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_table(
        "trade_counts",
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("is_replay", sa.Boolean(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_trade_counts_market_id_markets")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_trade_counts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            *("owner_id", "period", "is_replay", "market_id", "side"), name=op.f("pk_trade_counts")
        ),
    )
    op.create_index(op.f("ix_trade_counts_market_id"), "trade_counts", ["market_id"])
    op.create_index(op.f("ix_trade_counts_user_id"), "trade_counts", ["user_id"])
    op.execute("UPDATE trading_sessions SET is_summed = false WHERE is_summed")
    op.execute("UPDATE session_kept_days SET is_final = false, looked_at = '1970-01-01' WHERE is_final")
    op.execute("UPDATE day_series SET final_sessions = 0 WHERE final_sessions <> 0")
    op.execute("TRUNCATE ended_series CASCADE")


def downgrade() -> None:
    """Revert."""
    op.drop_table("trade_counts")
    op.drop_column("session_kept_days", "counted_trades")
