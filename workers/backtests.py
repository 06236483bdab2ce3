"""The queue that runs backtests."""

from gql_trader.backtests.jobs import run_backtest, sweep, verify_backtest
from gql_trader.backtests.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; a sweeper finds what a crash left behind."""
    return QueueSpec(
        name=QUEUE,
        functions=[run_backtest, verify_backtest],
        concurrency=settings.worker_concurrency,
        claim_seconds=settings.job_lease_seconds,
        scheduled=[Scheduled(sweep, settings.sweep_seconds)],
    )
