"""Limits on how often: the same rules in Redis and, while it is away, in the process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from gql_trader.core.errors import RateLimited
from gql_trader.infra.rate_limits import Policy, RateLimits, Subject

# A port on which nothing listens.
NOWHERE = "redis://127.0.0.1:9/0"
LOGIN = Policy("test_login", limit=5, window=900, penalty=60, longest_penalty=3600)
HOURLY = Policy("test_hourly", limit=3, window=3600)


class ManualClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["redis", "process"])
async def limits(
    request: pytest.FixtureRequest, redis_url: str, clock: ManualClock
) -> AsyncIterator[RateLimits]:
    limits = RateLimits(redis_url if request.param == "redis" else NOWHERE, clock)
    yield limits
    await limits.close()


async def _fail(limits: RateLimits, *subjects: Subject) -> None:
    async with limits.failures(*subjects):
        pass


async def _succeed(limits: RateLimits, *subjects: Subject) -> None:
    async with limits.failures(*subjects) as attempt:
        attempt.succeeded()


async def _wait(limits: RateLimits, *subjects: Subject) -> int:
    with pytest.raises(RateLimited) as refused:
        await _fail(limits, *subjects)
    return refused.value.retry_after_seconds


async def test_attempts_are_counted_in_a_sliding_window(limits: RateLimits, clock: ManualClock) -> None:
    subject = Subject(HOURLY, "ada@example.com")
    for _ in range(3):
        await limits.count(subject)
        clock.advance(600)
    with pytest.raises(RateLimited) as refused:
        await limits.count(subject)
    # The first attempt was 1,800 s ago and leaves the window in as many.
    assert refused.value.retry_after_seconds == 1800
    assert refused.value.limit == "test_hourly"
    await limits.count(Subject(HOURLY, "grace@example.com"))
    clock.advance(1800)
    await limits.count(subject)
    with pytest.raises(RateLimited) as refused:
        await limits.count(subject)
    assert refused.value.retry_after_seconds == 600


async def test_a_refused_attempt_counts_nowhere(limits: RateLimits, clock: ManualClock) -> None:
    address, account = Subject(HOURLY, "203.0.113.7"), Subject(HOURLY, "ada")
    for _ in range(3):
        await limits.count(account)
    for _ in range(5):
        with pytest.raises(RateLimited):
            await limits.count(address, account)
    for _ in range(3):
        await limits.count(address)


async def test_successes_do_not_count(limits: RateLimits) -> None:
    subject = Subject(LOGIN, "ada")
    for _ in range(20):
        await _succeed(limits, subject)
    for _ in range(5):
        await _fail(limits, subject)
    assert await _wait(limits, subject) == 900


async def test_a_success_does_not_clear_earlier_failures(limits: RateLimits) -> None:
    subject = Subject(LOGIN, "203.0.113.7")
    for _ in range(4):
        await _fail(limits, subject)
    await _succeed(limits, subject)
    await _fail(limits, subject)
    assert await _wait(limits, subject) == 900


async def test_the_wait_doubles_each_time_the_window_fills(limits: RateLimits, clock: ManualClock) -> None:
    steady = Policy("test_steady", limit=1, window=30, penalty=60, longest_penalty=300)
    subject = Subject(steady, "ada")
    waits = []
    for _ in range(5):
        await _fail(limits, subject)
        waits.append(await _wait(limits, subject))
        clock.advance(waits[-1])
    assert waits == [60, 120, 240, 300, 300]


async def test_attempts_at_the_same_moment_cannot_exceed_the_limit(limits: RateLimits) -> None:
    subject = Subject(LOGIN, "ada")
    inside = 0

    async def attempt() -> bool:
        nonlocal inside
        try:
            async with limits.failures(subject):
                inside += 1
                await asyncio.sleep(0)
        except RateLimited:
            return False
        return True

    passed = await asyncio.gather(*(attempt() for _ in range(30)))
    assert (sum(passed), inside) == (5, 5)


async def test_good_attempts_at_the_same_moment_wait_for_their_turn(limits: RateLimits) -> None:
    subject = Subject(LOGIN, "203.0.113.7")
    await asyncio.gather(*(_succeed(limits, subject) for _ in range(20)))


async def test_a_limit_that_is_not_told_neither_raises_nor_waits(
    limits: RateLimits, clock: ManualClock
) -> None:
    subject = Subject(Policy("untold", 2, 60), "ada")

    async def attempt(*, good: bool = False) -> bool:
        async with limits.untold_failures(subject) as attempt:
            if good:
                attempt.succeeded()
            return attempt.allowed

    async with limits.untold_failures(subject) as first, limits.untold_failures(subject) as second:
        assert first.allowed
        assert second.allowed
        assert not await attempt(good=True)
        first.succeeded()
        second.succeeded()
    assert [await attempt(good=True), await attempt(), await attempt(good=True), await attempt()] == [
        True
    ] * 4
    # What is not allowed counts no further: a minute after the two it is over.
    assert [await attempt(), await attempt(good=True)] == [False, False]
    clock.advance(60.001)
    assert await attempt(good=True)


async def test_an_attempt_that_ends_in_an_exception_counts(limits: RateLimits) -> None:
    subject = Subject(LOGIN, "ada")
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            async with limits.failures(subject):
                raise ZeroDivisionError
    assert await _wait(limits, subject) == 900


async def test_an_attempt_whose_process_was_killed_counts_after_a_minute(
    limits: RateLimits, clock: ManualClock
) -> None:
    subject = Subject(Policy("test_killed", limit=1, window=900), "ada")
    attempt = limits.failures(subject)
    await attempt.__aenter__()
    clock.advance(61)
    assert await _wait(limits, subject) == 900 - 61
    await attempt.__aexit__(None, None, None)


async def test_all_processes_count_together(redis_url: str, clock: ManualClock) -> None:
    one, other = RateLimits(redis_url, clock), RateLimits(redis_url, clock)
    for _ in range(3):
        await one.count(Subject(HOURLY, "ada"))
    with pytest.raises(RateLimited):
        await other.count(Subject(HOURLY, "ada"))
    await one.close()
    await other.close()


async def test_names_are_not_readable_in_redis_and_windows_expire(redis_url: str, clock: ManualClock) -> None:
    limits = RateLimits(redis_url, clock)
    for _ in range(5):
        await _fail(limits, Subject(LOGIN, "ada@example.com"))
    client = redis.asyncio.from_url(redis_url)  # type: ignore[no-untyped-call]
    keys = [key.decode() async for key in client.scan_iter()]
    assert len(keys) == 3
    assert not any("ada" in key for key in keys)
    assert all([0 < await client.pttl(key) <= 86_400_000 for key in keys])
    await client.aclose()
    await limits.close()


async def test_an_outage_does_not_clear_what_this_process_has_seen(
    redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, away = RateLimits(redis_url, clock), RateLimits(NOWHERE, clock)
    for _ in range(5):
        await _fail(limits, Subject(LOGIN, "ada"))
    # From now on as if Redis had stopped.
    monkeypatch.setattr(limits, "_reserve", away._reserve)
    assert await _wait(limits, Subject(LOGIN, "ada")) == 900
    await limits.close()
    await away.close()


async def test_what_was_counted_during_an_outage_holds_for_a_window_after_it(
    redis_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, away = RateLimits(redis_url, clock), RateLimits(NOWHERE, clock)
    login, hourly = Subject(LOGIN, "ada"), Subject(HOURLY, "ada")
    with monkeypatch.context() as outage:
        for script in ("_reserve", "_fail", "_release"):
            outage.setattr(limits, script, getattr(away, script))
        for _ in range(5):
            await _fail(limits, login)
        for _ in range(3):
            await limits.count(hourly)
    # Redis is back and knows nothing of it.
    assert await _wait(limits, login) == 900
    with pytest.raises(RateLimited):
        await limits.count(hourly, Subject(HOURLY, "grace"))
    await _succeed(limits, Subject(LOGIN, "grace"))
    clock.advance(901)
    await _succeed(limits, login)
    clock.advance(2700)
    await limits.count(hourly)
    await limits.close()
    await away.close()
