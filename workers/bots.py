"""The queue that runs bots."""

from gql_trader.bots.jobs import (
    bars_closed,
    check,
    close_session,
    forget_signals,
    match_orders,
    pace,
    run_session,
    sweep,
    tick,
)
from gql_trader.bots.live.jobs_bots import check_live_bot, live_bot
from gql_trader.bots.types import QUEUE
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import Periodic, QueueSpec

_PACE_SECONDS = 0.25


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; every worker looks for what is due, and a sweeper finds what a crash left behind."""
    return QueueSpec(
        name=QUEUE,
        functions=[
            bars_closed,
            tick,
            check,
            run_session,
            close_session,
            match_orders,
            live_bot,
            check_live_bot,
        ],
        concurrency=settings.worker_concurrency,
        claim_seconds=settings.job_lease_seconds,
        periodic=[Periodic(pace, _PACE_SECONDS)],
        scheduled=[Scheduled(sweep, settings.sweep_seconds), Scheduled(forget_signals, 3600.0)],
    )
