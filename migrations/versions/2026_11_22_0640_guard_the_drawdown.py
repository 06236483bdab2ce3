"""Keep what the guard of the drawdown looks at."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "guard_the_drawdown"
down_revision: str | Sequence[str] | None = "let_preferences_be_unsaid"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = ("session_states", "session_guards")


def upgrade() -> None:
    """Apply."""
    for table in _TABLES:
        # The default only fills the rows that are there: their sessions have no such guard.
        op.add_column(table, sa.Column("peak_equity", sa.Float(), nullable=False, server_default="0"))
        op.add_column(table, sa.Column("drawn_down", sa.Boolean(), nullable=False, server_default="false"))
        for name in ("peak_equity", "drawn_down"):
            op.alter_column(table, name, server_default=None)


def downgrade() -> None:
    """Undo."""
    for table in _TABLES:
        op.drop_column(table, "drawn_down")
        op.drop_column(table, "peak_equity")
