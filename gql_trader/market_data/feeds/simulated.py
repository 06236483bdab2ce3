"""Simulated prices that go on: a random walk, minute by minute, the same whoever computes it and when."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from gql_trader.core.intervals import DAY, MINUTE, Interval
from gql_trader.engine.bars import Bars, Floats
from gql_trader.market_data.store.resampling import resample

STEPS = 12
"""Prices within a minute."""

_VOLATILITY = 0.0006
_VOLUME = 8.0
_MINUTES = DAY // MINUTE


@dataclass(frozen=True, slots=True)
class _Moves:
    """What happens in each of n minutes: float64[n, STEPS] prices over the first, float64[n] volumes."""

    factors: Floats
    volume: Floats


def _day(symbol: str, day: int) -> _Moves:
    random = np.random.default_rng([crc32(symbol.encode()), day])
    moves = random.standard_normal((_MINUTES, STEPS)) * (_VOLATILITY / np.sqrt(STEPS))
    volume = np.rint(random.gamma(2.0, _VOLUME / 2, _MINUTES) * 1e6) / 1e6
    # Half the variance is taken off: the price is as likely to double in the long run as to halve.
    drift = _VOLATILITY**2 / (2 * STEPS)
    return _Moves(np.exp(np.cumsum(moves - drift, axis=1)), volume)


def _moves(symbol: str, start: int, count: int) -> _Moves:
    days = range(start // DAY, (start + (count - 1) * MINUTE) // DAY + 1)
    parts = [_day(symbol, day) for day in days]
    at = start % DAY // MINUTE
    return _Moves(
        np.concatenate([part.factors for part in parts])[at : at + count],
        np.concatenate([part.volume for part in parts])[at : at + count],
    )


def minutes(symbol: str, start: int, count: int, opening: float, places: int) -> Bars:
    """Return candles of one minute.

    Parameters
    ----------
    start
        Opening time of the first, Unix milliseconds.
    opening
        The close before it.
    places
        Decimal places of prices.
    """
    moves = _moves(symbol, start, count)
    tick = 10.0**-places
    closes = np.empty(count)
    price = opening
    for index, factor in enumerate(moves.factors[:, -1].tolist()):
        price = max(round(price * factor, places), tick)
        closes[index] = price
    opens = np.concatenate([[opening], closes[:-1]])
    highs = np.round(opens * moves.factors.max(axis=1), places)
    lows = np.round(opens * moves.factors.min(axis=1), places)
    return Bars(
        time=start + MINUTE * np.arange(count, dtype=np.int64),
        open=opens,
        high=np.maximum(highs, np.maximum(opens, closes)),
        low=np.maximum(np.minimum(lows, np.minimum(opens, closes)), tick),
        close=closes,
        volume=moves.volume,
        interval=MINUTE,
    )


def forming_minute(symbol: str, start: int, elapsed: int, opening: float, places: int) -> Bars | None:
    """Return the candle of a minute that is not over, as far as it has come; None before its first price.

    Parameters
    ----------
    elapsed
        Milliseconds since its start.
    """
    steps = min(elapsed * STEPS // MINUTE, STEPS)
    if steps < 1:
        return None
    moves = _moves(symbol, start, 1)
    tick = 10.0**-places
    prices = [opening, *(max(round(opening * factor, places), tick) for factor in moves.factors[0][:steps])]
    volume = float(moves.volume[0]) * steps / STEPS

    def column(value: float) -> Floats:
        return np.array([value], np.float64)

    return Bars(
        time=np.array([start], np.int64),
        open=column(opening),
        high=column(max(prices)),
        low=column(min(prices)),
        close=column(prices[-1]),
        volume=column(volume),
        interval=MINUTE,
    )


def walk(symbol: str, interval: Interval, start: int, end: int, opening: float, places: int) -> Bars:
    """Return candles that open in [start, end), made of simulated minutes; see `minutes`."""
    return resample(minutes(symbol, start, (end - start) // MINUTE, opening, places), interval)
