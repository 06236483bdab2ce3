"""Telling followers and users what bots are doing."""

from uuid import UUID

from gql_trader.bots.types import BotState, status_stream
from gql_trader.core.ids import global_id
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import service as notifications
from gql_trader.notifications.types import NotificationKind


def announce(uow: UnitOfWork, user_id: UUID, bot_id: UUID, state: BotState) -> None:
    """Tell a user's followers what a bot is doing, once the transaction has committed."""
    uow.publish(status_stream(user_id), {"botId": str(bot_id), "state": state.value})


async def tell_closed(uow: UnitOfWork, user_id: UUID, session_id: UUID, market: str, reason: str) -> None:
    """Notify a user of what has become of a position that is traded by hand, not from here."""
    values = {"market": market, "reason": reason}
    payload = {"tradingSessionId": global_id("TradingSession", session_id)}
    await notifications.notify(uow, user_id, NotificationKind.POSITION_CLOSED, values, payload)


async def tell_failed(uow: UnitOfWork, user_id: UUID, bot_id: UUID, name: str, reason: str) -> None:
    """Notify a user that a bot has failed."""
    values = {"name": name, "reason": reason}
    payload = {"botId": global_id("Bot", bot_id)}
    await notifications.notify(uow, user_id, NotificationKind.BOT_FAILED, values, payload)
