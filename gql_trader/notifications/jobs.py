"""Jobs of the notifications domain: emptying the outbox."""

from typing import Any

import structlog

from gql_trader.infra import outbox
from gql_trader.notifications import service
from gql_trader.notifications.types import FAILED_KEPT
from gql_trader.runtime import Runtime

_log = structlog.get_logger(__name__)


async def deliver_outbox(ctx: dict[str, Any]) -> None:
    """Deliver all that is due; any number of workers may do so at the same time."""
    runtime: Runtime = ctx["runtime"]
    if runtime.mail is not None:
        while await service.deliver_next(runtime.unit_of_work, runtime.mail, runtime.settings):
            pass


async def forget_failed(runtime: Runtime) -> None:
    """Delete messages that could not be delivered a month ago: there are people's addresses in them."""
    async with runtime.unit_of_work() as uow:
        forgotten = await outbox.forget_failed(uow, FAILED_KEPT)
    if forgotten:
        _log.info("failed_mails_forgotten", count=forgotten)


async def sweep_outbox(runtime: Runtime) -> None:
    """Deliver what the queue has lost, what has to be tried again and what a dead worker had claimed."""
    if runtime.mail is None:
        async with runtime.unit_of_work() as uow:
            waiting = await outbox.waiting(uow)
        if waiting:
            _log.warning("no_mail_server_is_set", waiting=waiting)
    await deliver_outbox({"runtime": runtime})
