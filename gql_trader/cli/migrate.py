"""The database made ready for this release."""

from gql_trader import migrate
from gql_trader.cli.errors import CommandError
from gql_trader.cli.start_signal import await_start
from gql_trader.config import Settings
from gql_trader.infra.logging import configure_logging


def tables(settings: Settings, *, start_fd: int | None = None) -> None:
    """Run the migrations that are due."""
    configure_logging(settings.log_level)
    newest = migrate.head_revision()  # imports Alembic, while PostgreSQL may still be starting
    await_start(start_fd)
    url = settings.database_url.get_secret_value()
    if migrate.current_revision(url) != newest:
        migrate.upgrade(url)


def check(settings: Settings) -> None:
    """Compare the tables with the models.

    Raises
    ------
    CommandError
        If a migration is missing.
    """
    differences = migrate.differences(settings.database_url.get_secret_value())
    if differences:
        raise CommandError("\n".join(["tables and models differ; a migration is missing:", *differences]))


def require(settings: Settings) -> None:
    """Refuse a database whose tables are not those of this release.

    Raises
    ------
    CommandError
        If a migration is due.
    """
    if migrate.is_due(settings.database_url.get_secret_value()):
        raise CommandError("the database's tables are not those of this release: run `gql-trader migrate`")


def seeds(settings: Settings, *, demo: bool) -> None:
    """Bring the built-in strategies up to date, and the demo user and data if wanted."""
    import asyncio

    from gql_trader.seeding import seed

    asyncio.run(seed(settings, demo=demo))
