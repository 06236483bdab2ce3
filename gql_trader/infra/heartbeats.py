"""Signs of life of worker processes, one for each queue that they work on."""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from arq.connections import ArqRedis

from gql_trader.infra import json_codec
from gql_trader.infra.job_queue import HEARTBEAT_PREFIX, QUEUES_KEY, arq_redis
from gql_trader.infra.redis_client import TRANSPORT_ERRORS

HEARTBEAT_SECONDS = 10.0
_HEARTBEAT_KEEP_SECONDS = 30


def heartbeat_key(queue: str) -> str:
    """Return where this process's heartbeats of a queue are."""
    return f"{HEARTBEAT_PREFIX}{queue}:{socket.gethostname()}:{os.getpid()}"


async def beat(pool: ArqRedis, queue: str, running: int = 0, completed: int = 0, failed: int = 0) -> None:
    """Write a heartbeat of this process: how many jobs of a queue it is at, and has done."""
    told = {
        "queue": queue,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "at": datetime.now(UTC).isoformat(),
        "running": running,
        "completed": completed,
        "failed": failed,
    }
    pipeline = pool.pipeline(transaction=False)
    pipeline.setex(heartbeat_key(queue), _HEARTBEAT_KEEP_SECONDS, json_codec.dumps(told))
    pipeline.sadd(QUEUES_KEY, queue)
    await pipeline.execute()


async def show_life(queue: str, redis_url: str) -> NoReturn:
    """Write the heartbeats of a queue that has only periodic work; arq would not begin on it."""
    pool = arq_redis(redis_url)
    try:
        while True:
            # A worker that Redis cannot tell of goes on.
            with suppress(*TRANSPORT_ERRORS):
                await beat(pool, queue)
            await asyncio.sleep(HEARTBEAT_SECONDS)
    finally:
        with suppress(*TRANSPORT_ERRORS):
            await pool.delete(heartbeat_key(queue))
        await pool.aclose(close_connection_pool=True)
