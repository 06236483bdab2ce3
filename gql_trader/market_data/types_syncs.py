"""Specs and names of fetching candles from exchanges."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gql_trader.core.ids import CandleSyncId
from gql_trader.core.intervals import Interval

SYNC_CANDLES: Final = "sync_candles"
QUEUE: Final = "market_data"

SETTLED_MILLISECONDS: Final = 3_600_000
"""What an exchange has not sent so long after its time, it does not have."""


def stream_of(sync_id: UUID) -> str:
    """Return the name of the stream that carries the events of a sync."""
    return f"candle-sync:{sync_id}"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Candles wanted from an exchange; nothing in it has been looked up yet.

    Attributes
    ----------
    market
        ``BTC/USDT``; the venue may stand in front.
    start, end
        Candles that open in [start, end); without an end, all that are over.
    """

    market: str
    exchange: str
    interval: Interval
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """What one user may ask for.

    Attributes
    ----------
    active
        Syncs that are queued or running.
    hourly
        Syncs asked for within any hour.
    candles
        Candles of one sync.
    """

    active: int
    hourly: int
    candles: int


@dataclass(frozen=True, slots=True)
class SyncClaim:
    """A worker's right to fetch.

    Attributes
    ----------
    attempt
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes
        nothing.
    """

    sync_id: CandleSyncId
    attempt: int

    @property
    def key(self) -> tuple[CandleSyncId]:
        """The primary key."""
        return (self.sync_id,)
