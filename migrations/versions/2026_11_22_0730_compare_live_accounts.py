"""Let live sessions trade a market once the account was compared, and contracts with leverage."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "compare_live_accounts"
down_revision: str | Sequence[str] | None = "add_daily_profits"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column("live_sessions", sa.Column("leverage", sa.Integer(), nullable=True))
    op.add_column("live_sessions", sa.Column("margin_mode", sa.String(), nullable=True))
    op.add_column("live_sessions", sa.Column("funds", sa.Numeric(), nullable=True))
    op.create_table(
        "live_markets",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("mismatch", sa.String(), nullable=True),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_live_markets_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_live_markets_market_id_markets")
        ),
        sa.PrimaryKeyConstraint("session_id", "market_id", name=op.f("pk_live_markets")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("live_markets")
    op.drop_column("live_sessions", "funds")
    op.drop_column("live_sessions", "margin_mode")
    op.drop_column("live_sessions", "leverage")
