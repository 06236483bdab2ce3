"""The queue with real workers: started at once, once, and finished by another if one is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest
import redis.asyncio

from gql_trader.infra.embedded.servers import EmbeddedServers
from gql_trader.infra.job_queue import JobQueue, JobTransportError, arq_redis
from gql_trader.infra.schedule import Scheduled, Ticks
from gql_trader.infra.worker import QueueSpec, WakeWorker

QUEUE = "tests"
_ROOT = Path(__file__).parents[2]

Worker = subprocess.Popen[bytes]


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    """A function that starts a worker process and returns when it listens."""
    workers = []

    def start(*arguments: str) -> Worker:
        worker = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("queue_worker.py"), *arguments],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


class Bench:
    """The queue, and what the jobs have left in Redis."""

    def __init__(self, url: str) -> None:
        self.queue = JobQueue(url)
        self.redis = redis.asyncio.Redis.from_url(url)

    async def enqueue(self, job: str, text: str) -> bool:
        return await self.queue.enqueue(job, text, queue=QUEUE, key=f"{job}:{text}")

    async def enqueue_when_free(self, job: str, text: str) -> None:
        """Enqueue as soon as the worker has put away the job of the same key."""
        async with asyncio.timeout(60):
            while not await self.enqueue(job, text):  # noqa: ASYNC110 -- nothing tells us when
                await asyncio.sleep(0.01)

    async def worker_that_started(self, text: str) -> int:
        return await self._pop(f"started:{text}")

    async def worker_that_ran(self, text: str) -> int:
        return await self._pop(f"ran:{text}")

    async def open_gate(self, text: str) -> None:
        await self.redis.rpush(f"gate:{text}", "open")

    async def _pop(self, key: str) -> int:
        answer = await self.redis.blpop([key], timeout=60)
        assert answer is not None, f"nothing in {key}"
        return int(answer[1])

    async def close(self) -> None:
        await self.queue.close()
        await self.redis.aclose()


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    bench = Bench(redis_url)
    yield bench
    await bench.close()


async def test_a_job_starts_at_once(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    delays = []
    for number in range(20):
        started = perf_counter()
        assert await bench.enqueue("note", str(number))
        assert await bench.worker_that_ran(str(number)) == worker.pid
        delays.append(perf_counter() - started)
    assert median(delays) < 0.1, f"{median(delays) * 1000:.1f} ms, so the worker polls"


async def test_a_key_that_waits_or_runs_is_not_enqueued_again_and_runs_once(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    assert await bench.enqueue("hold", "x")
    assert not await bench.enqueue("hold", "x")
    assert await bench.queue.waiting(QUEUE, ["hold:x", "hold:y"]) == {"hold:x"}
    start_worker(redis_url)
    start_worker(redis_url)
    await bench.worker_that_started("x")
    assert not await bench.enqueue("hold", "x")
    assert await bench.queue.waiting(QUEUE, ["hold:x"]) == set()
    await bench.open_gate("x")
    await bench.worker_that_ran("x")
    await bench.enqueue_when_free("hold", "x")
    await bench.worker_that_started("x")
    assert await bench.redis.llen("started:x") == 0


async def test_a_failed_job_is_not_run_again_and_frees_its_key(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    assert await bench.enqueue("fail", "x")
    await bench.worker_that_started("x")
    await bench.enqueue_when_free("fail", "x")
    assert await bench.worker_that_started("x") == worker.pid


async def test_a_killed_workers_job_is_finished_by_another(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    first = start_worker(redis_url)
    await bench.enqueue("hold", "x")
    assert await bench.worker_that_started("x") == first.pid
    second = start_worker(redis_url)
    first.kill()
    assert await bench.worker_that_started("x") == second.pid
    await bench.open_gate("x")
    assert await bench.worker_that_ran("x") == second.pid


async def test_sigterm_hands_the_running_job_to_another_worker_at_once(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    first = start_worker(redis_url)
    await bench.enqueue("hold", "x")
    assert await bench.worker_that_started("x") == first.pid
    second = start_worker(redis_url)
    stopped = perf_counter()
    first.send_signal(signal.SIGTERM)
    assert await bench.worker_that_started("x") == second.pid
    assert first.wait(10) == 0
    assert perf_counter() - stopped < 5
    await bench.open_gate("x")
    assert await bench.worker_that_ran("x") == second.pid


async def test_a_worker_shows_a_heartbeat_and_takes_it_back_when_it_stops(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    await bench.enqueue("note", "x")
    await bench.worker_that_ran("x")
    beats = {beat.queue: beat for beat in await bench.queue.heartbeats()}
    # That of a queue without jobs, too.
    assert {name: beat.pid for name, beat in beats.items()} == dict.fromkeys(
        (QUEUE, "tocks", "clock"), worker.pid
    )
    worker.terminate()
    worker.wait(10)
    assert await bench.queue.heartbeats() == []


async def test_periodic_work_goes_on_after_a_failure(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    assert [await bench.worker_that_ran(f"tick {number}") for number in (1, 3, 4)] == [worker.pid] * 3


async def test_a_queue_without_jobs_has_its_periodic_work_done(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    assert await bench.worker_that_ran("tock") == worker.pid


async def test_one_of_two_workers_does_what_is_scheduled_once_a_tick_and_makes_up_for_the_last_missed(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    # One does all, the other one only a part of what has the same ticks.
    workers = [start_worker(redis_url), start_worker(redis_url, "clock")]
    ran = [await bench.worker_that_ran("mark") for _ in range(6)]
    for worker in workers:
        worker.terminate()
        worker.wait(10)
    ran += [int(each) for each in await bench.redis.lrange("ran:mark", 0, -1)]
    assert {*ran} <= {worker.pid for worker in workers}
    # Ticks are at half seconds. None was done twice, but for one that a worker may not have ended.
    names = [key.decode() async for key in bench.redis.scan_iter("tick:__main__.mark:*")]
    ticks = sorted(int(name.rpartition(":")[2]) for name in names)
    assert abs(len(ran) - len(ticks)) <= len(workers)
    assert {tick % 500 for tick in ticks} == {0}
    # The last tick of a long period was missed by both, and made up for by one. So it is after one that there
    # was no worker at, or that Redis has forgotten.
    assert await bench.redis.llen("ran:week") == 1
    await bench.redis.flushdb()
    third = start_worker(redis_url)
    assert await bench.worker_that_ran("week") == third.pid


async def test_what_is_scheduled_does_not_wait_for_the_slots_of_its_queue_nor_for_what_fails(
    bench: Bench, redis_url: str, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker(redis_url)
    for text in "xy":
        await bench.enqueue("hold", text)
        await bench.worker_that_started(text)
    await bench.redis.delete("ran:sweep")
    assert [await bench.worker_that_ran("sweep") for _ in range(3)] == [worker.pid] * 3


async def test_a_tick_that_a_worker_did_not_end_is_done_by_the_job_that_had_it_and_by_no_other(
    redis_url: str,
) -> None:
    done: list[str] = []

    async def first(_runtime: None) -> None:
        done.append("first")

    async def second(_runtime: None) -> None:
        done.append("second")
        if len(done) == 2:
            raise asyncio.CancelledError

    works = [Scheduled(first, 60.0), Scheduled(second, 60.0)]
    both = Ticks(works, timeout_seconds=5.0, max_tries=1)
    part = Ticks(works[:1], timeout_seconds=5.0, max_tries=1)
    redis = arq_redis(redis_url)
    ctx = {"runtime": None, "redis": redis, "job_id": f"{both.name}:60000"}
    await asyncio.gather(both.coroutine(ctx), return_exceptions=True)
    assert done == ["first", "second"]
    await part.coroutine({**ctx, "job_id": f"{part.name}:60000"})
    assert done == ["first", "second"]
    await both.coroutine(ctx)
    assert done == ["first", "second", "first", "second"]
    await part.coroutine({**ctx, "job_id": f"{part.name}:120000"})
    assert done[4:] == ["first"]
    await redis.aclose(close_connection_pool=True)


async def test_a_run_that_takes_long_is_not_overtaken_and_missed_ticks_are_left_out(redis_url: str) -> None:
    begun, gate, done = asyncio.Semaphore(0), asyncio.Event(), asyncio.Semaphore(0)
    quick = 0

    async def dawdle(_runtime: None) -> None:
        begun.release()
        await gate.wait()
        done.release()

    async def hurry(_runtime: None) -> None:
        nonlocal quick
        quick += 1

    ticks = Ticks([Scheduled(dawdle, 60.0), Scheduled(hurry, 60.0)], timeout_seconds=5.0, max_tries=1)
    now = datetime.now(UTC)
    assert ticks.next_run is not None
    assert timedelta() <= now - ticks.next_run < timedelta(minutes=2)
    first = asyncio.create_task(ticks.coroutine({"runtime": None}))
    await begun.acquire()
    await ticks.coroutine({"runtime": None})
    assert begun.locked()
    # What has the same ticks does not wait for it.
    async with asyncio.timeout(60):
        while quick < 2:
            await asyncio.sleep(0)
            await ticks.coroutine({"runtime": None})
    gate.set()
    await first
    await ticks.coroutine({"runtime": None})
    await begun.acquire()
    # After a day without Redis it is not done for each minute of the day.
    ticks.calculate_next(now - timedelta(days=1))
    assert timedelta() < ticks.next_run - datetime.now(UTC) <= timedelta(minutes=1)


async def test_a_worker_outlives_an_outage_and_goes_on_with_what_was_queued(
    own_valkey: EmbeddedServers, start_worker: Callable[..., Worker]
) -> None:
    url = own_valkey.redis_url
    assert url is not None
    bench = Bench(url)
    worker = start_worker(url)
    ran = asyncio.Semaphore(0)

    async def note_run(_runtime: None) -> None:
        ran.release()

    clock = QueueSpec("clock", [], scheduled=[Scheduled(note_run, 0.5)])
    clockwork = WakeWorker(clock, url, {"runtime": None})
    going = asyncio.create_task(clockwork.main())
    await bench.enqueue("hold", "before")
    await bench.worker_that_started("before")

    assert own_valkey.valkey_child is not None
    own_valkey.valkey_child.process.kill()
    own_valkey.valkey_child.process.wait()
    started = perf_counter()
    with pytest.raises(JobTransportError):
        await bench.enqueue("note", "lost")
    with pytest.raises(JobTransportError):
        await bench.queue.ping()
    assert perf_counter() - started < 3
    # What is scheduled goes on: long enough for the worker to have tried many times.
    async with asyncio.timeout(60):
        for _ in range(4):
            await ran.acquire()
    own_valkey.restart_dead()

    assert await bench.enqueue("note", "after")
    assert await bench.worker_that_ran("after") == worker.pid
    # The job that lost its connection is run again when its claim has run out.
    assert await bench.worker_that_started("before") == worker.pid
    await bench.open_gate("before")
    await bench.worker_that_ran("before")
    assert worker.poll() is None
    # By the queue again, of which there are results.
    async with asyncio.timeout(60):
        while not [key async for key in bench.redis.scan_iter("tick:*note_run:*")]:
            await ran.acquire()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    await clockwork.stop()
    await bench.close()
