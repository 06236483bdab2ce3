"""Bars of a random walk, reproducible by seed."""

import numpy as np

from gql_trader.engine.bars import Bars


def random_bars(n: int, seed: int = 0, interval: int = 3_600_000) -> Bars:
    """Return n valid bars of a market that starts at 100 on 2021-01-04 (a Monday), 00:00 UTC."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    opening = np.concatenate([[100.0], close[:-1]])[:n] * np.exp(rng.normal(0.0, 0.001, n))
    high = np.maximum(opening, close) * (1.0 + np.abs(rng.normal(0.0, 0.004, n)))
    low = np.minimum(opening, close) * (1.0 - np.abs(rng.normal(0.0, 0.004, n)))
    time = 1_609_718_400_000 + np.arange(n, dtype=np.int64) * interval
    return Bars(time, opening, high, low, close, rng.uniform(1.0, 100.0, n), interval)
