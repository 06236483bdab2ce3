"""Questions to the workers: what is too heavy for the process that serves the API and not worth storing.

An answer is computed by a job, kept in Redis for a while, and waited for. Equal questions at the same time
are one job; equal questions soon after are not computed again.
"""

import asyncio
from contextlib import suppress

from gql_trader.infra.job_queue import JobQueue, JobTransportError
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect
from gql_trader.infra.unit_of_work import Job

_PREFIX = "gql_trader:answer:"
_GOOD, _REFUSED = b"+", b"-"
_KEEP_SECONDS = 300
_KEEP_REFUSAL_SECONDS = 3
_LOOK_SECONDS = 0.5


class AnswerTimeoutError(Exception):
    """No worker has answered in time; the job goes on, so that asking again later may succeed."""


class QuestionRefusedError(Exception):
    """The worker has found a reason not to answer; the message is meant for the one who asked."""


class Answers:
    """Ask the workers, and answer.

    Parameters
    ----------
    url
        Redis or Valkey.
    """

    def __init__(self, url: str, queue: JobQueue) -> None:
        self._redis = connect(url)
        self._queue = queue

    async def ask(self, job: Job, seconds: float) -> bytes:
        """Return the answer to a question.

        Parameters
        ----------
        job
            What computes it; it calls `answer` or `refuse` with its own key. Equal keys, equal answers.
        seconds
            How long to wait at most.

        Raises
        ------
        AnswerTimeoutError
            If there is no answer by then.
        QuestionRefusedError
            If the job has refused.
        JobTransportError
            If Redis is away.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(job)
        except TimeoutError as error:
            raise AnswerTimeoutError from error
        except TRANSPORT_ERRORS as error:
            raise JobTransportError(str(error) or type(error).__name__) from error

    async def _answer(self, job: Job) -> bytes:
        name = _PREFIX + job.key
        found = await self._redis.get(name)
        if found is None:
            async with self._redis.pubsub() as channel:
                await channel.subscribe(name)
                await self._queue.enqueue(job.name, *job.arguments, queue=job.queue, key=job.key)
                # It may have been answered before we listened; then nobody tells us.
                while (found := await self._redis.get(name)) is None:
                    await channel.get_message(ignore_subscribe_messages=True, timeout=_LOOK_SECONDS)
                with suppress(*TRANSPORT_ERRORS):
                    await channel.unsubscribe(name)
        kind, content = bytes(found[:1]), bytes(found[1:])
        if kind == _REFUSED:
            raise QuestionRefusedError(content.decode())
        return content

    async def answer(self, key: str, content: bytes) -> None:
        """Answer the question with this key."""
        await self._tell(key, _GOOD + content, _KEEP_SECONDS)

    async def refuse(self, key: str, reason: str) -> None:
        """Refuse the question with this key; asked again a little later, it is tried again."""
        await self._tell(key, _REFUSED + reason.encode(), _KEEP_REFUSAL_SECONDS)

    async def _tell(self, key: str, content: bytes, seconds: int) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(_PREFIX + key, content, ex=seconds)
        pipeline.publish(_PREFIX + key, b"")
        await pipeline.execute()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose(close_connection_pool=True)
