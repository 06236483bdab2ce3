"""Somebody to notify, and what a worker does about the outbox."""

from gql_trader.core.actor import Actor
from gql_trader.notifications import service
from gql_trader.notifications.jobs import deliver_outbox
from gql_trader.notifications.types import NotificationKind
from gql_trader.runtime import Runtime


async def approve(runtime: Runtime, actor: Actor, name: str) -> None:
    """Notify a user; the name is in the text, so that notifications can be told apart."""
    async with runtime.unit_of_work() as uow:
        await service.notify(uow, actor.user_id, NotificationKind.ACCOUNT_APPROVED, {"username": name})


async def work(runtime: Runtime) -> None:
    """Do what is due."""
    await deliver_outbox({"runtime": runtime})
