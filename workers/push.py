"""The queue of push messages: a slow server keeps nothing else waiting."""

from gql_trader.config import Settings
from gql_trader.infra.outbox import Lane
from gql_trader.infra.worker import QueueSpec
from gql_trader.notifications.jobs import deliver_outbox

_CONCURRENCY = 4


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; the scheduler sweeps up what is to be tried again."""
    return QueueSpec(
        name=Lane.PUSH.queue,
        functions=[deliver_outbox],
        concurrency=_CONCURRENCY,
    )
