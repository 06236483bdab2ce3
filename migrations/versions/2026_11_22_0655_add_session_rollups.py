"""Add figures of sessions over time, made of what is known of those that there are."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "add_session_rollups"
down_revision: str | Sequence[str] | None = "add_live_orders"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The last point of each quarter of an hour, with the trades that were closed until its end.
_ROLLUPS = """
WITH marks AS (
    SELECT session_id, time, equity, 0 AS profit, 0 AS fees, 0 AS trades, 0 AS wins FROM session_equity
    UNION ALL
    SELECT session_id, floor(extract(epoch FROM exit_time) * 1000)::bigint, NULL, profit, fees, 1,
           (profit > 0)::int
    FROM trades WHERE exit_time IS NOT NULL
), quarters AS (
    SELECT session_id, time - time % 900000 AS quarter,
           (array_agg(equity ORDER BY time DESC) FILTER (WHERE equity IS NOT NULL))[1] AS equity,
           sum(profit) AS profit, sum(fees) AS fees, sum(trades) AS trades, sum(wins) AS wins
    FROM marks GROUP BY 1, 2
), sums AS (
    SELECT session_id, quarter, equity, sum(profit) OVER w AS profit, sum(fees) OVER w AS fees,
           sum(trades) OVER w AS trades, sum(wins) OVER w AS wins
    FROM quarters WINDOW w AS (PARTITION BY session_id ORDER BY quarter)
)
INSERT INTO session_rollups (session_id, time, equity, profit, fees, trades, wins)
SELECT session_id, quarter, round(equity::text::numeric, 8), profit, fees, trades, wins
FROM sums WHERE equity IS NOT NULL
"""
_TOTALS = """
INSERT INTO session_totals (session_id, profit, fees, trades, wins)
SELECT session_id, sum(profit), sum(fees), count(*), count(*) FILTER (WHERE profit > 0)
FROM trades WHERE exit_time IS NOT NULL GROUP BY session_id
"""


def _sums() -> list[sa.Column[object]]:
    return [
        sa.Column("profit", sa.Numeric(38, 18), nullable=False),
        sa.Column("fees", sa.Numeric(38, 18), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("wins", sa.Integer(), nullable=False),
    ]


def _of_session(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_session_id_trading_sessions")
    return sa.ForeignKeyConstraint(["session_id"], ["trading_sessions.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "session_rollups",
        sa.Column("session_id", sa.UUID(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("equity", sa.Numeric(38, 18), nullable=False),
        *_sums(),
        _of_session("session_rollups"),
        sa.PrimaryKeyConstraint("session_id", "time", name=op.f("pk_session_rollups")),
    )
    op.create_table(
        "session_totals",
        sa.Column("session_id", sa.UUID(), nullable=False),
        *_sums(),
        _of_session("session_totals"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_totals")),
    )
    op.execute(_ROLLUPS)
    op.execute(_TOTALS)
    op.create_index("ix_trades_user_id_entry_time_id", "trades", ["user_id", "entry_time", "id"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_trades_user_id_entry_time_id", "trades")
    op.drop_table("session_totals")
    op.drop_table("session_rollups")
