"""What is done by the clock: arq's cron jobs, whose ticks are the multiples of a period."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from time import time_ns
from typing import Any, Final

import structlog
from arq.connections import ArqRedis
from arq.cron import CronJob, cron

from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.infra.redis_client import TRANSPORT_ERRORS

_log = structlog.get_logger(__name__)

_REMEMBERED_SECONDS: Final = 60.0
"""At least for so long it is known that a tick is done: a worker may be late to think of it."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Something that one worker does at each tick, whatever the number of workers.

    It has to bear being done twice, since Redis, which knows of the ticks, may forget them.
    """

    run: Callable[[Any], Awaitable[object]]
    """Receives the runtime."""
    seconds: float
    """Ticks are at the multiples of so many since 1970-01-01 UTC."""

    @property
    def name(self) -> str:
        """Its name in Redis and in logs."""
        return f"{self.run.__module__}.{self.run.__qualname__}".removeprefix("gql_trader.")


def digest(scheduled: Iterable[Scheduled]) -> str:
    """Return what is the same for workers that are to do the same."""
    names = "\n".join(sorted(each.name for each in scheduled))
    return hashlib.blake2b(names.encode(), digest_size=4).hexdigest()


def by_period(scheduled: Iterable[Scheduled]) -> Iterator[list[Scheduled]]:
    """Yield together what has the same ticks."""
    for _, same in groupby(sorted(scheduled, key=lambda each: each.seconds), key=lambda each: each.seconds):
        yield list(same)


class Ticks(CronJob):
    """arq's cron job with four differences.

    - Ticks need not be at certain minutes, nor does a period have to divide an hour.
    - One job is for all that has the same period, since a job costs Redis two dozen commands. Each of them is
      claimed by itself, as there may be workers that do only some of them.
    - Of the ticks at which there was no worker, or no Redis, the last is made up for, and those before it are
      left out. A worker that starts looks whether the last one was missed.
    - A run that is not over when the next one is due is not overtaken by it in the same process.
    """

    def __init__(self, of: Sequence[Scheduled], *, timeout_seconds: float, max_tries: int) -> None:
        (seconds,) = {each.seconds for each in of}
        self._of = of
        self._period = round(1000 * seconds)
        self._running: set[str] = set()
        self._remembered_seconds = max(_REMEMBERED_SECONDS, 2 * seconds)

        async def run(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
            await self._run(ctx)

        # Which tick a job is for is in its key: that of one that is done is refused while the result is kept.
        made = cron(
            run,
            name=f"every {seconds:g} s:{digest(of)}",
            timeout=timeout_seconds,
            max_tries=max_tries,
            keep_result=self._remembered_seconds,
        )
        super().__init__(**vars(made))
        self.next_run = from_milliseconds(_now() // self._period * self._period)

    def calculate_next(self, prev_run: datetime) -> None:
        """Set the first tick that is after another, and not over."""
        after = max(to_milliseconds(prev_run), _now())
        self.next_run = from_milliseconds((after // self._period + 1) * self._period)

    async def _run(self, ctx: dict[Any, Any]) -> None:
        free = [each for each in self._of if each.name not in self._running]
        self._running.update(each.name for each in free)
        mine: list[Scheduled] = []
        try:
            # Without a job Redis is away.
            mine = await _claimed(ctx, free, self._remembered_seconds) if "job_id" in ctx else free
        finally:
            self._running.difference_update(each.name for each in free if each not in mine)
        async with asyncio.TaskGroup() as group:
            for each in mine:
                task = group.create_task(_do(each, ctx["runtime"]), name=each.name)
                # What takes long does not keep the others from their next tick.
                task.add_done_callback(lambda ended: self._running.discard(ended.get_name()))


async def _do(each: Scheduled, runtime: Any) -> None:
    try:
        await each.run(runtime)
    except Exception:
        # The database may be away. What has the same ticks goes on, and this is done at the next one.
        _log.exception("scheduled_work_failed", work=each.name)


async def _claimed(ctx: dict[Any, Any], of: Sequence[Scheduled], seconds: float) -> list[Scheduled]:
    """Return what no other job has begun at this tick; a job that is run again has what it had before."""
    job: str = ctx["job_id"]
    redis: ArqRedis = ctx["redis"]
    tick = job.rpartition(":")[2]
    pipeline = redis.pipeline(transaction=False)
    for each in of:
        pipeline.set(f"tick:{each.name}:{tick}", job, nx=True, get=True, px=int(1000 * seconds))
    try:
        before = await pipeline.execute()
    except TRANSPORT_ERRORS:
        # Rather twice than not at all.
        return list(of)
    return [each for each, claimed in zip(of, before, strict=True) if claimed in (None, job.encode())]


def _now() -> int:
    return time_ns() // 1_000_000
