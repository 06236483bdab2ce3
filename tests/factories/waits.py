"""Waiting that takes no time: what would be slept is written down, and the clock moved by it."""

import time

from gql_trader.infra.exchange.pacing import Waits


class VirtualWaits:
    """Time for the exchange adapter.

    Attributes
    ----------
    slept
        The seconds of each wait after a failure, in order.
    spaced
        Those of each wait between requests.
    waits
        What the adapter is given; half of every random delay is taken.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.spaced: list[float] = []
        self.waits = Waits(sleep=self._sleep, space=self._space, now=self._now, jitter=lambda: 0.5)

    def _now(self) -> float:
        return time.monotonic() + sum(self.slept) + sum(self.spaced)

    async def _space(self, seconds: float) -> None:
        self.spaced.append(seconds)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
