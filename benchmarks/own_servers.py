"""Servers of a benchmark's own, worker processes beside them, and users to begin with.

What is measured is on servers as `gql-trader up` starts them, in a temporary directory, so that nothing that
is there is touched and nothing is left behind.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

from sqlalchemy import insert

import gql_trader.metadata  # noqa: F401 -- every table, since some refer to those of other domains
from gql_trader import migrate
from gql_trader.accounts import repository, sessions
from gql_trader.accounts.models import UserRow
from gql_trader.accounts.types import UNKNOWN_DEVICE
from gql_trader.config import Settings
from gql_trader.core.actor import Role
from gql_trader.core.ids import uuid7
from gql_trader.infra.embedded.data_directory import DataDirectory
from gql_trader.infra.embedded.processes import ChildRegister
from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.runtime import Runtime

_ROOT = Path(__file__).resolve().parents[1]
_AT_ONCE = 1000


@contextmanager
def own_servers(*, durable: bool = True) -> Iterator[Settings]:
    """Start servers with a database of the newest tables; stop and remove them at the end.

    Parameters
    ----------
    durable
        Whether they wait for the disk at each commit, as in production.
    """
    directory = Path(tempfile.mkdtemp(prefix="gql-trader-benchmark-"))
    data = DataDirectory(directory).lock()
    servers = EmbeddedServers(data, ChildRegister(data.register), durable=durable)
    servers.start()
    try:
        assert servers.database_url is not None
        migrate.upgrade(servers.database_url)
        yield Settings.model_validate(
            {"database_url": servers.database_url, "redis_url": servers.redis_url, "data_dir": directory}
        )
    finally:
        servers.stop()
        data.unlock()
        shutil.rmtree(directory)


def start_worker(
    settings: Settings, queue: str, log_level: str = "WARNING", output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker process for a queue; what it logs goes to this program's output, or into a file."""
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "GQL_TRADER_DATA_DIR": str(settings.data_dir),
        "LOG_LEVEL": log_level,
    }
    command = [sys.executable, "-m", "gql_trader", "worker", "--queue", queue]
    errors = None if output is None else subprocess.STDOUT
    return subprocess.Popen(command, env=environment, cwd=_ROOT, stdout=output, stderr=errors)


async def add_users(runtime: Runtime, names: Sequence[str]) -> list[UUID]:
    """Add traders who cannot log in; return them in this order."""
    keys, now = [uuid7() for _ in names], runtime.clock.now()
    rows = [
        {
            "id": key,
            "username": name,
            "username_key": name,
            "email": f"{name}@example.com",
            "email_key": f"{name}@example.com",
            "password_hash": "!",
            "role": Role.TRADER.value,
            "status": "ACTIVE",
            "token_version": 1,
            "created_at": now,
            "updated_at": now,
        }
        for key, name in zip(keys, names, strict=True)
    ]
    async with runtime.unit_of_work() as uow:
        for begin in range(0, len(rows), _AT_ONCE):
            await uow.session.execute(insert(UserRow), rows[begin : begin + _AT_ONCE])
    return keys


async def access_token(runtime: Runtime, user_id: UUID) -> str:
    """Return an access token of a user's, good for a day."""
    async with runtime.unit_of_work() as uow:
        row = await repository.user_by_id(uow.session, user_id)
        assert row is not None
        started = await sessions.start(uow, runtime.tokens, row, UNKNOWN_DEVICE, timedelta(days=1))
        return started.access_token
