"""Add alerts."""

import sqlalchemy as sa
from alembic import op

revision = "add_alerts"
down_revision = "add_automations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("market_id", sa.UUID(), nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("last_bar", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("last_triggered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_alerts_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["market_id"], ["markets.id"], name=op.f("fk_alerts_market_id_markets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index("ix_alerts_user_created", "alerts", ["user_id", "created_at", "id"])
    op.create_index(
        "ix_alerts_active_market",
        "alerts",
        ["market_id", "interval"],
        postgresql_where=sa.text("active"),
    )
    op.create_index(op.f("ix_alerts_market_id"), "alerts", ["market_id"])


def downgrade() -> None:
    """Revert."""
    op.drop_table("alerts")
