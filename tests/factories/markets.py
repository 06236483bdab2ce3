"""Bars and signals for tests: written out by hand, or drawn from a seed."""

from collections.abc import Sequence

import numpy as np

from gql_trader.engine.bars import Bars
from gql_trader.engine.execution import ExitReason
from gql_trader.engine.ledger import Ledger
from gql_trader.engine.signals import Signals

HOUR = 3_600_000
START = 1_735_689_600_000  # 2025-01-01T00:00Z


def bars_of(
    rows: Sequence[tuple[float, float, float, float]], interval: int = HOUR, start: int = START
) -> Bars:
    """Return bars from (open, high, low, close) rows, one interval after another."""
    prices = np.array(rows, dtype=np.float64).reshape(-1, 4)
    time = start + interval * np.arange(len(prices), dtype=np.int64)
    open_, high, low, close = (np.ascontiguousarray(prices[:, at]) for at in range(4))
    return Bars(time, open_, high, low, close, np.ones(len(prices)), interval)


def bars_of_closes(closes: Sequence[float], interval: int = HOUR, start: int = START) -> Bars:
    """Return bars that open where the one before closed and reach no further than open and close."""
    previous = [closes[0], *closes[:-1]]
    rows = [(a, max(a, b), min(a, b), b) for a, b in zip(previous, closes, strict=True)]
    return bars_of(rows, interval, start)


def signals_at(
    n: int,
    entry_long: Sequence[int] = (),
    exit_long: Sequence[int] = (),
    entry_short: Sequence[int] = (),
    exit_short: Sequence[int] = (),
) -> Signals:
    """Return n bars of signals that are true at the given bars."""
    signals = Signals.none(n)
    signals.entry_long[list(entry_long)] = True
    signals.exit_long[list(exit_long)] = True
    signals.entry_short[list(entry_short)] = True
    signals.exit_short[list(exit_short)] = True
    return signals


def exits(ledger: Ledger) -> list[tuple[int, ExitReason, float]]:
    """Return exit bar, reason and price of every trade."""
    return [
        (int(ledger.exit_index[trade]), ledger.exit_reason_of(trade), float(ledger.exit_price[trade]))
        for trade in range(len(ledger))
    ]


def random_bars(
    random: np.random.Generator,
    n: int,
    *,
    volatility: float = 0.02,
    tick: float | None = None,
    missing: float = 0.0,
    interval: int = HOUR,
) -> Bars:
    """Return valid bars of a random walk around 100.

    Parameters
    ----------
    volatility
        Standard deviation of the log price from close to open, and from open to close.
    tick
        Prices are multiples of it, so that levels and prices are often equal; None: not rounded.
    missing
        Share of the bars that are left out.
    """
    steps = random.normal(0.0, volatility, 2 * n) * (random.random(2 * n) < 0.9)
    path = 100.0 * np.exp(np.clip(np.cumsum(steps), -4.0, 4.0))
    open_, close = path[0::2].copy(), path[1::2].copy()
    high = np.maximum(open_, close) * (1 + np.abs(random.normal(0.0, volatility, n)))
    low = np.minimum(open_, close) / (1 + np.abs(random.normal(0.0, volatility, n)))
    if tick is not None:
        open_, high, low, close = (
            np.maximum(np.rint(each / tick), 1) * tick for each in (open_, high, low, close)
        )
    high = np.maximum(high, np.maximum(open_, close))
    low = np.minimum(low, np.minimum(open_, close))
    time = START + interval * np.arange(n, dtype=np.int64)
    if missing:
        kept = random.random(n) >= missing
        kept[0] = True
        time = time[kept]
        open_, high, low, close = (each[kept] for each in (open_, high, low, close))
    return Bars(time, open_, high, low, close, np.ones(len(time)), interval)


def random_signals(random: np.random.Generator, n: int, density: float) -> Signals:
    """Return four independent columns of signals, each true with probability `density`."""
    return Signals(*(random.random(n) < density for _ in range(4)))
