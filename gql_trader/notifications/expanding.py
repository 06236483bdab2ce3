"""Messages of the outbox that become notifications, each exactly once."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from gql_trader.accounts import repository as accounts
from gql_trader.accounts.types import AccountNotice, UserStatus
from gql_trader.core.ids import global_id
from gql_trader.infra import outbox
from gql_trader.infra.outbox import OutboxMessage
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import service
from gql_trader.notifications.types import NotificationKind


async def expand(uow: UnitOfWork, message: OutboxMessage) -> None:
    """Delete a message and notify whom it is for, in one transaction.

    Nothing is done if the message is no longer this worker's, so that a worker whose lease has ended, and
    one that took over, do not both notify.
    """
    if not await outbox.delivered(uow, message):
        return
    if message.kind == AccountNotice.SIGNUP_PENDING:
        await _signup_pending(uow, str(message.payload["username"]))
    else:
        await _notice(uow, message.payload)


def is_expanded(kind: str) -> bool:
    """Return whether messages of a kind become notifications."""
    return kind in (AccountNotice.SIGNUP_PENDING, outbox.NOTICE)


async def _signup_pending(uow: UnitOfWork, username: str) -> None:
    user = await accounts.user_by_login(uow.session, username)
    # There is no such user if the address was registered already, and none to approve if that was done.
    if user is None or user.status != UserStatus.PENDING:
        return
    await service.notify_all(
        uow,
        await accounts.active_administrators(uow.session),
        NotificationKind.SIGNUP_PENDING,
        {"username": user.username},
        {"userId": global_id("User", user.id)},
    )


async def _notice(uow: UnitOfWork, notice: Mapping[str, Any]) -> None:
    user_id = UUID(notice["user_id"])
    if await accounts.user_by_id(uow.session, user_id) is not None:
        kind = NotificationKind(notice["kind"])
        await service.notify(uow, user_id, kind, notice["values"], notice["payload"])
