"""Keep apart what users prefer and what they have not said, since only the former prefills anything."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "let_preferences_be_unsaid"
down_revision: str | Sequence[str] | None = "add_orders_by_hand"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What was stored for who had said something else only.
_USUAL = {"risk_per_trade": 0.01, "max_drawdown": 0.2}


def upgrade() -> None:
    """Apply."""
    for name, usual in _USUAL.items():
        op.alter_column("user_preferences", name, nullable=True)
        column = sa.column(name, sa.Float())
        table = sa.table("user_preferences", column)
        op.execute(table.update().where(column == usual).values({name: None}))


def downgrade() -> None:
    """Undo."""
    for name, usual in _USUAL.items():
        column = sa.column(name, sa.Float())
        table = sa.table("user_preferences", column)
        op.execute(table.update().where(column.is_(None)).values({name: usual}))
        op.alter_column("user_preferences", name, nullable=False)
