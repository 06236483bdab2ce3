"""Add what was gained on each day of users."""

import sqlalchemy as sa
from alembic import op

revision = "add_daily_profits"
down_revision = "add_balances"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "daily_profits",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("before", sa.Numeric(38, 18), nullable=False),
        sa.Column("change", sa.Numeric(38, 18), nullable=False),
        sa.Column("realized", sa.Numeric(38, 18), nullable=False),
        sa.Column("fees", sa.Numeric(38, 18), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.Column("summed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_daily_profits_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_daily_profits")),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("daily_profits")
