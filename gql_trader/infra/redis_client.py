"""Connections to Redis or Valkey."""

import socket
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TRANSPORT_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
"""What may come out of any call when the server is away, restarting or full."""

_CONNECT_SECONDS = 1.0
_VANISHED_PEER_MILLISECONDS = 15_000


def connection_pool(url: str) -> ConnectionPool:
    """Return a pool of connections to ``redis://``, ``rediss://`` or ``unix://``, opened when needed.

    Notes
    -----
    Neither retries nor a socket time-out are set; callers bound their calls with `asyncio.timeout`.
    With a socket time-out redis-py sends through `asyncio.wait_for`, which until Python 3.12 may
    swallow a cancellation: the task that was cancelled then runs on.
    """
    options: dict[str, Any] = {"socket_connect_timeout": _CONNECT_SECONDS, "retry": Retry(NoBackoff(), 0)}
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A machine that has vanished without a word is noticed while we wait for its answer.
            options["socket_keepalive_options"] = {
                socket.TCP_KEEPIDLE: 5,
                socket.TCP_KEEPINTVL: 5,
                socket.TCP_KEEPCNT: 2,
                socket.TCP_USER_TIMEOUT: _VANISHED_PEER_MILLISECONDS,
            }
    return ConnectionPool.from_url(url, **options)


def connect(url: str) -> Redis:
    """Return a client with a pool of its own; see `connection_pool`."""
    return Redis.from_pool(connection_pool(url))
