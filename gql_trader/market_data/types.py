"""Enums and records of the market data domain."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gql_trader.core.ids import AssetId, MarketId, SeriesId
from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars

BARS_CLOSED = "bars_closed"
"""Job to hand to the queue `BARS_CLOSED_QUEUE` once new bars of a market are stored, so that bots trade them
at once: its arguments are the market's id as text and the name of the interval of the bars. Whoever does
not is only slower, since the workers also look by themselves."""

BARS_CLOSED_QUEUE = "bots"

DEMO_EXCHANGE = "demo"
"""The venue of simulated prices; real venues are preferred to it where a symbol is on both."""


class AssetType(StrEnum):
    """What kind of thing an asset is."""

    CRYPTO = "CRYPTO"
    FIAT = "FIAT"
    STOCK = "STOCK"
    INDEX = "INDEX"
    FOREX = "FOREX"
    COMMODITY = "COMMODITY"


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """Something that can be owned or priced."""

    id: AssetId
    symbol: str
    name: str
    type: AssetType
    active: bool


@dataclass(frozen=True, slots=True)
class MarketRecord:
    """One tradable pair on one venue.

    Attributes
    ----------
    symbol
        ``BASE/QUOTE`` in capitals.
    price_precision, amount_precision
        Decimal places of prices, and of quantities of the base asset.
    min_amount, min_notional
        Smallest order, in the base and in the quote asset; None: none is known.
    """

    id: MarketId
    exchange: str
    symbol: str
    base_id: AssetId
    quote_id: AssetId
    active: bool
    price_precision: int
    amount_precision: int
    min_amount: Decimal | None = None
    min_notional: Decimal | None = None

    @property
    def name(self) -> str:
        """The market as users name it: ``exchange:BASE/QUOTE``."""
        return f"{self.exchange}:{self.symbol}"


@dataclass(frozen=True, slots=True)
class Month:
    """Candles of one series in one calendar month (UTC), described.

    Attributes
    ----------
    start
        First moment of the month, Unix milliseconds.
    n
        Number of candles.
    first, last
        Opening times of the first and the last candle, Unix milliseconds.
    digest
        SHA-256 of the candles' columns.
    """

    start: int
    n: int
    first: int
    last: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored month, still compressed."""

    series_id: SeriesId
    month: Month
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """A series of candles as imported.

    Attributes
    ----------
    version
        Rises with every change of the candles.
    first, last
        Opening times of the first and the last candle, Unix milliseconds.
    gaps
        Candles missing between the first and the last.
    content_hash
        SHA-256 of all candles, in hexadecimal; does not depend on how they were imported.
    open_months
        The months that are still kept a row per candle: usually the present one, or none.
    rewrites
        Rises when candles change or are added anywhere but behind the last one.
    """

    id: SeriesId
    market_id: MarketId
    interval: Interval
    version: int
    count: int
    first: int
    last: int
    gaps: int
    content_hash: str
    open_months: tuple[Month, ...]
    rewrites: int = 0


@dataclass(frozen=True, slots=True)
class PriceSeriesRecord:
    """Candles of a market at an interval: as imported, or resampled from a lower interval.

    Attributes
    ----------
    source
        The stored series they come from; its interval is the same unless they are resampled.
    """

    market_id: MarketId
    interval: Interval
    source: StoredSeries

    @property
    def resampled(self) -> bool:
        """Whether the candles are made from those of a lower interval."""
        return self.interval is not self.source.interval


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What a series amounts to.

    Attributes
    ----------
    start, end
        Opening time of the first candle and closing time of the last, Unix milliseconds; None if there
        are none.
    """

    count: int
    start: int | None
    end: int | None
    gaps: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class LoadedBars:
    """Bars read for a run.

    Attributes
    ----------
    bars
        All bars, those for warming up in front.
    warmup
        How many of them lie before the start that was asked for.
    content_hash
        SHA-256 of all of them, in hexadecimal.
    """

    bars: Bars
    warmup: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes
    ----------
    rows
        Candles in the file, after repair.
    added, updated
        Candles that are new, and candles whose values changed; the rest was there already.
    repairs
        What was repaired, in words, with how often.
    notes
        What was decided where the file leaves a choice, in words.
    """

    market: MarketRecord
    series: StoredSeries
    rows: int
    added: int
    updated: int
    repairs: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the import changed anything."""
        return bool(self.added or self.updated)
