"""Look at the contracts of live accounts: funding payments, and what is missing there."""

import sqlalchemy as sa
from alembic import op

revision = "look_at_live_accounts"
down_revision = "trade_contracts_short"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("live_markets", sa.Column("exchange_key_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_live_markets_exchange_key_id_exchange_keys"),
        "live_markets",
        "exchange_keys",
        ["exchange_key_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index(op.f("ix_live_markets_exchange_key_id"), "live_markets", ["exchange_key_id"])
    op.create_table(
        "live_accounts",
        sa.Column("exchange_key_id", sa.Uuid(), nullable=False),
        sa.Column("market_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("foreign_amount", sa.Numeric(), nullable=False),
        sa.Column("missing", sa.Numeric(), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exchange_key_id"],
            ["exchange_keys.id"],
            name=op.f("fk_live_accounts_exchange_key_id_exchange_keys"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_live_accounts_market_id_markets")
        ),
        sa.PrimaryKeyConstraint("exchange_key_id", "market_id", name=op.f("pk_live_accounts")),
    )
    op.create_table(
        "funding_payments",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("market_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["trading_sessions.id"],
            name=op.f("fk_funding_payments_session_id_trading_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_funding_payments_market_id_markets")
        ),
        sa.PrimaryKeyConstraint("session_id", "payment_id", name=op.f("pk_funding_payments")),
    )
    # Sessions that trade contracts already are looked at from now on.
    op.execute(
        "UPDATE live_markets SET exchange_key_id = live_sessions.exchange_key_id FROM live_sessions"
        " WHERE live_sessions.session_id = live_markets.session_id AND live_sessions.leverage IS NOT NULL"
    )
    op.execute(
        "INSERT INTO live_accounts"
        " (exchange_key_id, market_id, due_at, paid_until, agreed_at, foreign_amount, looks, told)"
        " SELECT DISTINCT exchange_key_id, market_id, now(), now(), now(), 0, 0, false FROM live_markets"
        " WHERE exchange_key_id IS NOT NULL"
    )


def downgrade() -> None:
    """Revert."""
    op.drop_table("funding_payments")
    op.drop_table("live_accounts")
    op.drop_index(op.f("ix_live_markets_exchange_key_id"), table_name="live_markets")
    op.drop_constraint(
        op.f("fk_live_markets_exchange_key_id_exchange_keys"), "live_markets", type_="foreignkey"
    )
    op.drop_column("live_markets", "exchange_key_id")
