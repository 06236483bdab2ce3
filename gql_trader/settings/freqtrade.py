"""Settings as a config.json of Freqtrade."""

from collections.abc import Mapping
from typing import Any

from gql_trader.core.money import to_float
from gql_trader.settings.fields import UNLIMITED
from gql_trader.settings.types import Secret, TradingSettings

_SCHEMA = "https://schema.freqtrade.io/schema.json"


def to_config(values: TradingSettings, secrets: Mapping[Secret, str] | None = None) -> dict[str, Any]:
    """Return a complete configuration.

    A setting that is left open, such as the timeframe, is missing: Freqtrade then takes the strategy's.

    Parameters
    ----------
    secrets
        None: they are blank.
    """
    known = secrets or {}
    config: dict[str, Any] = {
        "$schema": _SCHEMA,
        "bot_name": values.bot_name,
        "max_open_trades": values.max_open_trades,
        "stake_currency": values.stake_currency,
        "stake_amount": UNLIMITED if values.stake_amount is None else to_float(values.stake_amount),
        "tradable_balance_ratio": values.tradable_balance_ratio,
        "last_stake_amount_min_ratio": 0.5,
        "fiat_display_currency": values.fiat_display_currency,
        "dry_run": values.dry_run,
        "dry_run_wallet": to_float(values.dry_run_wallet),
        "cancel_open_orders_on_exit": False,
        "trading_mode": values.trading_mode.value.lower(),
        "margin_mode": values.margin_mode.value.lower() if values.margin_mode else "",
        "minimal_roi": dict(values.minimal_roi),
        "stoploss": values.stoploss,
        "trailing_stop": values.trailing_stop,
        "trailing_stop_positive_offset": values.trailing_stop_positive_offset,
        "trailing_only_offset_is_reached": values.trailing_only_offset_is_reached,
        "unfilledtimeout": {"entry": 10, "exit": 10, "exit_timeout_count": 0, "unit": "minutes"},
        "entry_pricing": {
            "price_side": "same",
            "use_order_book": True,
            "order_book_top": 1,
            "price_last_balance": 0.0,
            "check_depth_of_market": {"enabled": False, "bids_to_ask_delta": 1},
        },
        "exit_pricing": {
            "price_side": "same",
            "use_order_book": True,
            "order_book_top": 1,
            "price_last_balance": 0.0,
        },
        "exchange": {
            "name": values.exchange_name,
            "key": known.get(Secret.EXCHANGE_KEY, ""),
            "secret": known.get(Secret.EXCHANGE_SECRET, ""),
            "password": known.get(Secret.EXCHANGE_PASSWORD, ""),
            "ccxt_config": {},
            "ccxt_async_config": {},
            "pair_whitelist": list(values.pair_whitelist),
            "pair_blacklist": list(values.pair_blacklist),
        },
        "pairlists": [{"method": "StaticPairList"}],
        "telegram": {
            "enabled": values.telegram_enabled,
            "token": known.get(Secret.TELEGRAM_TOKEN, ""),
            "chat_id": values.telegram_chat_id or "",
        },
        "initial_state": "running",
        "force_entry_enable": False,
        "internals": {"process_throttle_secs": 5},
        "dataformat_ohlcv": "feather",
        "dataformat_trades": "feather",
    }
    if values.timeframe is not None:
        config["timeframe"] = values.timeframe.value
    if values.trailing_stop_positive is not None:
        config["trailing_stop_positive"] = values.trailing_stop_positive
    return config
