"""Add what bots need to trade live: their keys, and what they are about to do."""

import sqlalchemy as sa
from alembic import op

revision = "add_live_bots"
down_revision = "compare_with_each_key"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("bots", sa.Column("exchange_key_id", sa.Uuid(), nullable=True))
    op.add_column("bots", sa.Column("transfer_amount", sa.Numeric(38, 18), nullable=True))
    op.add_column(
        "bots",
        sa.Column("auto_transfer_funds", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_foreign_key(
        op.f("fk_bots_exchange_key_id_exchange_keys"),
        "bots",
        "exchange_keys",
        ["exchange_key_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index(op.f("ix_bots_exchange_key_id"), "bots", ["exchange_key_id"])
    op.create_table(
        "live_bots",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("exiting", sa.String(), nullable=True),
        sa.Column("exit_at", sa.BigInteger(), nullable=True),
        sa.Column("exit_orders", sa.Integer(), nullable=False),
        sa.Column("highest", sa.Float(), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.Column("amount_step", sa.Numeric(), nullable=True),
        sa.Column("price_tick", sa.Numeric(), nullable=True),
        sa.Column("least_amount", sa.Numeric(), nullable=True),
        sa.Column("least_cost", sa.Numeric(), nullable=True),
        sa.CheckConstraint("(exiting IS NULL) = (exit_at IS NULL)", name=op.f("ck_live_bots_exit_is_whole")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_live_bots_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_live_bots")),
    )
    op.create_index(
        "ix_live_bots_check_at", "live_bots", ["check_at"], postgresql_where=sa.text("check_at IS NOT NULL")
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("live_bots")
    op.drop_index(op.f("ix_bots_exchange_key_id"), table_name="bots")
    op.drop_constraint(op.f("fk_bots_exchange_key_id_exchange_keys"), "bots", type_="foreignkey")
    op.drop_column("bots", "auto_transfer_funds")
    op.drop_column("bots", "transfer_amount")
    op.drop_column("bots", "exchange_key_id")
