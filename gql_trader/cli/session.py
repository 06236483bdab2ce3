"""Settings for a command, and a database and Redis for it to work on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import SecretStr

from gql_trader.cli.errors import CommandError
from gql_trader.config import Settings
from gql_trader.infra.embedded.data_directory import DataDirectory, DataDirectoryInUseError
from gql_trader.infra.embedded.processes import ChildRegister
from gql_trader.infra.embedded.servers import EmbeddedServers, embedded_urls


def load_settings(**given: Any) -> Settings:
    """Return the settings; options that were given (not None) go before the environment and ``.env``.

    Raises
    ------
    pydantic.ValidationError
        If one of them is refused.
    """
    return Settings(**{name: value for name, value in given.items() if value is not None})


@contextmanager
def connected(settings: Settings, *, start: bool = True, migrated: bool = True) -> Iterator[Settings]:
    """Yield settings that name a database and Redis.

    Those that are set stay. Where the embedded servers are meant and a ``gql-trader up`` runs on the
    data directory, its servers are used; otherwise they are started for as long as the block lasts.

    Parameters
    ----------
    start
        False: do not start servers.
    migrated
        Bring the tables of a server that was started up to date first.

    Raises
    ------
    CommandError
        If servers would have to be started and must not be.
    """
    has_database = bool(settings.database_url.get_secret_value())
    has_redis = bool(settings.redis_url.get_secret_value())
    if has_database and has_redis:
        yield settings
        return
    data = DataDirectory(settings.data_dir)
    if not start and not data.is_locked():
        raise CommandError(
            f"no server runs on {data.path}: start `gql-trader up`, or set DATABASE_URL and REDIS_URL"
        )
    try:
        data.lock()
    except DataDirectoryInUseError:
        yield with_urls(settings, *embedded_urls(data))
        return
    register = ChildRegister(data.register)
    try:
        register.stop_leftovers(seconds=5.0)
        servers = EmbeddedServers(
            data,
            register,
            postgres=not has_database,
            valkey=not has_redis,
            postgres_bin_dir=settings.postgres_bin_dir,
            valkey_bin=settings.valkey_bin,
        )
        servers.start()
        try:
            ready = with_urls(settings, servers.database_url, servers.redis_url)
            if migrated:
                from gql_trader.migrate import upgrade

                upgrade(ready.database_url.get_secret_value())
            yield ready
        finally:
            servers.stop()
    finally:
        data.unlock()


def with_urls(settings: Settings, database_url: str | None, redis_url: str | None) -> Settings:
    """Return settings with these addresses where none are set."""
    update: dict[str, Any] = {}
    if not settings.database_url.get_secret_value():
        update["database_url"] = SecretStr(database_url or "")
    if not settings.redis_url.get_secret_value():
        update["redis_url"] = SecretStr(redis_url or "")
    return settings.model_copy(update=update)
