"""Sum the days of sessions."""

import sqlalchemy as sa
from alembic import op

revision = "sum_days_of_sessions"
down_revision = "count_third_fees"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply; a worker keeps all days anew, which are sums of rows that stay where they are."""
    op.execute("TRUNCATE session_days, session_kept_days")
    op.create_index(
        "ix_session_days_change",
        "session_days",
        ["session_id", "change", "day"],
        postgresql_where=sa.text("change <> 0"),
    )
    op.create_table(
        "day_series",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("bot_id", sa.UUID(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("mode", sa.String(), nullable=True),
        sa.Column("replays", sa.Boolean(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bot_id"], ["bots.id"], name=op.f("fk_day_series_bot_id_bots"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_day_series_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_series")),
        sa.UniqueConstraint(
            *("user_id", "bot_id", "currency", "mode", "replays", "timezone"),
            name=op.f("uq_day_series_user_id_bot_id_currency_mode_replays_timezone"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_day_series_bot_id"), "day_series", ["bot_id"])
    op.create_table(
        "series_days",
        sa.Column("series_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("change", sa.Numeric(38, 18), nullable=False),
        sa.Column("realized", sa.Numeric(38, 18), nullable=False),
        sa.Column("fees", sa.Numeric(38, 18), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["day_series.id"],
            name=op.f("fk_series_days_series_id_day_series"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("series_id", "day", name=op.f("pk_series_days")),
    )
    op.create_index(
        "ix_series_days_change",
        "series_days",
        ["series_id", "change", "day"],
        postgresql_where=sa.text("change <> 0"),
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("series_days")
    op.drop_table("day_series")
    op.drop_index("ix_session_days_change", "session_days")
