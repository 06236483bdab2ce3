"""A worker process: arq's worker, started within a millisecond or two, that outlives a Redis outage."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, NoReturn

import structlog
from arq.constants import in_progress_key_prefix
from arq.cron import CronJob
from arq.worker import Worker, func

from gql_trader.infra.heartbeats import HEARTBEAT_SECONDS, beat, heartbeat_key
from gql_trader.infra.job_queue import arq_redis, wake_channel
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect
from gql_trader.infra.schedule import Scheduled, Ticks, by_period

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
_RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5)

JobFunction = Callable[..., Awaitable[object]]
"""``async def job(ctx, *arguments)``; ``ctx["runtime"]`` is the process's runtime."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something that every worker of a queue does now and then; many may do it at once.

    It needs no Redis, nor a slot among the jobs. What one worker is enough for is `Scheduled`.
    """

    run: Callable[[Any], Awaitable[object]]
    """Receives the runtime."""
    seconds: float
    """Pause between the end of one run and the start of the next; the first run is at the start."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue: its jobs and how they are run, and what is done by the clock where it is worked on.

    ``timeout_seconds`` bounds one run of a job; ``max_tries`` how often a job is started that its
    worker does not live to finish. ``claim_seconds`` is how long the jobs of a killed worker rest before
    another one takes them; living workers renew their claims four times in this time.
    """

    name: str
    functions: Sequence[JobFunction]
    concurrency: int = 1
    timeout_seconds: float = 3600.0
    max_tries: int = 10
    claim_seconds: float = 8.0
    periodic: Sequence[Periodic] = field(default_factory=tuple)
    scheduled: Sequence[Scheduled] = field(default_factory=tuple)


class WakeWorker(Worker):
    """arq's worker with five differences.

    - A message on the queue's channel starts a job at once; polling is the fall-back.
    - A claim on a job lasts seconds and is renewed while it runs, so that the jobs of a killed worker
      go to another one soon. (arq's own claims outlast the longest time-out.)
    - An outage of Redis makes it wait, not end. What is scheduled goes on meanwhile: each worker does it
      then, instead of one of them.
    - Each worker has a heartbeat of its own.
    """

    def __init__(
        self,
        spec: QueueSpec,
        redis_url: str,
        context: dict[Any, Any],
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        redis = arq_redis(redis_url)
        super().__init__(
            [
                func(function, timeout=spec.timeout_seconds, max_tries=spec.max_tries, keep_result=0)  # type: ignore[arg-type]
                for function in spec.functions
            ],
            queue_name=spec.name,
            cron_jobs=[
                Ticks(same, timeout_seconds=spec.timeout_seconds, max_tries=spec.max_tries)
                for same in by_period(spec.scheduled)
            ],
            timezone=UTC,
            redis_pool=redis,
            ctx={**context, "redis": redis},
            handle_signals=False,
            max_jobs=spec.concurrency,
            keep_result=0,
            poll_delay=poll_seconds,
            health_check_interval=HEARTBEAT_SECONDS,
            health_check_key=heartbeat_key(spec.name),
            job_serializer=redis.job_serializer,
            job_deserializer=redis.job_deserializer,
            log_results=False,
        )
        self.in_progress_timeout_s = spec.claim_seconds
        self._is_scheduler = not spec.functions
        self._redis_url = redis_url
        self._wake = asyncio.Event()
        self.ready = asyncio.Event()
        """Set once the worker listens and has looked at its queue."""

    async def main(self) -> None:
        """Take and run jobs until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._renew_claims())
            await self._take_jobs(group)

    def wake(self) -> None:
        """Let the worker look at its queue now."""
        self._wake.set()

    async def _take_jobs(self, group: asyncio.TaskGroup) -> NoReturn:
        failures = 0
        while True:
            self._wake.clear()
            try:
                await self._poll_iteration()
            except TRANSPORT_ERRORS as error:
                if failures == 0:
                    _log.warning("queue_away", queue=self.queue_name, reason=str(error))
                for job in self._due():
                    group.create_task(self._run_without_queue(job))
                await asyncio.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
                failures += 1
                continue
            if failures:
                _log.info("queue_back", queue=self.queue_name, attempts=failures)
                failures = 0
            with suppress(TimeoutError):
                async with asyncio.timeout(self.poll_delay_s):
                    await self._wake.wait()

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Put the ticks of the next second into the queue; those that cannot be are tried again."""
        before = [(job, job.next_run) for job in self.cron_jobs]
        try:
            await super().run_cron(n, delay, num_windows)
        except TRANSPORT_ERRORS:
            # A tick that was queued nevertheless is refused the second time.
            for job, tick in before:
                job.next_run = tick
            raise

    def _due(self) -> Iterator[CronJob]:
        now = datetime.now(UTC)
        for job in self.cron_jobs:
            if job.next_run is not None and job.next_run <= now:
                job.calculate_next(now)
                yield job

    async def _run_without_queue(self, job: CronJob) -> None:
        try:
            async with asyncio.timeout(job.timeout_s):
                await job.coroutine(self.ctx)
        except Exception:
            # The database may be away, too.
            _log.exception("scheduled_work_failed", work=job.name)

    async def _listen(self) -> NoReturn:
        """Set the wake-up event at each message; reconnect for ever."""
        failures = 0
        while True:
            client = connect(self._redis_url)
            try:
                async with client.pubsub() as subscription:
                    await subscription.subscribe(wake_channel(self.queue_name))
                    async for message in subscription.listen():
                        # The confirmation of the subscription wakes too: we may have missed a message.
                        failures = 0
                        self._wake.set()
                        if message["type"] == "subscribe":
                            self.ready.set()
            except TRANSPORT_ERRORS as error:
                _log.debug("wake_channel_lost", queue=self.queue_name, reason=str(error))
            finally:
                await client.aclose(close_connection_pool=True)
            await asyncio.sleep(_RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _renew_claims(self) -> NoReturn:
        while True:
            await asyncio.sleep(self.in_progress_timeout_s / 4)
            running = [job_id for job_id, task in self.tasks.items() if not task.done()]
            if not running:
                continue
            pipeline = self.pool.pipeline(transaction=False)
            for job_id in running:
                # Only prolonged, never made anew: the job may just have ended, or, after a long outage,
                # be another worker's. The lease in PostgreSQL decides whose it is.
                pipeline.pexpire(in_progress_key_prefix + job_id, int(self.in_progress_timeout_s * 1000))
            try:
                await pipeline.execute()
            except TRANSPORT_ERRORS as error:
                _log.warning("claims_not_renewed", queue=self.queue_name, jobs=running, reason=str(error))

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim and start jobs while there are free slots."""
        try:
            await super().start_jobs(job_ids)
        except TRANSPORT_ERRORS:
            # arq has taken a slot for the job whose claim failed, and would never give it back.
            super()._release_sem_dec_counter_on_complete()
            raise

    def _release_sem_dec_counter_on_complete(self) -> None:
        all_slots_were_taken = self.job_counter >= self.max_jobs
        super()._release_sem_dec_counter_on_complete()
        if all_slots_were_taken:
            self._wake.set()

    async def record_health(self) -> None:
        """Write this worker's heartbeat, if it is due; what is scheduled has none of its own."""
        if self._is_scheduler:
            return
        if monotonic() - self._last_health_check < self.health_check_interval and self._last_health_check:
            return
        self._last_health_check = monotonic()
        running = sum(not task.done() for task in self.tasks.values())
        await beat(self.pool, self.queue_name, running, self.jobs_complete, self.jobs_failed)

    async def stop(self) -> None:
        """Cancel the running jobs, hand them back, wake the other workers and close the connections."""
        self.allow_pick_jobs = False
        tasks = [task for task in self.tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                _log.warning("job_not_handed_back", queue=self.queue_name, reason=str(outcome))
        try:
            await self.pool.delete(self.health_check_key)
            if tasks:
                await self.pool.publish(wake_channel(self.queue_name), b"")
        except TRANSPORT_ERRORS as error:
            _log.warning("queue_away_at_stop", queue=self.queue_name, reason=str(error))
        await self.pool.aclose(close_connection_pool=True)
