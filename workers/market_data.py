"""The queue of what is fetched from exchanges."""

from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.market_data.syncs.jobs import sweep_syncs, sync_candles
from gql_trader.market_data.types_syncs import QUEUE

_SECONDS = 6 * 3600.0


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; its jobs mostly wait for exchanges, and leave the cores to the others."""
    return QueueSpec(
        name=QUEUE,
        functions=[sync_candles],
        concurrency=settings.market_data_concurrency,
        timeout_seconds=_SECONDS,
        claim_seconds=settings.job_lease_seconds,
        scheduled=[Scheduled(sweep_syncs, settings.sweep_seconds)],
    )
