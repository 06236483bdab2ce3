"""The scheduler: what is done by the clock, once per tick whatever the number of workers.

What other queues do besides their jobs is done by every worker, many times a minute or at each moment that
something waits for: it is beside them, as ``periodic``.
"""

from gql_trader.accounts.jobs import forget_ended_api_tokens, forget_ended_sessions
from gql_trader.automations.jobs import forget_runs
from gql_trader.backtests.jobs import sweep as sweep_backtests
from gql_trader.balances.jobs import drop_old_partitions, tick
from gql_trader.bots.jobs import forget_signals
from gql_trader.bots.jobs import sweep as sweep_bots
from gql_trader.bots.live.jobs_orders import sweep_sessions
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.market_data.jobs import seal_open_months
from gql_trader.market_data.jobs_syncs import sweep_syncs
from gql_trader.notifications.jobs import (
    forget_failed,
    forget_old_notifications,
    sweep_mail,
    sweep_notices,
    sweep_push,
    sweep_telegram,
    sweep_webhooks,
)
from gql_trader.optimizations.jobs import sweep as sweep_searches
from gql_trader.reports.jobs import keep_days

QUEUE = "scheduler"

_OUTBOX_SECONDS = 5.0
_MINUTE = 60.0
_HOUR = 3600.0


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; all of it may be done at the same time, so that nothing waits for anything else."""
    sweepers = (sweep_backtests, sweep_bots, sweep_searches, sweep_sessions, sweep_syncs)
    outboxes = (sweep_mail, sweep_notices, sweep_push, sweep_telegram, sweep_webhooks)
    old = (
        drop_old_partitions,
        forget_ended_api_tokens,
        forget_ended_sessions,
        forget_failed,
        forget_old_notifications,
        forget_runs,
        forget_signals,
        seal_open_months,
    )
    scheduled = [
        # Snapshots, heartbeats and days: who is due, and since when, is in the database.
        Scheduled(tick, _MINUTE),
        Scheduled(keep_days, 2 * _MINUTE),
        *(Scheduled(sweep, settings.sweep_seconds) for sweep in sweepers),
        *(Scheduled(sweep, _OUTBOX_SECONDS) for sweep in outboxes),
        *(Scheduled(forget, _HOUR) for forget in old),
    ]
    return QueueSpec(
        name=QUEUE,
        functions=[],
        # A run that takes long has a place of its own, as have those that only see that there is one.
        concurrency=2 * len(scheduled),
        claim_seconds=settings.job_lease_seconds,
        scheduled=scheduled,
    )
