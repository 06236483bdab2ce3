"""The queue of live feeds: apart from what is fetched at length, since bots wait for what closes."""

from gql_trader.config import Settings
from gql_trader.infra.worker import Periodic, QueueSpec
from gql_trader.market_data.feeds.jobs import dispatch_feeds, poll_feed
from gql_trader.market_data.feeds.jobs_streams import watch_feeds
from gql_trader.market_data.types_feeds import QUEUE

_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 5.0


def queue(settings: Settings) -> QueueSpec:
    """Return the queue; every worker looks for feeds that are due."""
    return QueueSpec(
        name=QUEUE,
        functions=[poll_feed],
        concurrency=settings.market_data_concurrency,
        timeout_seconds=300.0,
        max_tries=2,
        claim_seconds=settings.job_lease_seconds,
        periodic=[Periodic(dispatch_feeds, _LOOK_SECONDS), Periodic(watch_feeds, _AGAIN_SECONDS)],
    )
