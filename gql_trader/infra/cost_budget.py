"""What each user may spend in a minute, in points: counted in Redis, fetched from there in portions."""

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import structlog

from gql_trader.core.clock import Clock, from_milliseconds, to_milliseconds
from gql_trader.core.errors import RateLimited
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect

_log = structlog.get_logger(__name__)

_MINUTE_MS = 60_000
_ANSWER_SECONDS = 0.5
# A process fetches this share of the budget at a time: that many trips to Redis in a minute at most.
_PORTIONS = 50
_SUBJECTS = 10_000

# KEYS: the subject's minute. ARGV: wanted, least that is of use, limit, lifetime. Grants what is left of
# the wanted points, or nothing if that is of no use; returns what is granted and what is left then.
_GRANT = """
local wanted, least, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left = limit - tonumber(redis.call('GET', KEYS[1]) or '0')
local granted = math.min(wanted, left)
if granted < least then return {0, left} end
redis.call('INCRBY', KEYS[1], granted)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {granted, left - granted}
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """How somebody's budget stands.

    Attributes
    ----------
    limit
        Points of a minute.
    remaining
        Points that are left of this one.
    reset_at
        When the next minute begins.
    """

    limit: int
    remaining: int
    reset_at: datetime


@dataclass(slots=True)
class _Portion:
    minute: int
    granted: int
    spent: int = 0
    left: int = 0


class CostBudget:
    """Counts what is spent, for all processes together.

    A process takes a portion of a subject's minute from Redis and spends it by itself, so that most
    requests make no trip. With several processes, ``remaining`` leaves out the portions of the others.
    While Redis is away each process allows a whole budget by itself.

    Parameters
    ----------
    url
        Redis or Valkey; None: count in this process only.
    limit
        Points of one subject and minute.
    """

    def __init__(self, url: str | None, clock: Clock, limit: int) -> None:
        self._redis = connect(url) if url is not None else None
        self._grant = self._redis.register_script(_GRANT) if self._redis is not None else None
        self._clock = clock
        self._limit = limit
        self._portions: OrderedDict[str, _Portion] = OrderedDict()

    async def spend(self, subject: str, cost: int) -> None:
        """Take points from a subject's budget.

        Raises
        ------
        RateLimited
            If fewer are left; nothing is taken then.
        """
        now = to_milliseconds(self._clock.now())
        portion = self._portion(subject, now)
        if portion.granted - portion.spent < cost:
            await self._fetch(subject, portion, cost)
        # Another task may have spent the portion while this one waited for Redis.
        if portion.granted - portion.spent < cost:
            seconds = ((portion.minute + 1) * _MINUTE_MS - now) / 1000
            raise RateLimited("cost_budget", max(1, math.ceil(seconds)))
        portion.spent += cost

    def status(self, subject: str) -> Budget:
        """Return how a subject's budget stands, as far as this process knows."""
        now = to_milliseconds(self._clock.now())
        portion = self._portion(subject, now)
        remaining = portion.left + portion.granted - portion.spent
        return Budget(self._limit, remaining, from_milliseconds((portion.minute + 1) * _MINUTE_MS))

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    def _portion(self, subject: str, now: int) -> _Portion:
        minute = now // _MINUTE_MS
        portion = self._portions.get(subject)
        if portion is None or portion.minute != minute:
            portion = self._portions[subject] = _Portion(minute, 0, left=self._limit)
        self._portions.move_to_end(subject)
        if len(self._portions) > _SUBJECTS:
            self._portions.popitem(last=False)
        return portion

    async def _fetch(self, subject: str, portion: _Portion, cost: int) -> None:
        if self._grant is None:
            portion.granted, portion.left = self._limit, 0
            return
        least = cost - (portion.granted - portion.spent)
        wanted = max(least, self._limit // _PORTIONS)
        digest = hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                granted, left = await cast(
                    "Awaitable[list[int]]",
                    self._grant(
                        keys=[f"budget:{digest}:{portion.minute}"],
                        args=[wanted, least, self._limit, 2 * _MINUTE_MS],
                    ),
                )
        except TRANSPORT_ERRORS as error:
            _log.warning("budget_counted_locally", reason=f"{type(error).__name__}: {error}")
            granted, left = self._limit - portion.granted, 0
        portion.granted += granted
        portion.left = left
