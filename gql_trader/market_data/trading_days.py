"""Which days a market's figures count, by what is traded there and what its candles show."""

from gql_trader.engine.bars import Bars
from gql_trader.engine.trading_days import (
    TradingDays,
    trades_at_weekends,
    trades_on_sundays_not_fridays,
)
from gql_trader.engine.version import METRICS_VERSION
from gql_trader.market_data.types import AssetRecord, AssetType

_CURRENCIES = (AssetType.FIAT, AssetType.FOREX)


def trading_days(base: AssetRecord, bars: Bars, metrics_version: int = METRICS_VERSION) -> TradingDays:
    """Return which days of a run count.

    Parameters
    ----------
    base
        What the market trades. Crypto never closes, a currency does at weekends unless its bars show that
        it is traded then, and everything else does.
    bars
        Those of the run, from its first to its last, without those for warming up.
    metrics_version
        By whose rules: an earlier one for results of that time.
    """
    if metrics_version < 2:
        never_closes = base.type is AssetType.CRYPTO or base.type in _CURRENCIES
        return TradingDays.EVERY_DAY if never_closes else TradingDays.WITH_BARS
    if base.type is AssetType.CRYPTO or (base.type in _CURRENCIES and trades_at_weekends(bars)):
        return TradingDays.EVERY_DAY
    return TradingDays.WITH_BARS if trades_on_sundays_not_fridays(bars) else TradingDays.WEEKDAYS
