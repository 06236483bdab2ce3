"""Add assets, markets and their candles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "add_market_data"
down_revision = "add_accounts"
branch_labels = None
depends_on = None

UUID = postgresql.UUID(as_uuid=True)


def upgrade() -> None:
    op.create_table(
        "assets",
        sa.Column("id", UUID, nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("symbol", name=op.f("uq_assets_symbol")),
        sa.CheckConstraint(
            "type IN ('CRYPTO', 'FIAT', 'STOCK', 'INDEX', 'FOREX', 'COMMODITY')", name=op.f("ck_assets_type")
        ),
        sa.CheckConstraint("symbol = upper(symbol)", name=op.f("ck_assets_symbol")),
    )
    op.create_table(
        "markets",
        sa.Column("id", UUID, nullable=False),
        sa.Column("exchange", sa.String(), nullable=False),
        sa.Column("symbol", sa.String(), nullable=False),
        sa.Column("base_id", UUID, nullable=False),
        sa.Column("quote_id", UUID, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("price_precision", sa.SmallInteger(), nullable=False),
        sa.Column("amount_precision", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_markets")),
        sa.UniqueConstraint("symbol", "exchange", name=op.f("uq_markets_symbol_exchange")),
        sa.ForeignKeyConstraint(["base_id"], ["assets.id"], name=op.f("fk_markets_base_id_assets")),
        sa.ForeignKeyConstraint(["quote_id"], ["assets.id"], name=op.f("fk_markets_quote_id_assets")),
        sa.CheckConstraint("exchange = lower(exchange)", name=op.f("ck_markets_exchange")),
        sa.CheckConstraint("symbol = upper(symbol)", name=op.f("ck_markets_symbol")),
        sa.CheckConstraint("price_precision BETWEEN 0 AND 18", name=op.f("ck_markets_price_precision")),
        sa.CheckConstraint("amount_precision BETWEEN 0 AND 18", name=op.f("ck_markets_amount_precision")),
    )
    op.create_index(op.f("ix_markets_base_id"), "markets", ["base_id"])
    op.create_index(op.f("ix_markets_quote_id"), "markets", ["quote_id"])
    op.create_table(
        "price_series",
        sa.Column("id", UUID, nullable=False),
        sa.Column("market_id", UUID, nullable=False),
        sa.Column("interval", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("candles", sa.Integer(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("gaps", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("open_months", postgresql.JSONB(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_price_series")),
        sa.UniqueConstraint("market_id", "interval", name=op.f("uq_price_series_market_id_interval")),
        sa.ForeignKeyConstraint(
            ["market_id"], ["markets.id"], name=op.f("fk_price_series_market_id_markets"), ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "candles > 0 AND gaps >= 0 AND version > 0 AND first_time <= last_time",
            name=op.f("ck_price_series_extent"),
        ),
    )
    op.create_table(
        "candle_chunks",
        sa.Column("series_id", UUID, nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("first_time", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.Column("codec", sa.SmallInteger(), nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=True),
        sa.Column("checksum", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "period_start", "version", name=op.f("pk_candle_chunks")),
        sa.UniqueConstraint(
            "series_id", "period_start", name=op.f("uq_candle_chunks_series_id_period_start")
        ),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["price_series.id"],
            name=op.f("fk_candle_chunks_series_id_price_series"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("n > 0 AND first_time <= last_time", name=op.f("ck_candle_chunks_extent")),
    )
    # The columns are compressed already; trying again would only cost time on every read and write.
    op.execute("ALTER TABLE candle_chunks ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "open_candles",
        sa.Column("series_id", UUID, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in ("open", "high", "low", "close", "volume")),
        sa.PrimaryKeyConstraint("series_id", "time", name=op.f("pk_open_candles")),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["price_series.id"],
            name=op.f("fk_open_candles_series_id_price_series"),
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    for table in ("open_candles", "candle_chunks", "price_series", "markets", "assets"):
        op.drop_table(table)
