"""A worker process for the queue's tests: ``python queue_worker.py REDIS_URL [QUEUE]``.

Its jobs leave their traces in Redis lists, where the tests read them: there they survive the process.
"""

import asyncio
import os
import sys
from typing import Any

import redis.asyncio

from gql_trader.infra.logging import configure_logging
from gql_trader.infra.schedule import Scheduled
from gql_trader.infra.work import run_queues
from gql_trader.infra.worker import Periodic, QueueSpec

QUEUE = "tests"


async def note(ctx: dict[str, Any], text: str) -> None:
    """Leave a trace."""
    await ctx["runtime"].rpush(f"ran:{text}", os.getpid())


async def hold(ctx: dict[str, Any], text: str) -> None:
    """Say who has started, and end when a gate is opened."""
    client = ctx["runtime"]
    await client.rpush(f"started:{text}", os.getpid())
    await client.blpop([f"gate:{text}"], timeout=60)
    await client.rpush(f"ran:{text}", os.getpid())


async def fail(ctx: dict[str, Any], text: str) -> None:
    """Fail."""
    await ctx["runtime"].rpush(f"started:{text}", os.getpid())
    raise LookupError(text)


async def tick(client: Any) -> None:
    """Count, and fail the second time."""
    number = await client.incr("ticks")
    if number == 2:
        raise LookupError("periodic work may fail")
    await client.rpush(f"ran:tick {number}", os.getpid())


async def tock(client: Any) -> None:
    """Leave a trace on behalf of a queue without jobs."""
    await client.rpush("ran:tock", os.getpid())


async def mark(client: Any) -> None:
    """Leave a trace of each tick."""
    await client.rpush("ran:mark", os.getpid())


async def sweep(client: Any) -> None:
    """Leave a trace of what is scheduled for a queue with jobs."""
    await client.rpush("ran:sweep", os.getpid())


async def fail_each_time(_client: Any) -> None:
    """Fail, beside what has the same ticks."""
    raise LookupError("scheduled work may fail")


async def mark_week(client: Any) -> None:
    """Leave a trace of each week, or of the last one that was missed."""
    await client.rpush("ran:week", os.getpid())


async def main(url: str, only: str | None = None) -> None:
    """Work until told to stop."""
    configure_logging("INFO")
    spec = QueueSpec(
        QUEUE,
        [note, hold, fail],
        concurrency=2,
        claim_seconds=2.0,
        periodic=[Periodic(tick, 0.05)],
        scheduled=[Scheduled(sweep, 0.5), Scheduled(fail_each_time, 0.5)],
    )
    client = redis.asyncio.Redis.from_url(url)
    without_jobs = QueueSpec("tocks", [], periodic=[Periodic(tock, 0.05)])
    by_the_clock = QueueSpec(
        "clock", [], concurrency=4, scheduled=[Scheduled(mark, 0.5), Scheduled(mark_week, 7 * 86_400.0)]
    )
    specs = [each for each in (spec, without_jobs, by_the_clock) if only in (None, each.name)]
    await run_queues(specs, url, client, on_ready=lambda: print("ready", flush=True))
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
