"""Add chats in which bots cannot write, and an index of dead letters."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "add_telegram_blocks"
down_revision: str | Sequence[str] | None = "remember_bans_of_identities"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "telegram_blocks",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(fingerprint) = 32", name=op.f("ck_telegram_blocks_fingerprint")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_telegram_blocks")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_telegram_blocks_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index(
        "ix_outbox_messages_dead",
        "outbox_messages",
        ["id"],
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_outbox_messages_dead", table_name="outbox_messages")
    op.execute("DELETE FROM outbox_messages WHERE lane IN ('push', 'telegram')")
    op.drop_table("telegram_blocks")
