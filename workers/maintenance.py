"""The queue of housekeeping."""

from gql_trader.accounts.jobs import forget_ended_api_tokens, forget_ended_sessions
from gql_trader.config import Settings
from gql_trader.infra.worker import Periodic, QueueSpec
from gql_trader.market_data.jobs import seal_open_months
from gql_trader.notifications.jobs import forget_old_notifications
from gql_trader.runtime import Runtime

_HOUR = 3600.0


async def _seal(runtime: Runtime) -> None:
    await seal_open_months({"runtime": runtime})


def queue(_settings: Settings) -> QueueSpec:
    """Return the queue; every worker, once an hour, seals months and forgets what is over."""
    return QueueSpec(
        name="maintenance",
        functions=[seal_open_months],
        periodic=[
            Periodic(_seal, _HOUR),
            Periodic(forget_ended_sessions, _HOUR),
            Periodic(forget_ended_api_tokens, _HOUR),
            Periodic(forget_old_notifications, _HOUR),
        ],
    )
