"""Let parameter searches walk forward."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_walk_forward"
down_revision: str | Sequence[str] | None = "add_alerts"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "optimizations",
        sa.Column("walk_forward", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    )
    op.add_column("optimization_reports", sa.Column("equity", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("optimization_reports", "equity")
    op.drop_column("optimizations", "walk_forward")
