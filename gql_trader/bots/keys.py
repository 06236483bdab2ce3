"""Exchange keys that bots trade with, and what becomes of the bots when a key is forgotten."""

from uuid import UUID

from sqlalchemy import delete, select

from gql_trader.bots.models import BotRow, OrderRow
from gql_trader.bots.models_live import LiveMarketRow, LiveSessionRow
from gql_trader.bots.models_live_bot import LiveBotRow
from gql_trader.bots.types import BotState
from gql_trader.core.actor import Actor
from gql_trader.core.errors import InvalidState
from gql_trader.core.ids import ExchangeKeyId
from gql_trader.exchange_keys import service as exchange_keys
from gql_trader.infra.unit_of_work import UnitOfWork


async def delete_key(
    uow: UnitOfWork, actor: Actor, key_id: UUID, *, delete_bots: bool = False
) -> ExchangeKeyId:
    """Forget a key of the user's; the bots that have it go with it, or are left without one.

    Raises
    ------
    NotFound
        If it is not the user's.
    InvalidState
        If something trades with it, one of the bots that have it is not stopped, or one that has failed has
        left a stop at the exchange.
    """
    bots = await uow.session.execute(
        select(BotRow.name, BotRow.state)
        .where(BotRow.user_id == actor.user_id, BotRow.exchange_key_id == key_id)
        .order_by(BotRow.id)
        .with_for_update()
    )
    busy = [row.name for row in bots if not BotState(row.state).is_idle]
    if busy:
        raise InvalidState(f"The bot {busy[0]} runs on this key; stop it first.", ("id",))
    left = (
        await uow.session.execute(
            select(BotRow.name, OrderRow.stop_price)
            .select_from(LiveSessionRow)
            .join(LiveBotRow, LiveBotRow.session_id == LiveSessionRow.session_id)
            .join(
                OrderRow,
                (OrderRow.session_id == LiveBotRow.session_id) & (OrderRow.number == LiveBotRow.left_stop),
            )
            .join(BotRow, BotRow.session_id == LiveBotRow.session_id)
            .where(LiveSessionRow.exchange_key_id == key_id, BotRow.user_id == actor.user_id)
            .limit(1)
        )
    ).one_or_none()
    if left is not None:
        raise InvalidState(
            f"The bot {left.name} has failed, and its stop at {left.stop_price.normalize():f} is at the "
            "exchange with this key; cancel that order first.",
            ("id",),
        )
    price = await uow.session.scalar(
        select(OrderRow.stop_price)
        .join(
            LiveMarketRow,
            (LiveMarketRow.session_id == OrderRow.session_id) & (LiveMarketRow.left_stop == OrderRow.number),
        )
        .join(LiveSessionRow, LiveSessionRow.session_id == OrderRow.session_id)
        .where(LiveSessionRow.exchange_key_id == key_id, OrderRow.user_id == actor.user_id)
        .limit(1)
    )
    if price is not None:
        raise InvalidState(
            f"A session that was told to stop could not close its position, whose stop at "
            f"{price.normalize():f} is at the exchange with this key; cancel that order first.",
            ("id",),
        )
    if delete_bots:
        await uow.session.execute(
            delete(BotRow).where(BotRow.user_id == actor.user_id, BotRow.exchange_key_id == key_id)
        )
    return await exchange_keys.delete_key(uow, actor, key_id)
