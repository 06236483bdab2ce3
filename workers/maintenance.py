"""The queue of housekeeping."""

from gql_trader.accounts.jobs import forget_ended_api_tokens, forget_ended_sessions
from gql_trader.config import Settings
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.worker import QueueSpec
from gql_trader.market_data.jobs import seal_open_months
from gql_trader.notifications.jobs import forget_old_notifications

_HOUR = 3600.0


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; it has no jobs: once an hour one worker seals months and forgets what is over."""
    return QueueSpec(
        name="maintenance",
        functions=[],
        scheduled=[
            Scheduled(seal_open_months, _HOUR),
            Scheduled(forget_ended_sessions, _HOUR),
            Scheduled(forget_ended_api_tokens, _HOUR),
            Scheduled(forget_old_notifications, _HOUR),
        ],
    )
