"""The queue of balances and reports by the clock."""

from gql_trader.balances.jobs import drop_old_partitions, tick
from gql_trader.balances.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.reports.jobs import keep_days

_MINUTE = 60.0
_HOUR = 3600.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; it has no jobs: each minute one worker looks whether something is due."""
    return QueueSpec(
        name=QUEUE,
        functions=[],
        scheduled=[
            # Who is due, and since when, is in the database.
            Scheduled(tick, _MINUTE),
            Scheduled(keep_days, 2 * _MINUTE),
            Scheduled(drop_old_partitions, _HOUR),
        ],
    )
