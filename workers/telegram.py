"""The queue of messages to Telegram: a slow server keeps nothing else waiting."""

from gql_trader.config import Settings
from gql_trader.infra.outbox import Lane
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.notifications.jobs import deliver_outbox, sweep_telegram

_CONCURRENCY = 4
_SWEEP_SECONDS = 5.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; a sweeper finds what is to be tried again."""
    return QueueSpec(
        name=Lane.TELEGRAM.queue,
        functions=[deliver_outbox],
        concurrency=_CONCURRENCY,
        scheduled=[Scheduled(sweep_telegram, _SWEEP_SECONDS)],
    )
