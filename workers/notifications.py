"""The queue of what users are told."""

from gql_trader.config import Settings
from gql_trader.infra.outbox import QUEUE
from gql_trader.infra.worker import Periodic, QueueSpec
from gql_trader.notifications.jobs import deliver_outbox, sweep_outbox

_SWEEP_SECONDS = 15.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; every worker sweeps up what is to be tried again."""
    return QueueSpec(
        name=QUEUE, functions=[deliver_outbox], periodic=[Periodic(sweep_outbox, _SWEEP_SECONDS)]
    )
