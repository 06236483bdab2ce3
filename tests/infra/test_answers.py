"""Questions to the workers: one job for equal questions, and an answer, a refusal or the end of patience."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gql_trader.infra.answers import Answers, AnswerTimeoutError, QuestionRefusedError
from gql_trader.infra.job_queue import JobQueue, JobTransportError
from gql_trader.infra.unit_of_work import Job
from gql_trader.infra.worker import QueueSpec, WakeWorker


class Oracle:
    """Answers, and a worker that answers with what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = JobQueue(url)
        self.answers = Answers(url, self.queue)
        self.asked: list[str] = []
        self.gate = asyncio.Event()

    async def echo(self, _ctx: dict[str, Any], text: str) -> None:
        self.asked.append(text)
        await self.gate.wait()
        if text == "no":
            await self.answers.refuse(f"echo:{text}", "Ask something else.")
        else:
            await self.answers.answer(f"echo:{text}", text.encode() * 2)

    async def ask(self, text: str, seconds: float = 10.0) -> bytes:
        return await self.answers.ask(Job("echo", "oracle", f"echo:{text}", (text,)), seconds)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async def echo(ctx: dict[str, Any], text: str) -> None:
            await self.echo(ctx, text)

        echo.__qualname__ = "echo"  # arq's name of the job
        worker = WakeWorker(QueueSpec("oracle", [echo], concurrency=4), self.url, {})
        task = asyncio.create_task(worker.main())
        await worker.ready.wait()
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await worker.stop()


@pytest.fixture
async def oracle(redis_url: str) -> AsyncIterator[Oracle]:
    found = Oracle(redis_url)
    yield found
    await found.answers.close()
    await found.queue.close()


async def test_equal_questions_are_one_job_and_asked_again_none(oracle: Oracle) -> None:
    async with oracle.at_work():
        asking = [asyncio.create_task(oracle.ask(text)) for text in ("a", "a", "b", "a")]
        async with asyncio.timeout(60):
            while sorted(oracle.asked) != ["a", "b"]:  # noqa: ASYNC110 -- jobs that start
                await asyncio.sleep(0.001)
        oracle.gate.set()
        assert await asyncio.gather(*asking) == [b"aa", b"aa", b"bb", b"aa"]
        assert await oracle.ask("a") == b"aa"
        assert sorted(oracle.asked) == ["a", "b"]


async def test_a_refusal_reaches_everybody_who_asked(oracle: Oracle) -> None:
    oracle.gate.set()
    async with oracle.at_work():
        found = await asyncio.gather(oracle.ask("no"), oracle.ask("no"), return_exceptions=True)
    assert [(type(each), str(each)) for each in found] == [(QuestionRefusedError, "Ask something else.")] * 2


async def test_without_a_worker_patience_ends_and_a_later_worker_still_answers(oracle: Oracle) -> None:
    with pytest.raises(AnswerTimeoutError):
        await oracle.ask("a", seconds=0.05)
    oracle.gate.set()
    async with oracle.at_work():
        assert await oracle.ask("a") == b"aa"
    assert oracle.asked == ["a"]


async def test_without_redis_it_says_so() -> None:
    url = "unix:///nonexistent.sock"
    queue = JobQueue(url)
    answers = Answers(url, queue)
    with pytest.raises(JobTransportError):
        await answers.ask(Job("echo", "oracle", "echo:a", ("a",)), 5.0)
    await answers.close()
    await queue.close()
