"""Tables and seeds, before the API starts."""

import asyncio

from gql_trader import migrate, seeding
from gql_trader.cli.start_signal import await_start
from gql_trader.config import Settings
from gql_trader.infra.logging import configure_logging


def run(settings: Settings, *, demo: bool, start_fd: int | None = None) -> None:
    """Run the migrations that are due, then the seeds."""
    configure_logging(settings.log_level)
    await_start(start_fd)
    migrate.upgrade_if_needed(settings.database_url.get_secret_value())
    asyncio.run(seeding.seed(settings, demo=demo))
