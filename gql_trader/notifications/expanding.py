"""Messages of the outbox that become notifications, and notifications that become deliveries; each once."""

from collections.abc import Collection
from uuid import UUID

from gql_trader.accounts import repository as accounts
from gql_trader.accounts.types import AccountNotice, UserStatus
from gql_trader.core.ids import global_id
from gql_trader.infra import outbox
from gql_trader.infra.outbox import Lane, OutboxMessage
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import choices, repository, service
from gql_trader.notifications.types import (
    NOTIFICATION,
    Channel,
    DeliveryKind,
    NotificationKind,
    NotificationRecord,
)
from gql_trader.settings import service as settings


async def expand(uow: UnitOfWork, message: OutboxMessage, configured: Collection[Channel]) -> None:
    """Delete a message and write what it becomes, in one transaction.

    Nothing is done if the message is no longer this worker's, so that of a worker whose lease has ended and
    one that took over only one does it.

    Parameters
    ----------
    configured
        Where this server can deliver to.
    """
    if not await outbox.finish(uow, message):
        return
    if message.kind == AccountNotice.SIGNUP_PENDING:
        await _signup_pending(uow, str(message.payload["username"]))
    elif message.kind == outbox.NOTICE:
        await _notice(uow, message)
    else:
        await _deliveries(uow, message, configured)


def is_expanded(kind: str) -> bool:
    """Return whether messages of a kind become others."""
    return kind in (AccountNotice.SIGNUP_PENDING, outbox.NOTICE, NOTIFICATION)


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


async def _notice(uow: UnitOfWork, message: OutboxMessage) -> None:
    assert message.user_id is not None
    told = message.payload
    await service.notify(
        uow, message.user_id, NotificationKind(told["kind"]), told["values"], told["payload"]
    )


async def _deliveries(uow: UnitOfWork, message: OutboxMessage, configured: Collection[Channel]) -> None:
    user_id, key = message.user_id, UUID(message.payload["notification_id"])
    assert user_id is not None
    found = await repository.deliverable(uow.session, user_id, key)
    if found is None:
        return
    if not (await settings.preferences_of(uow, user_id)).notifications:
        # The user wants to be told in the app only. Mails about the account itself do not come this way.
        return
    channels = await choices.channels_of(uow, user_id, found.kind) & set(configured)
    if Channel.EMAIL in channels:
        _send(uow, found, DeliveryKind.EMAIL, Lane.MAIL)
    if Channel.PUSH in channels:
        for device in (await repository.devices_of(uow.session, [user_id]))[user_id]:
            _send(uow, found, DeliveryKind.PUSH, Lane.PUSH, device.id)
    if Channel.TELEGRAM in channels:
        _send(uow, found, DeliveryKind.TELEGRAM, Lane.TELEGRAM)
    if Channel.WEBHOOK in channels:
        for webhook_id in await repository.webhooks_for(uow.session, user_id, found.kind):
            _send(uow, found, DeliveryKind.WEBHOOK, Lane.WEBHOOKS, webhook_id)


def _send(
    uow: UnitOfWork,
    notification: NotificationRecord,
    kind: DeliveryKind,
    lane: Lane,
    target_id: UUID | None = None,
) -> None:
    payload = {"notification_id": str(notification.id)}
    outbox.send(uow, kind, payload, lane, user_id=notification.user_id, target_id=target_id)
