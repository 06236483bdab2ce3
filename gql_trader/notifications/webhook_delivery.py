"""Sending webhooks: signed, to public addresses, and off if an endpoint stays away."""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from gql_trader.core.ids import global_id
from gql_trader.infra import json_codec, outbox
from gql_trader.infra.delivery import NotDeliveredError, RefusedError, retry_after
from gql_trader.infra.outbox import Lane, OutboxMessage
from gql_trader.infra.public_http import AddressRefusedError, Answer, ExchangeFailedError
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.infra.webhook_signatures import WebhookSignatures
from gql_trader.notifications import repository, service, webhooks
from gql_trader.notifications.models import WEBHOOK_SECRET, WebhookRow
from gql_trader.notifications.types import NotificationKind
from gql_trader.runtime import Runtime

TEST = "TEST"
"""Type of a message that tries an endpoint."""


async def send(runtime: Runtime, message: OutboxMessage) -> bool:
    """Send a message to its endpoint; return False if it is not needed any more.

    The id of the message, in the header ``webhook-id``, is the same at each attempt.

    Raises
    ------
    NotDeliveredError
        If the endpoint did not take it.
    RefusedError
        If it never will: it is gone, or its address is not public.
    """
    async with runtime.unit_of_work() as uow:
        row = await uow.session.scalar(
            select(WebhookRow).where(
                WebhookRow.id == message.target_id, WebhookRow.user_id == message.user_id
            )
        )
        told = await _content(uow, message)
    if row is None or told is None:
        return False
    if not (row.active or is_test(message)):
        raise RefusedError(webhooks.TURNED_OFF)
    body = json_codec.dumps(told)
    now = runtime.clock.now()
    secret = runtime.keys.decrypt(WEBHOOK_SECRET, row.id, row.secret).decode()
    signed = WebhookSignatures(secret, "webhook").headers(f"msg_{message.id}", body, now)
    try:
        answer = await runtime.public_http.post(row.url, {"content-type": "application/json", **signed}, body)
    except AddressRefusedError as error:
        raise RefusedError(str(error)) from error
    except ExchangeFailedError as error:
        raise NotDeliveredError(str(error)) from error
    _judge(answer, now)
    return True


def is_test(message: OutboxMessage) -> bool:
    """Return whether a message only tries an endpoint, once."""
    return "notification_id" not in message.payload


async def delivered(uow: UnitOfWork, message: OutboxMessage) -> None:
    """Note that an endpoint has taken a message."""
    await uow.session.execute(
        update(WebhookRow)
        .where(WebhookRow.id == message.target_id)
        .values(last_delivered_at=uow.clock.now(), last_error=None)
        .execution_options(synchronize_session=False)
    )


async def failed(uow: UnitOfWork, message: OutboxMessage, reason: str, pause: float | None) -> None:
    """Note that an endpoint has not taken a message.

    Parameters
    ----------
    pause
        Seconds until it is tried again, and other messages for the same endpoint not before. None: it
        is not, so that the endpoint is turned off, what waits for it given up, and its owner told.
    """
    changes: dict[str, Any] = {"last_failed_at": uow.clock.now(), "last_error": reason}
    final = pause is None and not is_test(message)
    turned_off = (
        await uow.session.execute(
            update(WebhookRow)
            .where(WebhookRow.id == message.target_id, *([WebhookRow.active] if final else []))
            .values(**changes, **({"active": False} if final else {}))
            .returning(WebhookRow.id, WebhookRow.user_id, WebhookRow.label)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()
    if pause is not None and message.target_id is not None:
        await outbox.postpone(uow, Lane.WEBHOOKS, message.target_id, pause)
    if final and turned_off is not None:
        await outbox.give_up_waiting(uow, Lane.WEBHOOKS, turned_off.id, webhooks.TURNED_OFF)
        await service.notify(
            uow,
            turned_off.user_id,
            NotificationKind.WEBHOOK_DISABLED,
            {"label": turned_off.label, "reason": reason.rstrip(".")},
            {"webhookId": global_id("Webhook", turned_off.id)},
        )


async def _content(uow: UnitOfWork, message: OutboxMessage) -> dict[str, Any] | None:
    """Return what is sent, in the form of Standard Webhooks: type, timestamp and data."""
    if is_test(message):
        words = {"title": "Test", "body": "This endpoint takes the messages of gql_trader."}
        return {"type": TEST, "timestamp": message.created_at, "data": words}
    assert message.user_id is not None
    key = UUID(message.payload["notification_id"])
    found = await repository.deliverable(uow.session, message.user_id, key)
    if found is None:
        return None
    data: dict[str, Any] = {
        "id": global_id("Notification", found.id),
        "title": found.title,
        "body": found.body,
        "payload": dict(found.payload),
    }
    return {"type": found.kind.value, "timestamp": found.created_at, "data": data}


def _judge(answer: Answer, now: datetime) -> None:
    if 200 <= answer.status < 300:
        return
    reason = f"the server answered with status {answer.status}"
    if answer.status == HTTPStatus.GONE:
        raise RefusedError(reason)
    raise NotDeliveredError(reason, retry_after(answer.headers.get("retry-after"), now))
