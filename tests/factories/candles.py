"""Candles for tests: random but valid, on a tick, by a seed."""

import numpy as np

from gql_trader.core.intervals import Interval
from gql_trader.engine.bars import Bars

JANUARY_2024 = 1_704_067_200_000


def random_bars(
    n: int, interval: Interval = Interval.H1, *, seed: int = 0, start: int = JANUARY_2024, gaps: float = 0.0
) -> Bars:
    """Return n valid bars with prices in cents.

    Parameters
    ----------
    start
        Opening time of the first bar, Unix milliseconds; rounded down to the interval.
    gaps
        Share of bars that are left out (more are made, so that n remain).
    """
    random = np.random.default_rng(seed)
    slots = np.arange(n) if not gaps else np.sort(random.choice(int(n / (1 - gaps)) + 1, n, replace=False))
    close = np.maximum(100_000 + np.cumsum(random.integers(-300, 301, n)), 1_000)
    opened = np.concatenate([[100_000], close[:-1]])
    high = np.maximum(opened, close) + random.integers(0, 200, n)
    low = np.minimum(opened, close) - random.integers(0, 200, n)
    return Bars(
        time=interval.floor(start) + slots.astype(np.int64) * interval.milliseconds,
        open=opened / 100,
        high=high / 100,
        low=low / 100,
        close=close / 100,
        volume=random.integers(0, 10**9, n) / 10**6,
        interval=interval.milliseconds,
    )


def assert_same_bars(found: Bars, expected: Bars) -> None:
    """Assert that two series of bars are equal, bit for bit."""
    assert found.interval == expected.interval
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name
