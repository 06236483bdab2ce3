"""What is done by the clock: arq's cron jobs, whose ticks are the multiples of a period."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from time import time_ns
from typing import Any, Final

from arq.cron import CronJob, cron

from gql_trader.core.clock import from_milliseconds, to_milliseconds

_REMEMBERED_SECONDS: Final = 60.0
"""At least for so long it is known that a tick is done: a worker may be late to think of it."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Something that one worker does at each tick, whatever the number of workers.

    It has to bear being done twice, since Redis, which knows of the ticks, may forget them.
    """

    run: Callable[[Any], Awaitable[object]]
    """Receives the runtime."""
    seconds: float
    """Ticks are at the multiples of so many since 1970-01-01 UTC."""

    @property
    def name(self) -> str:
        """Its name in the queue and in logs."""
        return f"{self.run.__module__}.{self.run.__qualname__}".removeprefix("gql_trader.")


class Ticks(CronJob):
    """arq's cron job with three differences.

    - Ticks need not be at certain minutes, nor does a period have to divide an hour.
    - Of the ticks at which there was no worker, or no Redis, the last is made up for, and those before it are
      left out. A worker that starts looks whether the last one was missed.
    - A run that is not over when the next one is due is not overtaken by it in the same process.
    """

    def __init__(self, of: Scheduled, *, timeout_seconds: float, max_tries: int) -> None:
        self._period = round(1000 * of.seconds)
        self._is_running = False

        async def run(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
            if not self._is_running:
                self._is_running = True
                try:
                    await of.run(ctx["runtime"])
                finally:
                    self._is_running = False

        # Which tick a job is for is in its key: that of one that is done is refused while the result is kept.
        made = cron(
            run,
            name=of.name,
            timeout=timeout_seconds,
            max_tries=max_tries,
            keep_result=max(_REMEMBERED_SECONDS, 2 * of.seconds),
        )
        super().__init__(**vars(made))
        self.next_run = from_milliseconds(_now() // self._period * self._period)

    def calculate_next(self, prev_run: datetime) -> None:
        """Set the first tick that is after another, and not over."""
        after = max(to_milliseconds(prev_run), _now())
        self.next_run = from_milliseconds((after // self._period + 1) * self._period)


def _now() -> int:
    return time_ns() // 1_000_000
