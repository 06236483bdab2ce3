"""Simulated prices, so that a fresh server has something to run on. Nobody's quotes: the venue is `demo`."""

from dataclasses import dataclass

import numpy as np

from gql_trader.core.intervals import HOUR, Interval
from gql_trader.engine.bars import Bars
from gql_trader.infra.unit_of_work import UnitOfWork
from gql_trader.market_data import repository
from gql_trader.market_data.catalogue import ensure_market
from gql_trader.market_data.store.saving import save_candles
from gql_trader.market_data.types import DEMO_EXCHANGE

_JULY_2023 = 1_688_169_600_000
_OCTOBER_2025 = _JULY_2023 + 20_000 * HOUR


@dataclass(frozen=True, slots=True)
class _DemoSeries:
    symbol: str
    interval: Interval
    start: int
    bars: int
    seed: int
    price: float
    volatility: float
    """Standard deviation of one bar's return in a calm regime."""
    volume: float
    gain: float
    """Natural logarithm of the last price over the first."""


_SERIES = (
    _DemoSeries("BTC/USD", Interval.H1, _JULY_2023, 20_000, 1, 30_000.0, 0.004, 400.0, 0.6),
    # Minutes go on where the hours end, at their last price.
    _DemoSeries("BTC/USD", Interval.M1, _OCTOBER_2025, 30 * 24 * 60, 2, 54_663.56, 0.0006, 8.0, 0.05),
    _DemoSeries("ETH/USD", Interval.H1, _JULY_2023, 20_000, 3, 1_900.0, 0.005, 3_000.0, 0.6),
)


async def seed_demo(uow: UnitOfWork) -> None:
    """Add the markets of simulated prices; where they are already, change nothing."""
    markets = {
        symbol: await ensure_market(uow, DEMO_EXCHANGE, symbol, price_precision=2, amount_precision=6)
        for symbol in dict.fromkeys(series.symbol for series in _SERIES)
    }
    for series in _SERIES:
        market_id = markets[series.symbol].id
        if await repository.series_row(uow.session, market_id, series.interval) is None:
            await save_candles(uow, market_id, series.interval, simulate(series))


def simulate(series: _DemoSeries) -> Bars:
    """Return simulated bars with prices in cents; the same ones every time.

    Trends that last for days alternate with reversals, and volatility comes in clusters, so that trend
    and mean-reversion strategies both find something to do. Each bar's extremes come from a few steps
    within it.
    """
    random = np.random.default_rng(series.seed)
    n, steps = series.bars, 4
    # Regimes: each lasts 20 to 400 bars and has its own drift and its own volatility.
    lengths = random.integers(20, 400, n // 20 + 1)
    regime = np.repeat(np.arange(len(lengths)), lengths)[:n]
    drift = random.normal(0.0, 0.09, len(lengths))[regime]
    spread = np.exp(random.normal(0.0, 0.4, len(lengths)))[regime] * series.volatility
    moves = (drift[:, None] / steps + random.standard_t(5, (n, steps)) / np.sqrt(steps) * 0.8) * spread[
        :, None
    ]
    path = np.cumsum(moves.ravel())
    # A slow pull keeps years of it from ending at zero or in the sky.
    path -= np.linspace(0.0, path[-1] - series.gain, n * steps)
    cents = np.maximum(np.rint(series.price * 100 * np.exp(path)), 1.0).reshape(n, steps)
    close = cents[:, -1]
    opened = np.concatenate([[np.rint(series.price * 100)], close[:-1]])
    volume = random.gamma(2.0, series.volume / 2, n) * spread / series.volatility
    return Bars(
        time=series.start + series.interval.milliseconds * np.arange(n),
        open=opened / 100,
        high=np.maximum(opened, cents.max(axis=1)) / 100,
        low=np.minimum(opened, cents.min(axis=1)) / 100,
        close=close / 100,
        volume=np.rint(volume * 1e6) / 1e6,
        interval=series.interval.milliseconds,
    )
