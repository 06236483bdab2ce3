"""Let an account be compared again once the key was rotated: it may be another one."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "compare_with_each_key"
down_revision: str | Sequence[str] | None = "mark_between_closes"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.add_column("live_markets", sa.Column("key_version", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("live_markets", "key_version")
