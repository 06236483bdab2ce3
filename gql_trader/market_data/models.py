"""Tables of the market data domain."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gql_trader.infra.database import Base
from gql_trader.market_data import models_feeds as models_feeds
from gql_trader.market_data import models_syncs as models_syncs


class AssetRow(Base):
    """Something that can be owned or priced; symbols are in capitals."""

    __tablename__ = "assets"
    __table_args__ = (
        CheckConstraint("type IN ('CRYPTO', 'FIAT', 'STOCK', 'INDEX', 'FOREX', 'COMMODITY')", name="type"),
        CheckConstraint("symbol = upper(symbol)", name="symbol"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    type: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)


class MarketRow(Base):
    """A pair on a venue; the exchange is in lower case, the symbol in capitals."""

    __tablename__ = "markets"
    __table_args__ = (
        UniqueConstraint("symbol", "exchange"),
        CheckConstraint("exchange = lower(exchange)", name="exchange"),
        CheckConstraint("symbol = upper(symbol)", name="symbol"),
        CheckConstraint("price_precision BETWEEN 0 AND 18", name="price_precision"),
        CheckConstraint("amount_precision BETWEEN 0 AND 18", name="amount_precision"),
        CheckConstraint("min_amount > 0", name="min_amount"),
        CheckConstraint("min_notional > 0", name="min_notional"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    exchange: Mapped[str]
    symbol: Mapped[str]
    base_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id"), index=True)
    quote_id: Mapped[UUID] = mapped_column(ForeignKey("assets.id"), index=True)
    active: Mapped[bool] = mapped_column(default=True)
    price_precision: Mapped[int] = mapped_column(SmallInteger)
    amount_precision: Mapped[int] = mapped_column(SmallInteger)
    min_amount: Mapped[Decimal | None]
    min_notional: Mapped[Decimal | None]


class PriceSeriesRow(Base):
    """Candles of a market at an interval. Times are opening times in Unix milliseconds.

    ``open_months`` describes the months kept in ``open_candles``, as ``candle_chunks`` does its own:
    ``[{start, n, first, last, digest}]``. ``rewrites`` counts changes of any other kind than candles added
    behind the last one: as long as it stays, what was computed from the candles so far still holds.
    """

    __tablename__ = "price_series"
    __table_args__ = (
        UniqueConstraint("market_id", "interval"),
        CheckConstraint(
            "candles > 0 AND gaps >= 0 AND version > 0 AND first_time <= last_time", name="extent"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    market_id: Mapped[UUID] = mapped_column(ForeignKey("markets.id", ondelete="CASCADE"))
    interval: Mapped[str]
    version: Mapped[int]
    rewrites: Mapped[int] = mapped_column(default=0, server_default="0")
    candles: Mapped[int]
    first_time: Mapped[int] = mapped_column(BigInteger)
    last_time: Mapped[int] = mapped_column(BigInteger)
    gaps: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str]
    open_months: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    updated_at: Mapped[datetime]


class CandleChunkRow(Base):
    """One closed month of a series: columns compressed by `infra.column_codec`, never changed.

    A month that changes gets a new row under the series' new version; the old row goes in the same
    transaction. ``scale`` is the number of decimals if all prices are exact ticks.
    """

    __tablename__ = "candle_chunks"
    __table_args__ = (
        UniqueConstraint("series_id", "period_start"),
        CheckConstraint("n > 0 AND first_time <= last_time", name="extent"),
    )

    series_id: Mapped[UUID] = mapped_column(
        ForeignKey("price_series.id", ondelete="CASCADE"), primary_key=True
    )
    period_start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    first_time: Mapped[int] = mapped_column(BigInteger)
    last_time: Mapped[int] = mapped_column(BigInteger)
    codec: Mapped[int] = mapped_column(SmallInteger)
    scale: Mapped[int | None] = mapped_column(SmallInteger)
    checksum: Mapped[bytes] = mapped_column(LargeBinary)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class OpenCandleRow(Base):
    """A candle of a month that is not closed yet."""

    __tablename__ = "open_candles"

    series_id: Mapped[UUID] = mapped_column(
        ForeignKey("price_series.id", ondelete="CASCADE"), primary_key=True
    )
    time: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    open: Mapped[float]
    high: Mapped[float]
    low: Mapped[float]
    close: Mapped[float]
    volume: Mapped[float]
