"""The market data domain as other packages use it; each subject is in a module of its own.

Files are read and written by `gql_trader.market_data.incoming`, which the server never needs and which takes
a tenth of a second to import.
"""

from gql_trader.market_data.catalogue import (
    count_assets,
    count_markets,
    ensure_market,
    find_asset,
    find_market,
    list_assets,
    list_markets,
    look_up_market,
    market_with_base,
)
from gql_trader.market_data.demo import seed_demo
from gql_trader.market_data.store.loading import find_series, load_bars, load_whole, summarize
from gql_trader.market_data.store.paging import count_candles, list_candles
from gql_trader.market_data.store.saving import SavedCandles, save_candles
from gql_trader.market_data.trading_days import trading_days

__all__ = [
    "SavedCandles",
    "count_assets",
    "count_candles",
    "count_markets",
    "ensure_market",
    "find_asset",
    "find_market",
    "find_series",
    "list_assets",
    "list_candles",
    "list_markets",
    "load_bars",
    "load_whole",
    "look_up_market",
    "market_with_base",
    "save_candles",
    "seed_demo",
    "summarize",
    "trading_days",
]
