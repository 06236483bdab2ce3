"""Exchange keys that bots trade with, and what becomes of the bots when a key is forgotten."""

from uuid import UUID

from sqlalchemy import delete, select

from gql_trader.bots.models import BotRow
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
        If something trades with it, or one of the bots that have it is not stopped.
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
    if delete_bots:
        await uow.session.execute(
            delete(BotRow).where(BotRow.user_id == actor.user_id, BotRow.exchange_key_id == key_id)
        )
    return await exchange_keys.delete_key(uow, actor, key_id)
