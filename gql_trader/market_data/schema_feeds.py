"""Live feeds as GraphQL objects."""

from datetime import datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from gql_trader.core.clock import from_milliseconds
from gql_trader.core.intervals import Interval
from gql_trader.gql.enums import register_enum
from gql_trader.gql.permissions import visible
from gql_trader.market_data.types_feeds import FeedState

register_enum(
    FeedState,
    "How a live feed is doing.",
    {
        "CATCHING_UP": "It brings in candles that closed before.",
        "LIVE": "The newest candle that has closed is there, or has closed just now.",
        "LATE": "The exchange has not sent the newest candle yet; `error` says which one.",
        "FAILING": "The exchange cannot be asked; `error` says why. It is tried again, with growing pauses.",
        "IDLE": "Nobody wants it: no bot, no alert, no subscription.",
    },
)


@visible("everybody signed in")
@strawberry.type(
    description="A live feed: candles of a market are stored as they close, for as long as a bot, an alert "
    "or a subscription wants them. What is missing stays missing: prices are never made up."
)
class MarketFeed:
    """A feed."""

    interval: Interval = strawberry.field(
        description="Length of its candles; candles of higher intervals are made of them."
    )
    state: FeedState = strawberry.field(description="How it is doing.")
    error: str | None = strawberry.field(description="What keeps it from being live; null: nothing.")
    last_candle: datetime | None = strawberry.field(
        description="When the newest candle that it has stored or found opened; null: none yet."
    )
    updated_at: datetime = strawberry.field(description="When it last had news, good or bad.")

    @classmethod
    def from_row(cls, row: Row[Any]) -> "MarketFeed":
        """Return the GraphQL object of a feed."""
        return cls(
            interval=Interval[row.interval],
            state=FeedState(row.state) if row.wanted else FeedState.IDLE,
            error=row.error if row.wanted else None,
            last_candle=from_milliseconds(row.last_time) if row.last_time is not None else None,
            updated_at=row.updated_at,
        )
