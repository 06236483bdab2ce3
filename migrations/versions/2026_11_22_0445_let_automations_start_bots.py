"""Let automations start and stop bots."""

import sqlalchemy as sa
from alembic import op

revision = "let_automations_start_bots"
down_revision = "add_candle_syncs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("automations", sa.Column("bot_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_automations_bot_id_bots"), "automations", "bots", ["bot_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index(op.f("ix_automations_bot_id"), "automations", ["bot_id"])
    op.drop_constraint(op.f("ck_automations_action"), "automations", type_="check")
    op.create_check_constraint(
        op.f("ck_automations_action"), "automations", "action IN ('BACKTEST', 'BOT_START', 'BOT_STOP')"
    )
    op.create_check_constraint(
        op.f("ck_automations_bot_is_named"), "automations", "action = 'BACKTEST' OR bot_id IS NOT NULL"
    )


def downgrade() -> None:
    """Revert; automations of bots are lost."""
    op.execute("DELETE FROM automations WHERE action <> 'BACKTEST'")
    op.drop_constraint(op.f("ck_automations_bot_is_named"), "automations", type_="check")
    op.drop_constraint(op.f("ck_automations_action"), "automations", type_="check")
    op.create_check_constraint(op.f("ck_automations_action"), "automations", "action IN ('BACKTEST')")
    op.drop_index(op.f("ix_automations_bot_id"), "automations")
    op.drop_constraint(op.f("fk_automations_bot_id_bots"), "automations", type_="foreignkey")
    op.drop_column("automations", "bot_id")
