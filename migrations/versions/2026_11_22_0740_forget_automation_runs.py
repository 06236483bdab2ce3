"""Find the runs of automations that ended long ago."""

import sqlalchemy as sa
from alembic import op

revision = "forget_automation_runs"
down_revision = "compare_live_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_automation_runs_ended",
        "automation_runs",
        ["finished_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_index("ix_automation_runs_ended", "automation_runs")
