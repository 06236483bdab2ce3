"""Telling followers and users what bots are doing."""

from datetime import datetime
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


async def tell_not_closed(uow: UnitOfWork, user_id: UUID, session_id: UUID, market: str, reason: str) -> None:
    """Notify a user that a position was not closed although its session was told to stop."""
    values = {"market": market, "reason": reason}
    payload = {"tradingSessionId": global_id("TradingSession", session_id)}
    await notifications.notify(uow, user_id, NotificationKind.POSITION_NOT_CLOSED, values, payload)


async def tell_unknown(
    uow: UnitOfWork,
    user_id: UUID,
    ids: tuple[UUID, UUID, UUID | None],
    market: str,
    words: str,
    sent_at: datetime,
) -> None:
    """Notify a user that it is not known what became of an order.

    Parameters
    ----------
    ids
        Of the order, its session and, if there is one, its bot.
    words
        What it is to do.
    """
    values = {"market": market, "order": words, "time": f"{sent_at:%Y-%m-%d %H:%M} UTC"}
    names = (("orderId", "Order"), ("tradingSessionId", "TradingSession"), ("botId", "Bot"))
    payload = {
        name: global_id(kind, key) for (name, kind), key in zip(names, ids, strict=True) if key is not None
    }
    await notifications.notify(uow, user_id, NotificationKind.ORDER_UNKNOWN, values, payload)


async def tell_failed(uow: UnitOfWork, user_id: UUID, bot_id: UUID, name: str, reason: str) -> None:
    """Notify a user that a bot has failed."""
    values = {"name": name, "reason": reason}
    payload = {"botId": global_id("Bot", bot_id)}
    await notifications.notify(uow, user_id, NotificationKind.BOT_FAILED, values, payload)
