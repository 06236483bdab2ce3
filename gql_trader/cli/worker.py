"""The worker process."""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvloop

from gql_trader import __version__
from gql_trader.cli.errors import CommandError
from gql_trader.cli.start_signal import tell_ready
from gql_trader.config import Settings
from gql_trader.engine.version import ENGINE_VERSION
from gql_trader.infra.allocator import keep_freed_memory
from gql_trader.infra.collector import tune_collector
from gql_trader.infra.directories import make_private_directory
from gql_trader.infra.logging import configure_logging
from gql_trader.infra.work import run_queues
from gql_trader.infra.worker import QueueSpec
from gql_trader.runtime import open_runtime

CACHE_OF_THIS_VERSION = f"{__version__}-{ENGINE_VERSION}"
"""The directory of compiled code, below that of the cache."""

_log = structlog.get_logger(__name__)


def run(settings: Settings, only: Sequence[str] | None = None, *, ready_fd: int | None = None) -> None:
    """Compile or load the engine's machine code, then work on the queues until SIGTERM or SIGINT.

    Parameters
    ----------
    only
        Names of the queues to work on; all if there are none.
    ready_fd
        Told when jobs can be taken; see `tell_ready`.
    """
    configure_logging(settings.log_level)
    keep_freed_memory()
    cache = numba_cache(settings)
    make_private_directory(cache)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)
    with _one_at_a_time(cache / "warm_up.lock"):
        from gql_trader.engine.warmup import warm_up

        warm_up()
    specs = _queues(settings)
    unknown = set(only or ()) - {spec.name for spec in specs}
    if unknown:
        raise CommandError(
            f"no queue {', '.join(sorted(unknown))}; there are {', '.join(spec.name for spec in specs)}"
        )
    tune_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, [spec for spec in specs if not only or spec.name in only], ready_fd))


def numba_cache(settings: Settings) -> Path:
    """Return where compiled code is kept: below NUMBA_CACHE_DIR, or a directory among the data.

    Each version has its own, so that two that run side by side do not take each other's away.
    """
    base = Path(
        os.environ.get("NUMBA_CACHE_DIR") or settings.data_dir.expanduser().absolute() / "cache" / "numba"
    )
    return base / CACHE_OF_THIS_VERSION


def _queues(settings: Settings) -> list[QueueSpec]:
    # numba must know its cache's directory before these import the engine.
    from workers import (
        alerts,
        automations,
        backtests,
        balances,
        bots,
        charts,
        feeds,
        mail,
        maintenance,
        market_data,
        notifications,
        optimizations,
        orders,
        push,
        telegram,
        webhooks,
    )

    modules = (
        alerts,
        automations,
        backtests,
        balances,
        bots,
        charts,
        feeds,
        mail,
        maintenance,
        market_data,
        notifications,
        optimizations,
        orders,
        push,
        telegram,
        webhooks,
    )
    return [module.queue(settings) for module in modules]


async def _work(settings: Settings, specs: Sequence[QueueSpec], ready_fd: int | None) -> None:
    def announce() -> None:
        _log.info("worker_ready", queues=[spec.name for spec in specs])
        tell_ready(ready_fd)

    async with open_runtime(settings) as runtime:
        await run_queues(
            specs,
            settings.redis_url.get_secret_value(),
            runtime,
            on_ready=announce,
        )


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Let one worker compile while the others wait, and then load what it has compiled."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
