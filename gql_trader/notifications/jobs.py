"""Jobs of the notifications domain: emptying the outbox, and forgetting."""

import asyncio
from datetime import timedelta
from typing import Any

import structlog

from gql_trader.infra import outbox
from gql_trader.infra.outbox import Lane
from gql_trader.notifications import delivering, service
from gql_trader.notifications.types import FAILED_KEPT
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def deliver_outbox(ctx: dict[str, Any], lane: str | None = None) -> None:
    """Deliver all that is due in a lane, or in all; any number of workers may do so at the same time."""
    runtime: Runtime = ctx["runtime"]
    lanes = [Lane(lane)] if lane else list(Lane)
    if runtime.mail is None and Lane.MAIL in lanes:
        lanes.remove(Lane.MAIL)
    if lanes:
        while await delivering.deliver_next(runtime, lanes):
            pass


async def forget_failed(runtime: Runtime) -> None:
    """Delete messages that could not be delivered a month ago: there are people's addresses in them."""
    async with runtime.unit_of_work() as uow:
        forgotten = await outbox.forget_failed(uow, FAILED_KEPT)
    if forgotten:
        _log.info("failed_mails_forgotten", count=forgotten)


async def sweep_notices(runtime: Runtime) -> None:
    """Do what the queue has lost, what has to be tried again and what a dead worker had claimed."""
    await deliver_outbox({"runtime": runtime}, Lane.NOTICES)


async def sweep_push(runtime: Runtime) -> None:
    """Do the same for push messages; each lane has its own sweep, which waits for no other."""
    await deliver_outbox({"runtime": runtime}, Lane.PUSH)


async def sweep_telegram(runtime: Runtime) -> None:
    """Do the same for messages to Telegram."""
    await deliver_outbox({"runtime": runtime}, Lane.TELEGRAM)


async def sweep_mail(runtime: Runtime) -> None:
    """Do the same for mails, and warn if they wait for a mail server to be set."""
    if runtime.mail is None:
        async with runtime.unit_of_work() as uow:
            waiting = await outbox.waiting(uow, Lane.MAIL)
        if waiting:
            _log.warning("no_mail_server_is_set", waiting=waiting)
    await deliver_outbox({"runtime": runtime}, Lane.MAIL)


async def sweep_webhooks(runtime: Runtime) -> None:
    """Do the same for webhooks, several at a time, since each may take some seconds."""
    async with runtime.unit_of_work() as uow:
        due = await outbox.due(uow, Lane.WEBHOOKS, runtime.settings.webhook_concurrency)
    await asyncio.gather(*(deliver_outbox({"runtime": runtime}, Lane.WEBHOOKS) for _ in range(due)))


async def forget_old_notifications(runtime: Runtime) -> None:
    """Delete notifications that are older than the setting says; a second time changes nothing."""
    age = timedelta(days=runtime.settings.notification_retention_days)
    async with runtime.unit_of_work() as uow:
        forgotten = await service.forget(uow, age)
    if forgotten:
        _log.info("old_notifications_forgotten", count=forgotten)
