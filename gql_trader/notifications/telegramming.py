"""Messages to users' chats in Telegram, by the bots of their trading settings."""

import hashlib
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from gql_trader.infra import outbox
from gql_trader.infra.delivery import TargetGoneError
from gql_trader.infra.outbox import OutboxMessage
from gql_trader.notifications import repository, service
from gql_trader.notifications.models import TelegramBlockRow
from gql_trader.notifications.types import NotificationKind
from gql_trader.runtime import Runtime
from gql_trader.settings import service as settings

_log = structlog.get_logger(__name__)


async def send(runtime: Runtime, message: OutboxMessage) -> bool:
    """Send a notification to the user's chat; return False if it is not needed any more.

    A chat in which the bot may not write is left alone from then on, and the user told elsewhere, until the
    settings name another chat or bot, or the user chooses channels anew.

    Raises
    ------
    NotDeliveredError, RefusedError
        If Telegram did not take it.
    """
    assert message.user_id is not None
    key = UUID(message.payload["notification_id"])
    async with runtime.unit_of_work() as uow:
        found = await repository.deliverable(uow.session, message.user_id, key)
        target = await settings.telegram_target(uow, runtime.keys, message.user_id)
        blocked = await uow.session.scalar(
            select(TelegramBlockRow.fingerprint).where(TelegramBlockRow.user_id == message.user_id)
        )
    if found is None or target is None or blocked == _fingerprint(*target):
        return False
    try:
        await runtime.telegram.send(*target, f"{found.title}\n\n{found.body}")
    except TargetGoneError as error:
        _log.info("telegram_blocked", user_id=str(message.user_id), reason=str(error))
        await _block(runtime, message, _fingerprint(*target), str(error))
        return False
    return True


async def _block(runtime: Runtime, message: OutboxMessage, fingerprint: bytes, reason: str) -> None:
    assert message.user_id is not None
    values = {"fingerprint": fingerprint, "blocked_at": runtime.clock.now()}
    async with runtime.unit_of_work() as uow:
        # Of several messages that fail at once, and workers that do the same, one tells the user.
        if not await outbox.finish(uow, message):
            return
        blocked = await uow.session.scalar(
            insert(TelegramBlockRow)
            .values(user_id=message.user_id, **values)
            .on_conflict_do_update(
                index_elements=[TelegramBlockRow.user_id],
                set_=values,
                where=TelegramBlockRow.fingerprint != fingerprint,
            )
            .returning(TelegramBlockRow.user_id)
        )
        if blocked is not None:
            kind = NotificationKind.TELEGRAM_BLOCKED
            await service.notify(uow, message.user_id, kind, {"reason": reason})


def _fingerprint(token: str, chat_id: str) -> bytes:
    return hashlib.sha256(f"{token}\n{chat_id}".encode()).digest()
