"""Telling followers what bots are doing."""

from uuid import UUID

from gql_trader.bots.types import BotState, status_stream
from gql_trader.infra.unit_of_work import UnitOfWork


def announce(uow: UnitOfWork, user_id: UUID, bot_id: UUID, state: BotState) -> None:
    """Tell a user's followers what a bot is doing, once the transaction has committed."""
    uow.publish(status_stream(user_id), {"botId": str(bot_id), "state": state.value})
