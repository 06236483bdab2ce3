"""Names and records of live feeds: candles as they close."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from gql_trader.core.ids import MarketId
from gql_trader.core.intervals import Interval

POLL_FEED: Final = "poll_feed"
QUEUE: Final = "feeds"

WANTED_SECONDS: Final = 60.0
"""A feed goes on for so long after it was last asked for."""

HISTORY_BARS: Final = 500
"""Bars that a series begins with that had none."""


def stream_of(market_id: UUID, interval: Interval) -> str:
    """Return the name of the stream that carries the candles of a stored series as they close."""
    return f"candles:{market_id}:{interval.name}"


class FeedState(StrEnum):
    """How a feed is doing."""

    CATCHING_UP = "CATCHING_UP"
    LIVE = "LIVE"
    LATE = "LATE"
    FAILING = "FAILING"
    IDLE = "IDLE"
    """Never at rest: what a feed is that nobody wants any more."""


@dataclass(frozen=True, slots=True)
class FeedClaim:
    """A worker's right to bring candles into a series.

    Attributes
    ----------
    fence
        Fencing token: whatever the worker writes names it, so that one that lost its lease changes
        nothing.
    """

    market_id: MarketId
    interval: Interval
    fence: int
