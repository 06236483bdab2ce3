"""The queue of webhooks: apart from what else users are told, since their servers may be slow."""

from gql_trader.config import Settings
from gql_trader.infra.outbox import Lane
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.notifications.jobs import deliver_outbox, sweep_webhooks

_SWEEP_SECONDS = 5.0


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; a sweeper finds what is to be tried again."""
    return QueueSpec(
        name=Lane.WEBHOOKS.queue,
        functions=[deliver_outbox],
        concurrency=settings.webhook_concurrency,
        scheduled=[Scheduled(sweep_webhooks, _SWEEP_SECONDS)],
    )
