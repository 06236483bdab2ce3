"""Candles for tests: random but valid, on a tick, by a seed."""

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.intervals import DAY, HOUR, WEEK, Interval
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


def forex_bars(n: int, interval: Interval = Interval.H1, *, seed: int = 0, start: int = JANUARY_2024) -> Bars:
    """Return n valid bars of a market that is closed from Friday 22 o'clock to Sunday 22 o'clock UTC.

    Bars that are partly within those hours are there, as they are at such markets.
    """
    bars = random_bars(2 * n + int(3 * DAY / interval.milliseconds) + 1, interval, seed=seed, start=start)
    monday = 4 * DAY  # 1970-01-05
    within = (bars.time - monday) % WEEK
    closed = (within >= 4 * DAY + 22 * HOUR) & (within + bars.interval <= 6 * DAY + 22 * HOUR)
    return taken(bars, np.flatnonzero(~closed)[:n])


def taken(bars: Bars, places: NDArray[np.int64]) -> Bars:
    """Return some of the bars."""
    columns = {
        name: getattr(bars, name)[places] for name in ("time", "open", "high", "low", "close", "volume")
    }
    return Bars(**columns, interval=bars.interval)


def assert_same_bars(found: Bars, expected: Bars) -> None:
    """Assert that two series of bars are equal, bit for bit."""
    assert found.interval == expected.interval
    for name in ("time", "open", "high", "low", "close", "volume"):
        assert getattr(found, name).tobytes() == getattr(expected, name).tobytes(), name


def without(bars: Bars, *holes: slice) -> Bars:
    """Return bars without some of them."""
    kept = np.ones(len(bars), np.bool_)
    for hole in holes:
        kept[hole] = False
    columns = {name: getattr(bars, name)[kept] for name in ("time", "open", "high", "low", "close", "volume")}
    return Bars(**columns, interval=bars.interval)
