"""Remember whom an identity provider shuts out."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "remember_bans_of_identities"
down_revision: str | Sequence[str] | None = "add_webhooks"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CHECK = "ck_external_identities_user_id"


def upgrade() -> None:
    """Apply."""
    op.add_column("external_identities", sa.Column("banned_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f(_CHECK), "external_identities")
    op.create_check_constraint(
        op.f(_CHECK),
        "external_identities",
        "user_id IS NOT NULL OR deleted_at IS NOT NULL OR banned_at IS NOT NULL",
    )


def downgrade() -> None:
    """Undo."""
    op.execute("DELETE FROM external_identities WHERE user_id IS NULL AND deleted_at IS NULL")
    op.drop_constraint(op.f(_CHECK), "external_identities")
    op.create_check_constraint(
        op.f(_CHECK), "external_identities", "user_id IS NOT NULL OR deleted_at IS NOT NULL"
    )
    op.drop_column("external_identities", "banned_at")
