"""Add the funding that backtests paid, and the smallest orders of markets."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "complete_execution"
down_revision: str | Sequence[str] | None = "add_settings"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column("backtests", sa.Column("funding_paid", sa.Numeric(precision=38, scale=18), nullable=True))
    # The engine knew no funding before.
    op.execute("UPDATE backtests SET funding_paid = 0 WHERE status = 'COMPLETED'")
    for name in ("min_amount", "min_notional"):
        op.add_column("markets", sa.Column(name, sa.Numeric(precision=38, scale=18), nullable=True))
        op.create_check_constraint(op.f(f"ck_markets_{name}"), "markets", f"{name} > 0")


def downgrade() -> None:
    """Revert."""
    for name in ("min_amount", "min_notional"):
        op.drop_constraint(op.f(f"ck_markets_{name}"), "markets")
        op.drop_column("markets", name)
    op.drop_column("backtests", "funding_paid")
