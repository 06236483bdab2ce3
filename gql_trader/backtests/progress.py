"""Progress of a run: from the engine's thread to the event stream, often enough and not too often."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from gql_trader.backtests.types import Claim, RunStatus, stream_of
from gql_trader.infra.event_streams import EventStreams, EventTransportError

_log = structlog.get_logger(__name__)

EVENTS_PER_SECOND = 20
STEP = 0.05
"""Crossing a multiple of this is worth an event."""


class RunStopped(Exception):
    """The run is to stop where it is: cancelled, taken over, or its worker is stopping."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run and its share of the whole, as fractions of the progress bar."""

    begin: float
    end: float


LOAD = Stage(0.0, 0.1)
SIGNALS = Stage(0.1, 0.5)
SIMULATE = Stage(0.5, 0.9)
MEASURE = Stage(0.9, 1.0)


class EventBudget:
    """At most so many events in any second, by a sliding window.

    Parameters
    ----------
    monotonic
        Returns seconds, never going back.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._times: deque[float] = deque(maxlen=per_second)
        self._monotonic = monotonic

    def allows(self) -> bool:
        """Count one event and return True if the window has room for it."""
        now = self._monotonic()
        if len(self._times) == self._times.maxlen and now - self._times[0] < 1.0:
            return False
        self._times.append(now)
        return True


class Progress:
    """What the engine's thread tells, published by the event loop.

    The thread calls `report`; it raises `RunStopped` once `stop` was called. The loop's side publishes
    each event in order. Progress is for watching only: if the streams are away it is dropped, and the
    final state, which is in the database, is what counts.
    """

    def __init__(self, held: Claim, events: EventStreams) -> None:
        self._loop = asyncio.get_running_loop()
        self._stream = stream_of(held.backtest_id)
        self._attempt = held.attempt
        self._events = events
        self._queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        # Three places are kept for the events of a state, queued, running and final, which are never dropped.
        self._budget = EventBudget(EVENTS_PER_SECOND - 3, self._loop.time)
        self._stopped = threading.Event()
        self._reported = 0.0
        self.fraction = 0.0

    def stop(self) -> None:
        """Make the next `report` raise `RunStopped`."""
        self._stopped.set()

    def report(
        self, stage: Stage, fraction: float, bar_time: int | None = None, equity: float | None = None
    ) -> None:
        """Tell how far a stage is; called from the engine's thread.

        Parameters
        ----------
        fraction
            Of this stage, in [0, 1].
        bar_time
            Opening time of the bar reached, Unix milliseconds.
        equity
            Equity there, in account currency.

        Raises
        ------
        RunStopped
            If the run is to stop.
        """
        if self._stopped.is_set():
            raise RunStopped
        self.fraction = stage.begin + (stage.end - stage.begin) * min(max(fraction, 0.0), 1.0)
        if int(self.fraction / STEP + 1e-9) > int(self._reported / STEP + 1e-9) and self._budget.allows():
            self._reported = self.fraction
            event = {
                "status": RunStatus.RUNNING.value,
                "progress": round(self.fraction, 4),
                "barTime": bar_time,
                "equity": equity,
                "attempt": self._attempt,
            }
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    async def publish(self) -> None:
        """Publish what is reported until `close`; after a failure drop the rest, to not hold up the run."""
        reachable = True
        while (event := await self._queue.get()) is not None:
            if reachable:
                try:
                    await self._events.publish(self._stream, event)
                except EventTransportError as error:
                    reachable = False
                    _log.warning("progress_not_published", stream=self._stream, reason=str(error))

    def close(self) -> None:
        """Let `publish` return once all that was reported is published."""
        self._queue.put_nowait(None)
