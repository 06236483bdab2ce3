"""How often somebody may try something: a sliding window in Redis, in this process while Redis is away."""

import asyncio
import hashlib
import math
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import structlog

from gql_trader.core.clock import Clock, to_milliseconds
from gql_trader.core.errors import RateLimited
from gql_trader.infra.redis_client import TRANSPORT_ERRORS, connect

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_ANSWER_SECONDS = 0.5
# An attempt whose end nobody reported, because its process was killed, counts as failed after this.
_PENDING_MS = 60_000
_STRIKES_MS = 86_400_000
_TURN_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_LOCAL_SUBJECTS = 50_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How often one subject may do one thing.

    Attributes
    ----------
    name
        Names the limit in Redis and in the log.
    limit
        Attempts within any `window` seconds.
    penalty
        Seconds of waiting after the attempt that fills the window; twice as long each time that
        happens again within a day, up to `longest_penalty`. 0: only the window counts. For limits on
        failures.
    """

    name: str
    limit: int
    window: float
    penalty: float = 0.0
    longest_penalty: float = 3600.0


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is counted under a policy: an address, an account, an e-mail address."""

    policy: Policy
    name: str

    @property
    def key(self) -> str:
        """The key in Redis; the name is hashed, so that no address is readable there."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16).hexdigest()
        return f"limit:{self.policy.name}:{digest}"


class Attempt:
    """One attempt under a limit on failures.

    Attributes
    ----------
    allowed
        False only for one under a limit that is not told (`RateLimits.untold_failures`).
    """

    def __init__(self, *, allowed: bool = True) -> None:
        self.allowed = allowed
        self.failed = True

    def succeeded(self) -> None:
        """Say that the attempt does not count: it did not fail."""
        self.failed = False


# Verdicts of `reserve`.
_ALLOWED, _REFUSED, _BUSY = 0, 1, 2

# One member for each attempt, scored by its time: p:<id> while it is pending, f:<id> once it counts.
# KEYS: windows, then penalties. ARGV: now, id, prefix, pending lifetime, then limit and window of each.
_RESERVE = """
local n = #KEYS / 2
local now, id, prefix, lifetime = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local wait, which, busy = 0, 0, false
for i = 1, n do
  local limit, window = tonumber(ARGV[3 + 2 * i]), tonumber(ARGV[4 + 2 * i])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)
  local refused = tonumber(redis.call('GET', KEYS[n + i] .. ':until') or '0') - now
  if redis.call('ZCARD', KEYS[i]) >= limit then
    local members = redis.call('ZRANGE', KEYS[i], 0, -1, 'WITHSCORES')
    local counted = {}
    for j = 1, #members, 2 do
      local at = tonumber(members[j + 1])
      if string.sub(members[j], 1, 1) == 'f' or at <= now - lifetime then counted[#counted + 1] = at end
    end
    if #counted >= limit then
      refused = math.max(refused, counted[#counted - limit + 1] + window - now)
    else
      busy = true
    end
  end
  if refused > wait then wait, which = refused, i end
end
if wait > 0 then return {1, wait, which} end
if busy then return {2, 0, 0} end
for i = 1, n do
  redis.call('ZADD', KEYS[i], now, prefix .. ':' .. id)
  redis.call('PEXPIRE', KEYS[i], tonumber(ARGV[4 + 2 * i]))
end
return {0, 0, 0}
"""

# KEYS as above. ARGV: now, id, lifetime of penalties, then limit, window, penalty and longest of each.
_FAIL = """
local n = #KEYS / 2
local now, id, lifetime = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
for i = 1, n do
  local limit, window = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local penalty, longest = tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
  redis.call('ZREM', KEYS[i], 'p:' .. id)
  redis.call('ZADD', KEYS[i], now, 'f:' .. id)
  redis.call('PEXPIRE', KEYS[i], window)
  if penalty > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)
    local failed = 0
    for _, member in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
      if string.sub(member, 1, 1) == 'f' then failed = failed + 1 end
    end
    if failed >= limit then
      local strikes = redis.call('INCR', KEYS[n + i])
      redis.call('PEXPIRE', KEYS[n + i], lifetime)
      local delay = math.min(penalty * 2 ^ math.min(strikes - 1, 30), longest)
      redis.call('SET', KEYS[n + i] .. ':until', string.format('%.0f', now + delay), 'PX',
        string.format('%.0f', delay))
    end
  end
end
"""

_RELEASE = """
for i = 1, #KEYS do redis.call('ZREM', KEYS[i], 'p:' .. ARGV[1]) end
"""


class RateLimits:
    """Counts attempts for all processes in Redis, atomically, and alone while Redis is away.

    While Redis is away each process allows as much by itself; nothing is let through uncounted. What
    fails while Redis is there is counted here too, so that an outage does not clear the slate, and what was
    counted here during an outage still holds here after it.

    Parameters
    ----------
    url
        Redis or Valkey. Connections are opened when they are first needed and again after an outage.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._redis = connect(url)
        self._clock = clock
        self._local = LocalWindows()
        self._unanswered_at: int | None = None
        self._reserve = self._redis.register_script(_RESERVE)
        self._fail = self._redis.register_script(_FAIL)
        self._release = self._redis.register_script(_RELEASE)

    async def count(self, *subjects: Subject) -> None:
        """Count an attempt of each subject, or none if one of them is at its limit.

        Raises
        ------
        RateLimited
            With the seconds until another attempt can succeed.
        """
        await self._enter(subjects, secrets.token_hex(8), "f")

    @asynccontextmanager
    async def failures(self, *subjects: Subject) -> AsyncIterator[Attempt]:
        """Enter an attempt of each subject, which counts as failed unless the block says otherwise.

        Attempts at the same time count as failures of each other until they end: the one that would
        exceed the limit waits for its turn.

        Raises
        ------
        RateLimited
            With the seconds until another attempt can succeed.
        """
        number = secrets.token_hex(8)
        await self._enter(subjects, number, "p")
        attempt = Attempt()
        try:
            yield attempt
        finally:
            if attempt.failed:
                await self._failed(subjects, number)
            else:
                await self._released(subjects, number)

    @asynccontextmanager
    async def untold_failures(self, subject: Subject) -> AsyncIterator[Attempt]:
        """Enter an attempt as `failures` does, but say in it whether it is allowed instead of raising.

        For limits that nobody may learn of: it neither waits for other attempts, which one could measure,
        but does not allow what exceeds the limit together with them, nor asks Redis more or less often.
        """
        number = secrets.token_hex(8)
        verdict, _, _ = await self._verdict([subject], number, "p")
        attempt = Attempt(allowed=verdict == _ALLOWED)
        try:
            yield attempt
        finally:
            if attempt.allowed and attempt.failed:
                await self._failed([subject], number)
            else:
                await self._released([subject], number)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    # ---- one implementation in Redis, one here ----

    async def _enter(self, subjects: Sequence[Subject], number: str, prefix: str) -> None:
        deadline = asyncio.get_running_loop().time() + _TURN_SECONDS
        while True:
            verdict, wait, which = await self._verdict(subjects, number, prefix)
            if verdict == _ALLOWED:
                return
            if verdict == _REFUSED:
                raise RateLimited(subjects[which].policy.name, max(1, math.ceil(wait / 1000)))
            if asyncio.get_running_loop().time() >= deadline:
                raise RateLimited(subjects[0].policy.name, 1)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _verdict(self, subjects: Sequence[Subject], number: str, prefix: str) -> tuple[int, int, int]:
        now = self._now()
        if self._may_have_missed(subjects, now):
            found = self._local.look(subjects, now)
            if found[0] == _REFUSED:
                return found
        arguments: list[Any] = [now, number, prefix, _PENDING_MS]
        for subject in subjects:
            arguments += [subject.policy.limit, _ms(subject.policy.window)]

        async def ask() -> tuple[int, int, int]:
            verdict, wait, which = await cast(
                "Awaitable[list[int]]", self._reserve(keys=_keys(subjects), args=arguments)
            )
            return verdict, wait, which - 1

        answer = await self._call(ask)
        if answer is None:
            return self._local.reserve(subjects, number, prefix, now)
        if answer[0] == _ALLOWED and prefix == "f":
            self._local.fail(subjects, number, now)
        return answer

    def _may_have_missed(self, subjects: Sequence[Subject], now: int) -> bool:
        """Return whether Redis may lack what was counted here while it was away, and would still count."""
        if self._unanswered_at is None:
            return False
        longest = max(max(subject.policy.window, _penalty(subject.policy)) for subject in subjects)
        return now - self._unanswered_at <= _ms(longest)

    async def _failed(self, subjects: Sequence[Subject], number: str) -> None:
        now = self._now()
        arguments: list[Any] = [now, number, _STRIKES_MS]
        for subject in subjects:
            policy = subject.policy
            arguments += [policy.limit, _ms(policy.window), _ms(policy.penalty), _ms(policy.longest_penalty)]
        self._local.fail(subjects, number, now)
        await self._call(lambda: self._fail(keys=_keys(subjects), args=arguments))

    async def _released(self, subjects: Sequence[Subject], number: str) -> None:
        self._local.release(subjects, number)
        keys = [subject.key for subject in subjects]
        await self._call(lambda: self._release(keys=keys, args=[number]))

    async def _call(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await ask()
        except TRANSPORT_ERRORS as error:
            _log.warning("rate_limits_counted_locally", reason=f"{type(error).__name__}: {error}")
            self._unanswered_at = self._now()
            return None

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())


@dataclass(slots=True)
class _Window:
    counted: list[int] = field(default_factory=list)
    pending: dict[str, int] = field(default_factory=dict)
    strikes: int = 0
    until: int = 0


class LocalWindows:
    """The same rules as the scripts', in this process; the least recently used subjects are forgotten."""

    def __init__(self, size: int = _LOCAL_SUBJECTS) -> None:
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._size = size

    def reserve(
        self, subjects: Sequence[Subject], number: str, prefix: str, now: int
    ) -> tuple[int, int, int]:
        """Return the verdict as `look` does; count the attempt if it is allowed."""
        found = self.look(subjects, now)
        if found[0] == _ALLOWED:
            for subject in subjects:
                window = self._window(subject, now)
                if prefix == "f":
                    window.counted.append(now)
                else:
                    window.pending[number] = now
        return found

    def look(self, subjects: Sequence[Subject], now: int) -> tuple[int, int, int]:
        """Return the verdict, the milliseconds to wait, and the index of the subject that is refused."""
        longest, which, busy = 0, -1, False
        for index, subject in enumerate(subjects):
            window = self._window(subject, now)
            limit = subject.policy.limit
            refused = window.until - now
            if len(window.counted) >= limit:
                refused = max(refused, window.counted[-limit] + _ms(subject.policy.window) - now)
            elif len(window.counted) + len(window.pending) >= limit:
                busy = True
            if refused > longest:
                longest, which = refused, index
        if longest > 0:
            return _REFUSED, longest, which
        return (_BUSY if busy else _ALLOWED), 0, -1

    def fail(self, subjects: Sequence[Subject], number: str, now: int) -> None:
        """Count an attempt."""
        for subject in subjects:
            policy = subject.policy
            window = self._window(subject, now)
            window.pending.pop(number, None)
            window.counted.append(now)
            if policy.penalty and len(window.counted) >= policy.limit:
                window.strikes += 1
                delay = min(policy.penalty * 2 ** min(window.strikes - 1, 30), policy.longest_penalty)
                window.until = now + _ms(delay)

    def release(self, subjects: Sequence[Subject], number: str) -> None:
        """Forget a pending attempt."""
        for subject in subjects:
            window = self._windows.get(subject.key)
            if window is not None:
                window.pending.pop(number, None)

    def _window(self, subject: Subject, now: int) -> _Window:
        window = self._windows.setdefault(subject.key, _Window())
        self._windows.move_to_end(subject.key)
        if len(self._windows) > self._size:
            self._windows.popitem(last=False)
        for number, at in list(window.pending.items()):
            if at <= now - _PENDING_MS:
                del window.pending[number]
                window.counted.append(at)
        after = now - _ms(subject.policy.window)
        window.counted = sorted(at for at in window.counted if at > after)
        if window.until and window.until + _STRIKES_MS < now:
            window.strikes, window.until = 0, 0
        return window


def _penalty(policy: Policy) -> float:
    return policy.longest_penalty if policy.penalty else 0.0


def _keys(subjects: Sequence[Subject]) -> list[str]:
    keys = [subject.key for subject in subjects]
    return keys + [f"{key}:strikes" for key in keys]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
