"""Jobs over arq: what the API needs of the queue. The workers' side is `gql_trader.infra.worker`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix
from redis.exceptions import WatchError

from gql_trader.infra import json_codec
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connection_pool

_ANSWER_SECONDS = 1.0
_JOB_EXPIRES_MILLISECONDS = 7 * 86_400_000

T = TypeVar("T")


class JobTransportError(Exception):
    """The queue cannot be reached; the job is not enqueued."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life of one worker on one queue."""

    queue: str
    host: str
    pid: int
    at: datetime
    running: int
    completed: int
    failed: int


class JobQueue:
    """Hand jobs to the workers.

    Parameters
    ----------
    url
        Redis or Valkey. Connections are opened when they are first needed and again after an outage.
    """

    def __init__(self, url: str) -> None:
        self._redis = arq_redis(url)

    async def enqueue(self, name: str, *arguments: Any, queue: str, key: str) -> bool:
        """Enqueue a job and wake a worker; return False if a job with this key waits or runs already.

        Parameters
        ----------
        name
            Name of the job's coroutine function.
        arguments
            Passed to it as JSON: a UUID arrives as text.
        queue
            Which workers run it.
        key
            What makes it one: unique over all queues.

        Raises
        ------
        JobTransportError
            If Redis is away; raised within about a second.
        """

        async def send() -> bool:
            job = await self._redis.enqueue_job(name, *arguments, _job_id=key, _queue_name=queue)
            if job is not None:
                # Should we end here, a worker finds the job at its next look, half a second later.
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.publish(wake_channel(queue), b"")
                pipeline.sadd(QUEUES_KEY, queue)
                await pipeline.execute()
            return job is not None

        return await self._call(send)

    async def waiting(self, queue: str, keys: list[str]) -> set[str]:
        """Return those keys whose jobs wait in the queue and have not been started.

        Raises
        ------
        JobTransportError
            If Redis is away.
        """
        if not keys:
            return set()

        async def ask() -> set[str]:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.zmscore(queue, keys)
            for key in keys:
                pipeline.exists(in_progress_key_prefix + key)
            scores, *running = await pipeline.execute()
            return {
                key
                for key, score, is_running in zip(keys, scores, running, strict=True)
                if score is not None and not is_running
            }

        return await self._call(ask)

    async def heartbeats(self) -> list[Heartbeat]:
        """Return the signs of life of all workers of the last half minute.

        Raises
        ------
        JobTransportError
            If Redis is away.
        """

        async def read() -> list[Heartbeat]:
            keys = [key async for key in self._redis.scan_iter(match=f"{HEARTBEAT_PREFIX}*", count=1000)]
            values: Sequence[bytes | None] = await self._redis.mget(keys) if keys else []
            return [heartbeat_from_json(value) for value in values if value is not None]

        return await self._call(read)

    async def depths(self) -> dict[str, int]:
        """Return how many jobs wait in each queue that was ever used, or are being run.

        Raises
        ------
        JobTransportError
            If Redis is away.
        """

        async def read() -> dict[str, int]:
            # A set that changes while it is read may tell of a member twice.
            names = sorted({name.decode() async for name in self._redis.sscan_iter(QUEUES_KEY)})
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                pipeline.zcard(name)
            return dict(zip(names, await pipeline.execute(), strict=True))

        return await self._call(read)

    async def ping(self) -> None:
        """Return if Redis answers.

        Raises
        ------
        JobTransportError
            If it does not, within about a second.
        """
        await self._call(self._redis.ping)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose(close_connection_pool=True)

    async def _call(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                try:
                    return await operation()
                except WatchError:
                    # The connection broke, or the key changed, between arq's look and its write.
                    return await operation()
        except TRANSPORT_ERRORS as error:
            raise JobTransportError(str(error) or type(error).__name__) from error


HEARTBEAT_PREFIX = "gql_trader:worker:"
QUEUES_KEY = "gql_trader:queues"
"""Names of all queues that were ever used."""


def heartbeat_from_json(text: bytes) -> Heartbeat:
    """Return the heartbeat that `heartbeat_to_json` wrote."""
    fields = json_codec.loads(text)
    return Heartbeat(**{**fields, "at": datetime.fromisoformat(fields["at"])})


def wake_channel(queue: str) -> str:
    """Return the channel on which a queue's workers are told that there is something to do."""
    return f"{queue}:wake"


def arq_redis(url: str) -> ArqRedis:
    """Return arq's client for a server, with JSON in place of pickle."""
    return ArqRedis(
        connection_pool(url),
        job_serializer=_dumps,
        job_deserializer=json_codec.loads,
        expires_extra_ms=_JOB_EXPIRES_MILLISECONDS,
    )


def _dumps(value: dict[str, Any]) -> bytes:
    # arq serializes a failed job's exception even where no results are kept.
    if isinstance(value.get("r"), BaseException):
        value = {**value, "r": repr(value["r"])}
    return json_codec.dumps(value)
