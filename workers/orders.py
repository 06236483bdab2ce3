"""The queue that sends live orders to exchanges and follows them."""

from gql_trader.bots.live.jobs_orders import (
    follow_orders,
    live_account,
    live_order,
    live_session,
    sweep_sessions,
)
from gql_trader.bots.types_live import LEASE, ORDERS_QUEUE
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import Periodic, QueueSpec

_FOLLOW_SECONDS = 0.5
_AT_ONCE = 32
"""Orders at a time: each mostly waits for its exchange."""


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; every worker looks for what is due."""
    return QueueSpec(
        name=ORDERS_QUEUE,
        functions=[live_order, live_session, live_account],
        concurrency=_AT_ONCE,
        timeout_seconds=LEASE.total_seconds(),
        claim_seconds=settings.job_lease_seconds,
        periodic=[Periodic(follow_orders, _FOLLOW_SECONDS)],
        scheduled=[Scheduled(sweep_sessions, settings.sweep_seconds)],
    )
