"""The queue of alerts."""

from gql_trader.alerts.jobs import watch
from gql_trader.alerts.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.worker import Periodic, QueueSpec

_SECONDS = 2.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; it has no jobs: every worker looks every two seconds whether there are new bars."""
    return QueueSpec(name=QUEUE, functions=[], periodic=[Periodic(watch, _SECONDS)])
