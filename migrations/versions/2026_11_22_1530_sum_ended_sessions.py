"""Keep sums over sessions that are over."""

import sqlalchemy as sa
from alembic import op

revision = "sum_ended_sessions"
down_revision = "keep_stops_of_endings"
branch_labels = None
depends_on = None

_MONEY = sa.Numeric(38, 18)


def _series_id(table: str) -> tuple[sa.Column[object], sa.ForeignKeyConstraint]:
    return (
        sa.Column("series_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["ended_series.id"],
            name=op.f(f"fk_{table}_series_id_ended_series"),
            ondelete="CASCADE",
        ),
    )


def upgrade() -> None:
    """Apply; a worker sums the sessions that are over when it next looks at them, which is at once."""
    op.add_column(
        "trading_sessions", sa.Column("is_summed", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_index(
        "ix_trading_sessions_unsummed",
        "trading_sessions",
        ["user_id", "id"],
        postgresql_where=sa.text("NOT is_summed"),
    )
    op.add_column("day_series", sa.Column("final_sessions", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE session_kept_days SET is_final = false, looked_at = '1970-01-01' WHERE is_final")
    op.create_table(
        "ended_series",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("bot_id", sa.UUID(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("mode", sa.String(), nullable=True),
        sa.Column("replays", sa.Boolean(), nullable=False),
        sa.Column("sessions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("held", sa.Integer(), server_default="0", nullable=False),
        sa.Column("newest", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["bot_id"], ["bots.id"], name=op.f("fk_ended_series_bot_id_bots"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_ended_series_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ended_series")),
        sa.UniqueConstraint(
            *("user_id", "bot_id", "currency", "mode", "replays"),
            name=op.f("uq_ended_series_user_id_bot_id_currency_mode_replays"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_ended_series_bot_id"), "ended_series", ["bot_id"])
    op.create_table(
        "ended_levels",
        *_series_id("ended_levels"),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("change", _MONEY, nullable=False),
        sa.Column("realized", _MONEY, nullable=False),
        sa.Column("fees", _MONEY, nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "time", name=op.f("pk_ended_levels")),
    )
    op.create_table(
        "ended_capital",
        *_series_id("ended_capital"),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("at_work", _MONEY, nullable=False),
        sa.PrimaryKeyConstraint("series_id", "time", name=op.f("pk_ended_capital")),
    )
    op.create_table(
        "ended_capital_peaks",
        *_series_id("ended_capital_peaks"),
        sa.Column("block", sa.Integer(), nullable=False),
        sa.Column("at_work", _MONEY, nullable=False),
        sa.PrimaryKeyConstraint("series_id", "block", name=op.f("pk_ended_capital_peaks")),
    )


def downgrade() -> None:
    """Revert."""
    for table in ("ended_capital_peaks", "ended_capital", "ended_levels", "ended_series"):
        op.drop_table(table)
    op.drop_column("day_series", "final_sessions")
    op.drop_index("ix_trading_sessions_unsummed", "trading_sessions")
    op.drop_column("trading_sessions", "is_summed")
