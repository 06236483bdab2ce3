"""The queue of balances and reports by the clock."""

from gql_trader.balances.jobs import drop_old_partitions, tick
from gql_trader.balances.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.worker import Periodic, QueueSpec
from gql_trader.reports.jobs import keep_days

_TICK_SECONDS = 5.0
_KEEP_SECONDS = 120.0
_HOUR = 3600.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; it has no jobs: every worker looks every five seconds whether something is due."""
    return QueueSpec(
        name=QUEUE,
        functions=[],
        periodic=[
            Periodic(tick, _TICK_SECONDS),
            Periodic(keep_days, _KEEP_SECONDS),
            Periodic(drop_old_partitions, _HOUR),
        ],
    )
