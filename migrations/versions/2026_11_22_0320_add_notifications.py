"""Add notifications and devices, and lanes of the outbox."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "add_notifications"
down_revision: str | Sequence[str] | None = "add_backtest_verifications"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "notification_feeds",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_notification_feeds")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notification_feeds_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("user_id", "number", name=op.f("uq_notifications_user_id_number")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notifications_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_notifications_created_at"), "notifications", ["created_at"])
    op.create_index(
        "ix_notifications_unread",
        "notifications",
        ["user_id", "number"],
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("platform", sa.String(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("platform IN ('IOS', 'ANDROID', 'WEB')", name=op.f("ck_devices_platform")),
        sa.CheckConstraint("octet_length(token_hash) = 32", name=op.f("ck_devices_token_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_devices_token_hash")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_devices_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_devices_user_id"), "devices", ["user_id"])
    # What is in the outbox are mails.
    op.add_column("outbox_messages", sa.Column("lane", sa.String(), nullable=False, server_default="mail"))
    op.alter_column("outbox_messages", "lane", server_default=None)
    op.drop_index("ix_outbox_messages_due", table_name="outbox_messages")
    op.create_index(
        "ix_outbox_messages_due",
        "outbox_messages",
        ["lane", "next_attempt_at"],
        postgresql_where=sa.text("failed_at IS NULL"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_outbox_messages_due", table_name="outbox_messages")
    op.execute("DELETE FROM outbox_messages WHERE lane <> 'mail'")
    op.drop_column("outbox_messages", "lane")
    op.create_index(
        "ix_outbox_messages_due",
        "outbox_messages",
        ["next_attempt_at"],
        postgresql_where=sa.text("failed_at IS NULL"),
    )
    for table in ("devices", "notifications", "notification_feeds"):
        op.drop_table(table)
