"""The queue of what somebody looks at and waits for."""

from gql_trader.backtests.jobs_charts import check_lookahead, draw_plot
from gql_trader.backtests.types import CHARTS
from gql_trader.config import Settings
from gql_trader.infra.worker import QueueSpec

_SECONDS = 60.0


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; it is worked on beside the backtests, so that looking does not wait for them."""
    return QueueSpec(
        name=CHARTS,
        functions=[draw_plot, check_lookahead],
        timeout_seconds=_SECONDS,
        max_tries=2,
        claim_seconds=settings.job_lease_seconds,
    )
