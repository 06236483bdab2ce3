"""Candles as they come, over GraphQL."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from gql_trader.core.actor import Role
from gql_trader.core.intervals import Interval
from gql_trader.gql.context import Info
from gql_trader.gql.permissions import requires, visible
from gql_trader.market_data import service
from gql_trader.market_data.feeds.following import follow_candles
from gql_trader.market_data.schema_series import Candle


@visible("everybody signed in")
@strawberry.type(description="News of a market's candles.")
class CandleEvent:
    """Event of candles."""

    cursor: str = strawberry.field(
        description="Pass it as `after` to go on behind the last closed candle that was told."
    )
    candle: Candle = strawberry.field(description="The candle.")
    closed: bool = strawberry.field(
        description="Whether it is over. Until then the same candle comes again and again, as it forms."
    )


@strawberry.type
class CandleSubscription:
    """Subscriptions of candles."""

    @strawberry.subscription(
        description="Follow a market's candles: the last one first, then each as it closes, and as it forms "
        "where the feed tells. As long as somebody follows, the market has a live feed (`Market.feeds` says "
        "how it is doing).",
        extensions=requires(Role.VIEWER),
    )
    async def candles(
        self,
        info: Info,
        market: Annotated[str, strawberry.argument(description="`BTC/USD` or `coinbase:BTC/USD`.")],
        interval: Annotated[Interval, strawberry.argument(description="Length of one candle.")],
        after: Annotated[
            str | None,
            strawberry.argument(
                description="Cursor of the last event seen: every candle that closed since comes first, "
                "however many there are; it does not expire. One of a candle to come is an error."
            ),
        ] = None,
    ) -> AsyncGenerator[CandleEvent, None]:
        context = info.context
        async with context.uow() as uow:
            found = await service.find_market(uow, market)
        services = context.services
        feed = follow_candles(context.uow, services.events, services.arrays, found.id, interval, after)
        async with aclosing(feed):
            async for news in feed:
                yield CandleEvent(
                    cursor=news.cursor, candle=Candle.from_record(news.candle), closed=news.closed
                )
