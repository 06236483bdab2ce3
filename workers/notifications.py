"""The queue of what users are told: notices become notifications, and those become deliveries."""

from gql_trader.config import Settings
from gql_trader.infra.outbox import Lane
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.notifications.jobs import deliver_outbox, forget_failed, sweep_notices

_CONCURRENCY = 4
_SWEEP_SECONDS = 5.0
_FORGET_SECONDS = 3600.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; a sweeper finds what is to be tried again, and what has failed is forgotten."""
    return QueueSpec(
        name=Lane.NOTICES.queue,
        functions=[deliver_outbox],
        concurrency=_CONCURRENCY,
        scheduled=[Scheduled(sweep_notices, _SWEEP_SECONDS), Scheduled(forget_failed, _FORGET_SECONDS)],
    )
