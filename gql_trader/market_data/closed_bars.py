"""Which bars are over: what is acted on must not change any more."""

from gql_trader.engine.bars import Bars
from gql_trader.market_data.types import PriceSeriesRecord


def last_closed_bar(series: PriceSeriesRecord) -> int:
    """Return the latest opening time, in Unix milliseconds, at which a bar that is over may have begun.

    Stored candles are over. A bar that is made from those of a lower interval is over once candles of all
    its time are there, or later ones.
    """
    known_until = series.source.last + series.source.interval.milliseconds
    return known_until - series.interval.milliseconds


def without_open_bar(series: PriceSeriesRecord, bars: Bars) -> Bars:
    """Return bars of a series without a last one that is not over yet."""
    if len(bars) and bars.time[-1] > last_closed_bar(series):
        return bars.slice(0, len(bars) - 1)
    return bars
