"""How long to wait before asking an exchange again."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How much waiting a request is worth.

    Attributes
    ----------
    seconds
        For all attempts together, the waiting between them included.
    attempts
        How often to ask, at most.
    """

    seconds: float
    attempts: int


PATIENT = Patience(seconds=60.0, attempts=6)
"""For jobs."""
IMPATIENT = Patience(seconds=12.0, attempts=3)
"""For somebody who waits for the answer."""

STREAMING = Patience(seconds=90.0, attempts=1)
"""For the next message of a stream; a market where nobody trades for so long has none."""


@dataclass(frozen=True)
class Waits:
    """Time and chance, as the adapter needs them.

    Attributes
    ----------
    sleep, space
        Wait some seconds: after a failure, and between requests that are sent as fast as allowed.
    now
        A clock that never goes back.
    """

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    space: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.SystemRandom().random

    def backoff(self, attempt: int) -> float:
        """Return a random delay up to a bound that doubles with each attempt, counted from 0."""
        return self.jitter() * min(_LONGEST_DELAY, _FIRST_DELAY * 2.0**attempt)


@dataclass
class Skew:
    """How far our clock is ahead of an exchange's: learnt by one client, used by all.

    Attributes
    ----------
    asked_at
        When the exchange was last asked the time, by a clock that never goes back; None: never.
    """

    milliseconds: int = 0
    asked_at: float | None = None


class Gate:
    """Keeps requests to one exchange back while it has asked this address to be quiet.

    Exchanges count requests by address: one that is refused closes the gate for all.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._opens_at = 0.0
        self._closings = 0

    @property
    def closings(self) -> int:
        """How often it was closed; tells two refusals apart."""
        return self._closings

    def close(self, retry_after: float | None) -> None:
        """Keep requests back for some seconds; None: the exchange did not say for how long."""
        self._closings += 1
        if retry_after is not None:
            self._opens_at = max(self._opens_at, self._waits.now() + retry_after)

    def remaining(self) -> float:
        """Return the seconds until it opens; 0 if it is open."""
        return max(0.0, self._opens_at - self._waits.now())


class Spacing:
    """Lets requests to one exchange through one after the other, as fast as ccxt says that it allows.

    It stands in for ccxt's own throttler, of which each instance has one: an exchange counts requests by
    address, whoever's they are.

    Parameters
    ----------
    seconds
        What a request of cost 1 takes.
    """

    def __init__(self, waits: Waits, seconds: float) -> None:
        self._waits = waits
        self._seconds = seconds
        self._free_at = 0.0

    async def __call__(self, cost: float | None = None) -> None:
        """Wait for this request's turn."""
        now = self._waits.now()
        start = max(now, self._free_at)
        self._free_at = start + self._seconds * (1.0 if cost is None else float(cost))
        if start > now:
            await self._waits.space(start - now)
