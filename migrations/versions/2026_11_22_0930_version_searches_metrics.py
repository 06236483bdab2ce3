"""Store by which version of the metrics a search measures its trials."""

import sqlalchemy as sa
from alembic import op

revision = "version_searches_metrics"
down_revision = "fill_in_parts_on_paper"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply: whatever is there was requested under version 1."""
    op.add_column(
        "optimizations", sa.Column("metrics_version", sa.Integer(), nullable=False, server_default="1")
    )
    op.alter_column("optimizations", "metrics_version", server_default=None)


def downgrade() -> None:
    """Revert."""
    op.drop_column("optimizations", "metrics_version")
