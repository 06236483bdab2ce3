"""Add trading settings, their presets, and preferences."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "add_settings"
down_revision = "add_notifications"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "default_settings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_default_settings_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_default_settings")),
    )
    op.create_table(
        "user_settings",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("exchange_key", sa.LargeBinary(), nullable=True),
        sa.Column("exchange_key_masked", sa.String(), nullable=True),
        sa.Column("exchange_secret", sa.LargeBinary(), nullable=True),
        sa.Column("exchange_password", sa.LargeBinary(), nullable=True),
        sa.Column("telegram_token", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_settings_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_settings")),
    )
    op.create_table(
        "settings_presets",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_settings_presets_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settings_presets")),
        sa.UniqueConstraint("user_id", "name_key", name=op.f("uq_settings_presets_user_id_name_key")),
    )
    op.create_table(
        "user_preferences",
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("default_mode", sa.String(), nullable=False),
        sa.Column("default_capital", sa.Numeric(38, 18), nullable=False),
        sa.Column("risk_per_trade", sa.Float(), nullable=False),
        sa.Column("max_drawdown", sa.Float(), nullable=False),
        sa.Column("notifications", sa.Boolean(), nullable=False),
        sa.Column("theme", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "default_mode IN ('PAPER', 'LIVE')", name=op.f("ck_user_preferences_default_mode")
        ),
        sa.CheckConstraint("default_capital > 0", name=op.f("ck_user_preferences_default_capital")),
        sa.CheckConstraint(
            "risk_per_trade > 0 AND risk_per_trade <= 1", name=op.f("ck_user_preferences_risk_per_trade")
        ),
        sa.CheckConstraint(
            "max_drawdown > 0 AND max_drawdown <= 1", name=op.f("ck_user_preferences_max_drawdown")
        ),
        sa.CheckConstraint("theme IN ('LIGHT', 'DARK', 'SYSTEM')", name=op.f("ck_user_preferences_theme")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_preferences_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_user_preferences")),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("user_preferences")
    op.drop_table("settings_presets")
    op.drop_table("user_settings")
    op.drop_table("default_settings")
