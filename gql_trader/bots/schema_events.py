"""GraphQL subscriptions of the bots domain."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.bots.following import Follower, follow_equity, follow_status, follow_trades
from gql_trader.bots.schema_bot import Bot
from gql_trader.bots.schema_enums import BotState
from gql_trader.bots.schema_types import OWNER, Trade
from gql_trader.core.actor import Role
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.money import to_decimal
from gql_trader.gql.context import Context, Info
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id, encode_id

_CURSOR = "Pass it as `after` to go on behind this event."


@visible(OWNER)
@strawberry.type(description="What a bot is doing.")
class BotEvent:
    """Event of botStatus."""

    cursor: str = strawberry.field(description=_CURSOR)
    state: BotState = strawberry.field(description="What it began to do with this event.")
    bot: Bot = strawberry.field(description="The bot as it is now, with its guards.")


@visible(OWNER)
@strawberry.type(description="The equity of a session.")
class EquityEvent:
    """Event of equity."""

    cursor: str = strawberry.field(description=_CURSOR)
    time: datetime = strawberry.field(
        description="Opening time of the bar; before the first bar, the session's start; between closes the "
        "moment of the price."
    )
    equity: Decimal = strawberry.field(
        description="Equity at the bar's close, or at a price between closes, in the quote currency."
    )
    session_id: strawberry.ID = strawberry.field(description="Global id of the session.")


@visible(OWNER)
@strawberry.type(description="A trade that was opened or closed.")
class TradeEvent:
    """Event of trades."""

    cursor: str = strawberry.field(description=_CURSOR)
    trade: Trade = strawberry.field(description="The trade as it is now.")


OfBot = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only of this bot; none: of all your bots.")
]
OfSession = Annotated[
    strawberry.ID | None, strawberry.argument(description="Only of this session; none: of all that trade.")
]
Since = Annotated[
    str | None,
    strawberry.argument(description="Cursor of the last event seen; replays what was missed since."),
]


def _follower(context: Context, bot_id: str | None, session_id: str | None, after: str | None) -> Follower:
    def key(given: str | None, type_name: str, argument: str) -> UUID | None:
        return None if given is None else decode_id(given, type_name, (argument,))

    return Follower(
        context.uow,
        context.services.events,
        context.viewer,
        key(bot_id, "Bot", "botId"),
        key(session_id, "TradingSession", "sessionId"),
        after,
    )


@strawberry.type
class BotSubscription:
    """Subscriptions of the bots domain."""

    @strawberry.subscription(
        description="Follow what your bots are doing: the present state of each, then every change, and "
        "every daily guard that trips, every exit that becomes due and every order of which it is not known "
        "for minutes what became of it.",
        extensions=requires(Role.VIEWER),
    )
    async def bot_status(
        self, info: Info, bot_id: OfBot = None, after: Since = None
    ) -> AsyncGenerator[BotEvent, None]:
        async with aclosing(follow_status(_follower(info.context, bot_id, None, after))) as feed:
            async for news in feed:
                yield BotEvent(cursor=news.cursor, state=news.state, bot=Bot.from_row(news.bot))

    @strawberry.subscription(
        description="Follow the equity of your sessions: where each that trades stands, then where it stands "
        "after every bar and, while it holds a position, at prices between. "
        "A replay at full speed tells of some bars only.",
        extensions=requires(Role.VIEWER),
    )
    async def equity(
        self, info: Info, bot_id: OfBot = None, session_id: OfSession = None, after: Since = None
    ) -> AsyncGenerator[EquityEvent, None]:
        async with aclosing(follow_equity(_follower(info.context, bot_id, session_id, after))) as feed:
            async for news in feed:
                yield EquityEvent(
                    cursor=news.cursor,
                    time=from_milliseconds(news.time),
                    equity=to_decimal(news.equity),
                    session_id=encode_id("TradingSession", news.session_id),
                )

    @strawberry.subscription(
        description="Follow your trades: those whose positions are held, then each that is opened or closed. "
        "A replay at full speed tells of the last hundred of each of its steps.",
        extensions=requires(Role.VIEWER),
    )
    async def trades(
        self, info: Info, bot_id: OfBot = None, session_id: OfSession = None, after: Since = None
    ) -> AsyncGenerator[TradeEvent, None]:
        async with aclosing(follow_trades(_follower(info.context, bot_id, session_id, after))) as feed:
            async for news in feed:
                yield TradeEvent(cursor=news.cursor, trade=Trade.from_row(news.trade))
