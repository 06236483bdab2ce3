"""The queue that runs parameter searches."""

from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.optimizations.jobs import run_chunk, sweep
from gql_trader.optimizations.types import QUEUE


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; a sweeper finds what a crash left behind.

    One chunk at a time: a worker process for each core is as fast as it gets.
    """
    return QueueSpec(
        name=QUEUE,
        functions=[run_chunk],
        concurrency=1,
        claim_seconds=settings.job_lease_seconds,
        scheduled=[Scheduled(sweep, settings.sweep_seconds)],
    )
