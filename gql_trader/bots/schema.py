"""GraphQL queries and mutations of the bots domain."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import strawberry

from gql_trader.accounts import limits
from gql_trader.accounts.live_trading import LiveTrading
from gql_trader.bots import service, starting
from gql_trader.bots.live.sessions import LivePermit
from gql_trader.bots.loaders import BotLoaders
from gql_trader.bots.schema_bot import Bot, BotConnection
from gql_trader.bots.schema_enums import BotState, SessionMode, SessionStatus
from gql_trader.bots.schema_exports import TradesOwner, trades_link
from gql_trader.bots.schema_inputs import CreateBotInput, UpdateBotInput
from gql_trader.bots.schema_order import Order
from gql_trader.bots.schema_session import TradingSession, TradingSessionConnection
from gql_trader.bots.schema_types import OWNER, Trade
from gql_trader.bots.types import Limits
from gql_trader.core.actor import Role, TokenScope
from gql_trader.gql.context import Context, Info
from gql_trader.gql.errors import UserError
from gql_trader.gql.mutations import mutation
from gql_trader.gql.pagination import After, Before, First, Last, connection
from gql_trader.gql.permissions import requires, visible
from gql_trader.gql.relay import decode_id, encode_id
from gql_trader.infra.keyset import page_request
from gql_trader.settings.service import preferences_of


def _errors(description: str) -> list[UserError]:
    field: list[UserError] = strawberry.field(
        default_factory=list, description=f"{description}; empty on success."
    )
    return field


@visible(OWNER)
@strawberry.type(description="Result of `createBot`.")
class CreateBotPayload:
    """Payload of createBot."""

    bot: Bot | None = strawberry.field(default=None, description="The bot, stopped.")
    errors: list[UserError] = _errors("Why none was made")


@visible(OWNER)
@strawberry.type(description="Result of `updateBot`.")
class UpdateBotPayload:
    """Payload of updateBot."""

    bot: Bot | None = strawberry.field(default=None, description="The bot as it is now.")
    errors: list[UserError] = _errors("Why nothing was changed")


@strawberry.input(description="A bot to delete.")
class DeleteBotInput:
    """Input of deleteBot."""

    id: strawberry.ID = strawberry.field(description="The bot; it must be stopped.")


@visible(OWNER)
@strawberry.type(description="Result of `deleteBot`.")
class DeleteBotPayload:
    """Payload of deleteBot."""

    deleted_id: strawberry.ID | None = strawberry.field(default=None, description="Id of what is gone.")
    errors: list[UserError] = _errors("Why it was not deleted")


@strawberry.input(description="A bot to start.")
class StartBotInput:
    """Input of startBot."""

    id: strawberry.ID = strawberry.field(description="The bot; it must be stopped, or have failed.")
    totp_code: str | None = strawberry.field(
        default=None,
        description="A code of your authenticator app, or a recovery code; only for a bot that trades live. "
        "It works once.",
    )
    acknowledge_mismatch: bool | None = strawberry.field(
        default=False,
        description="true: trade live although the account at the exchange is not what it should be, which "
        "`Bot.error` has told after a start: foreign orders that are open, or other holdings.",
    )


@visible(OWNER)
@strawberry.type(description="Result of `startBot`.")
class StartBotPayload:
    """Payload of startBot."""

    bot: Bot | None = strawberry.field(default=None, description="The bot, with a new session.")
    errors: list[UserError] = _errors("Why it was not started")


@strawberry.input(description="A bot to stop.")
class StopBotInput:
    """Input of stopBot."""

    id: strawberry.ID = strawberry.field(description="The bot; it must be started.")


@visible(OWNER)
@strawberry.type(description="Result of `stopBot`.")
class StopBotPayload:
    """Payload of stopBot."""

    bot: Bot | None = strawberry.field(
        default=None, description="The bot, stopping; `botStatus` tells when it has stopped."
    )
    errors: list[UserError] = _errors("Why it was not stopped")


@strawberry.input(description="Which bots to stop.")
class StopAllBotsInput:
    """Input of stopAllBots."""

    everyone: bool | None = strawberry.field(
        default=False, description="true: those of every user, which takes an administrator; else yours."
    )


@visible(OWNER)
@strawberry.type(description="Result of `stopAllBots`.")
class StopAllBotsPayload:
    """Payload of stopAllBots."""

    count: int | None = strawberry.field(
        default=None, description="How many bots were told to stop; those that stood still are not counted."
    )
    errors: list[UserError] = _errors("Why none was stopped")


def _limits(context: Context) -> Limits:
    settings = context.services.settings
    return Limits(
        bots=settings.max_bots_per_user,
        running=settings.max_running_bots_per_user,
        replay_bars=settings.max_backtest_bars,
        hourly=settings.max_backtests_per_hour_per_user,
    )


@strawberry.type
class BotQuery:
    """Queries of the bots domain."""

    @strawberry.field(description="Your bots, newest first.", extensions=requires(Role.VIEWER))
    async def bots(
        self,
        info: Info,
        state: Annotated[
            list[BotState] | None, strawberry.argument(description="Only those in one of these states.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> BotConnection | None:
        viewer = info.context.viewer
        async with info.context.uow() as uow:
            page = await service.list_bots(uow, viewer, state, page_request(first, after, last, before))

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_bots(uow, viewer, state)

        return connection(BotConnection, page, Bot.from_row, count)

    @strawberry.field(
        description="One of your bots; null if there is none with this id.", extensions=requires(Role.VIEWER)
    )
    async def bot(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The bot.")]
    ) -> Bot | None:
        row = await info.context.loaders(BotLoaders).bot.load(decode_id(id, "Bot"))
        return Bot.from_row(row) if row else None

    @strawberry.field(
        description="Link to all of your trades, of bots and by hand, as a CSV file, by session; good for "
        "some minutes and for whoever has it.",
        extensions=requires(Role.VIEWER),
    )
    def trades_csv_url(self, info: Info) -> str | None:
        viewer = info.context.viewer
        return trades_link(info.context.services, viewer.user_id, TradesOwner.USER, viewer.user_id)

    @strawberry.field(description="Your trading sessions, newest first.", extensions=requires(Role.VIEWER))
    async def trading_sessions(
        self,
        info: Info,
        status: Annotated[
            SessionStatus | None, strawberry.argument(description="Only active, or only ended ones.")
        ] = None,
        mode: Annotated[
            SessionMode | None, strawberry.argument(description="Only on paper, or only live.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> TradingSessionConnection | None:
        viewer = info.context.viewer
        wanted = page_request(first, after, last, before)
        async with info.context.uow() as uow:
            page = await service.list_sessions(uow, viewer, status, mode, wanted)

        async def count() -> int:
            async with info.context.uow() as uow:
                return await service.count_sessions(uow, viewer, status, mode)

        return connection(TradingSessionConnection, page, TradingSession.from_row, count)

    @strawberry.field(
        description="One of your trading sessions; null if there is none with this id.",
        extensions=requires(Role.VIEWER),
    )
    async def trading_session(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The session.")]
    ) -> TradingSession | None:
        row = await info.context.loaders(BotLoaders).session.load(decode_id(id, "TradingSession"))
        return TradingSession.from_row(row) if row else None


@strawberry.type
class BotMutation:
    """Mutations of the bots domain."""

    @mutation(CreateBotPayload, Role.TRADER, "Make a bot. Start it with `startBot`.", TokenScope.TRADE)
    async def create_bot(
        self, info: Info, input: Annotated[CreateBotInput, strawberry.argument(description="The bot.")]
    ) -> CreateBotPayload:
        async with info.context.uow() as uow:
            request = input.to_request(await preferences_of(uow, info.context.viewer.user_id))
            row = await service.create_bot(
                uow, info.context.services.plugins, info.context.viewer, request, _limits(info.context)
            )
        return CreateBotPayload(bot=Bot.from_row(row))

    @mutation(UpdateBotPayload, Role.TRADER, "Change a bot that is stopped.", TokenScope.TRADE)
    async def update_bot(
        self, info: Info, input: Annotated[UpdateBotInput, strawberry.argument(description="The change.")]
    ) -> UpdateBotPayload:
        key, change = decode_id(input.id, "Bot"), input.to_change()
        async with info.context.uow() as uow:
            row = await service.update_bot(
                uow, info.context.services.plugins, info.context.viewer, key, change
            )
        return UpdateBotPayload(bot=Bot.from_row(row))

    @mutation(
        DeleteBotPayload,
        Role.TRADER,
        "Delete a bot that is stopped. Its sessions stay, with their orders and trades.",
        TokenScope.TRADE,
    )
    async def delete_bot(
        self,
        info: Info,
        input: Annotated[DeleteBotInput, strawberry.argument(description="What to delete.")],
    ) -> DeleteBotPayload:
        key = decode_id(input.id, "Bot")
        async with info.context.uow() as uow:
            await service.delete_bot(uow, info.context.viewer, key)
        return DeleteBotPayload(deleted_id=encode_id("Bot", key))

    @mutation(
        StartBotPayload,
        Role.TRADER,
        "Start a bot: it opens a session with its initial capital and trades from the next bar on. Starting "
        "a started one is INVALID_STATE. One that trades live takes a server that does, a fresh login with a "
        "second factor, and `totpCode`; no API token starts it.",
        TokenScope.TRADE,
        limited=limits.LIVE_TRADING_CODE,
    )
    async def start_bot(
        self, info: Info, input: Annotated[StartBotInput, strawberry.argument(description="What to start.")]
    ) -> StartBotPayload:
        context, key = info.context, decode_id(input.id, "Bot")
        services = context.services
        async with context.uow() as uow:
            row = await starting.start_bot(
                uow,
                services.rate_limits,
                context.viewer,
                key,
                _limits(context),
                services.settings.bot_equity_minutes,
                LivePermit(services.keys, LiveTrading.of(services.settings), input.totp_code),
                acknowledge_mismatch=bool(input.acknowledge_mismatch),
            )
        return StartBotPayload(bot=Bot.from_row(row))

    @mutation(
        StopBotPayload,
        Role.TRADER,
        "Stop a bot: what has closed until now is still traded, then its position is closed at the last "
        "close and its session ends. It stays stopped until it is started again. Stopping a stopped one is "
        "INVALID_STATE.",
        TokenScope.TRADE,
    )
    async def stop_bot(
        self, info: Info, input: Annotated[StopBotInput, strawberry.argument(description="What to stop.")]
    ) -> StopBotPayload:
        key = decode_id(input.id, "Bot")
        async with info.context.uow() as uow:
            row = await starting.stop_bot(uow, info.context.viewer, key)
        return StopBotPayload(bot=Bot.from_row(row))

    @mutation(
        StopAllBotsPayload,
        Role.TRADER,
        "Stop all of your bots at once; an administrator may stop those of everybody.",
        TokenScope.TRADE,
    )
    async def stop_all_bots(
        self,
        info: Info,
        input: Annotated[StopAllBotsInput, strawberry.argument(description="Which bots to stop.")],
    ) -> StopAllBotsPayload:
        async with info.context.uow() as uow:
            stopped = await starting.stop_all_bots(uow, info.context.viewer, everyone=bool(input.everyone))
        return StopAllBotsPayload(count=len(stopped))


async def resolve_bot_nodes(info: Info, ids: Sequence[UUID]) -> list[Bot | None]:
    """Return the viewer's bots for ``node``."""
    rows = await info.context.loaders(BotLoaders).bot.load_many(list(ids))
    return [Bot.from_row(row) if row else None for row in rows]


async def resolve_trading_session_nodes(info: Info, ids: Sequence[UUID]) -> list[TradingSession | None]:
    """Return the viewer's sessions for ``node``."""
    rows = await info.context.loaders(BotLoaders).session.load_many(list(ids))
    return [TradingSession.from_row(row) if row else None for row in rows]


async def resolve_trade_nodes(info: Info, ids: Sequence[UUID]) -> list[Trade | None]:
    """Return the viewer's trades for ``node``."""
    rows = await info.context.loaders(BotLoaders).trade.load_many(list(ids))
    return [Trade.from_row(row) if row else None for row in rows]


async def resolve_order_nodes(info: Info, ids: Sequence[UUID]) -> list[Order | None]:
    """Return the viewer's orders for ``node``."""
    rows = await info.context.loaders(BotLoaders).order.load_many(list(ids))
    return [Order.from_row(row) if row else None for row in rows]
