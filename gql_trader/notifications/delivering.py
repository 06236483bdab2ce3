"""Delivering what is in the outbox: each message once, as far as the protocols let us know."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from gql_trader.accounts.types import AccountMail
from gql_trader.infra import outbox
from gql_trader.infra.backoff import full_jitter
from gql_trader.infra.delivery import NotDeliveredError, RefusedError
from gql_trader.infra.outbox import Lane, OutboxMessage
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.notifications import expanding, mailing, pushing, telegramming, webhook_delivery
from gql_trader.notifications.types import (
    HAND_OVER_SECONDS,
    LEASE_SECONDS,
    LONGEST_RETRY_AFTER,
    MOST_ATTEMPTS,
    RETRY_SECONDS,
    Channel,
    DeliveryKind,
)
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def _nothing(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Sender:
    """How messages of a kind are handed over.

    Attributes
    ----------
    name
        Of what is sent, for the log.
    send
        Hands a message over, or returns False if it is not needed.
    delivered
        Notes that it was, in the transaction that deletes the message.
    failed
        Notes why it was not, and the pause until the next attempt in seconds, None if it was the last;
        in the transaction that says so.
    once
        Whether a message is tried only once, and nothing kept of it.
    """

    name: str
    send: Callable[[Runtime, OutboxMessage], Awaitable[bool]]
    delivered: Callable[[UnitOfWork, OutboxMessage], Awaitable[None]] = _nothing
    failed: Callable[[UnitOfWork, OutboxMessage, str, float | None], Awaitable[None]] = _nothing
    once: Callable[[OutboxMessage], bool] = lambda _: False


_MAIL = Sender("mail", mailing.send)
_SENDERS: Mapping[str, Sender] = {
    **dict.fromkeys(AccountMail, _MAIL),
    DeliveryKind.EMAIL: _MAIL,
    DeliveryKind.PUSH: Sender("push", pushing.send),
    DeliveryKind.TELEGRAM: Sender("telegram", telegramming.send),
    DeliveryKind.WEBHOOK: Sender(
        "webhook",
        webhook_delivery.send,
        webhook_delivery.delivered,
        webhook_delivery.failed,
        webhook_delivery.is_test,
    ),
}


def configured_channels(runtime: Runtime) -> frozenset[Channel]:
    """Return where this server can deliver notifications to."""
    missing = {Channel.EMAIL: runtime.mail is None, Channel.PUSH: runtime.push is None}
    return frozenset(channel for channel in Channel if not missing.get(channel))


async def deliver_next(runtime: Runtime, lanes: Collection[Lane]) -> bool:
    """Deliver the oldest message of some lanes that is due; return False if there is none.

    No transaction stays open while another server is spoken to. Should this process die in between, the
    message is delivered by another one once its lease has ended, under the same id.
    """
    async with runtime.unit_of_work() as uow:
        claimed = await outbox.claim(uow, 1, LEASE_SECONDS, MOST_ATTEMPTS, lanes)
    if not claimed:
        return False
    [message] = claimed
    sender = _SENDERS.get(message.kind)
    name = sender.name if sender else "message"
    log = _log.bind(message_id=str(message.id), kind=message.kind, attempt=message.attempt)
    try:
        if expanding.is_expanded(message.kind):
            async with runtime.unit_of_work() as uow:
                await expanding.expand(uow, message, configured_channels(runtime))
            return True
        if sender is None:
            raise NotDeliveredError("this worker does not know such messages")
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                sent = await sender.send(runtime, message)
        except TimeoutError as error:
            raise NotDeliveredError(f"not handed over within {HAND_OVER_SECONDS:g} s") from error
    except RefusedError as error:
        log.error(f"{name}_refused", reason=str(error))
        await _note_failure(runtime, message, sender, str(error), None)
    except NotDeliveredError as error:
        log.warning(f"{name}_not_sent", reason=str(error))
        await _try_later(runtime, message, sender, str(error), error.retry_after)
    except Exception as error:
        # One message that cannot be written must not keep the others waiting.
        log.exception(f"{name}_failed")
        await _try_later(runtime, message, sender, type(error).__name__)
    else:
        async with runtime.unit_of_work() as uow:
            done = await (outbox.delivered if sent else outbox.finish)(uow, message)
            if done and sent:
                await sender.delivered(uow, message)
        log.info(f"{name}_sent" if sent else f"{name}_not_needed")
    return True


async def _try_later(
    runtime: Runtime, message: OutboxMessage, sender: Sender | None, reason: str, least: float | None = None
) -> None:
    if message.attempt >= MOST_ATTEMPTS:
        name = sender.name if sender else "message"
        _log.error(f"{name}_given_up", message_id=str(message.id), kind=message.kind)
        await _note_failure(runtime, message, sender, reason, None)
    else:
        pause = full_jitter(RETRY_SECONDS[message.attempt - 1])
        await _note_failure(
            runtime, message, sender, reason, max(pause, min(least or 0.0, LONGEST_RETRY_AFTER))
        )


async def _note_failure(
    runtime: Runtime, message: OutboxMessage, sender: Sender | None, reason: str, pause: float | None
) -> None:
    async with runtime.unit_of_work() as uow:
        if sender is not None and sender.once(message):
            held, pause = await outbox.finish(uow, message), None
        elif pause is None:
            held = await outbox.give_up(uow, message, reason)
        else:
            held = await outbox.retry(uow, message, pause, reason)
        if held and sender is not None:
            await sender.failed(uow, message, reason, pause)
