"""Add webhooks and choices of channels; say for whom and for what of theirs a message is."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "add_webhooks"
down_revision: str | Sequence[str] | None = "add_optimizations"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "notification_choices",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("channels", sa.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "kind", name=op.f("pk_notification_choices")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notification_choices_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("kinds", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_webhooks_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_webhooks_user_id"), "webhooks", ["user_id"])
    # Notices of before name their users inside: they are few, and tell of seconds ago.
    op.execute("DELETE FROM outbox_messages WHERE kind = 'notice'")
    op.add_column("outbox_messages", sa.Column("user_id", sa.UUID(), nullable=True))
    op.add_column("outbox_messages", sa.Column("target_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_outbox_messages_user_id_users"),
        "outbox_messages",
        "users",
        ["user_id"],
        ["id"],
        ondelete="CASCADE",
    )


def downgrade() -> None:
    """Undo."""
    op.execute("DELETE FROM outbox_messages WHERE lane = 'webhooks' OR kind LIKE 'noti%'")
    op.drop_column("outbox_messages", "target_id")
    op.drop_column("outbox_messages", "user_id")
    for table in ("webhooks", "notification_choices"):
        op.drop_table(table)
