"""The queue of what happens by the clock."""

from gql_trader.automations.jobs import forget_runs, run_automation, tick
from gql_trader.automations.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import Periodic, QueueSpec

_TICK_SECONDS = 1.0
_CONCURRENCY = 2


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; every worker looks each second whether something is due."""
    return QueueSpec(
        name=QUEUE,
        functions=[run_automation],
        concurrency=_CONCURRENCY,
        periodic=[Periodic(tick, _TICK_SECONDS)],
        scheduled=[Scheduled(forget_runs, 3600.0)],
    )
