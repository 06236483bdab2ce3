"""A config.json of Freqtrade as a change of settings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from gql_trader.core.errors import InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_exact
from gql_trader.settings.fields import BY_NAME, UNLIMITED
from gql_trader.settings.freqtrade import to_config
from gql_trader.settings.rules import check_change
from gql_trader.settings.types import (
    Expected,
    Ignored,
    MarginMode,
    Secret,
    SettingsChange,
    TradingMode,
    TradingSettings,
)

MOST_VALUES = 5000
_LARGEST = 1e18
_DEEPEST = 8

_SECRETS: dict[tuple[str, ...], Secret] = {
    ("exchange", "key"): Secret.EXCHANGE_KEY,
    ("exchange", "api_key"): Secret.EXCHANGE_KEY,
    ("exchange", "secret"): Secret.EXCHANGE_SECRET,
    ("exchange", "password"): Secret.EXCHANGE_PASSWORD,
    ("telegram", "token"): Secret.TELEGRAM_TOKEN,
}


class _Refused(Exception):
    """A value has the wrong type; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a configuration amounts to."""

    change: SettingsChange
    ignored: tuple[Ignored, ...]


def from_config(
    config: object,
    *,
    expected: Expected | None = None,
    preview: bool = False,
    totp_code: str | None = None,
) -> Imported:
    """Return the change that a configuration asks for, and what of it cannot be taken over.

    Values that are wrong by themselves are among the latter; whether the rest goes together is judged
    when it is saved.

    Parameters
    ----------
    expected, preview, totp_code
        Parts of the change. Without a code ``dry_run: false`` is not taken over.

    Raises
    ------
    InvalidInput
        If it is no JSON object, or far larger than a configuration.
    """
    if not isinstance(config, Mapping):
        raise InvalidInput("A configuration is a JSON object, as config.json has one.", ("config",))
    leaves = list(islice(_leaves(config), MOST_VALUES + 1))
    if len(leaves) > MOST_VALUES:
        raise InvalidInput(f"A configuration has at most {MOST_VALUES:,} values.", ("config",))
    values: dict[str, Any] = {}
    secrets: dict[Secret, str | None] = {}
    ignored: list[Ignored] = []
    own = dict(_leaves(to_config(TradingSettings())))
    for path, value in leaves:
        if path in _SECRETS:
            # Blank is how a configuration says that there is none; it is no wish to forget one.
            if value not in (None, ""):
                _take_secret(secrets, ignored, path, value)
        elif path in _READERS:
            name, read = _READERS[path]
            try:
                found = read(value, config)
            except _Refused as error:
                ignored.append(Ignored(path, str(error)))
                continue
            if name == "dry_run" and not found and not totp_code:
                ignored.append(
                    Ignored(path, "Live trading is not taken over without a code of the second factor.")
                )
                continue
            message = BY_NAME[name].check(found)
            if name == "pair_whitelist" and not found:
                # Those whose pairs come from a list of another kind often leave it empty.
                message = "At least one pair is needed here; the present ones stay."
            if message is None:
                values[name] = found
            else:
                ignored.append(Ignored(path, message))
        elif path[0] != "$schema" and not (path in own and own[path] == value):
            ignored.append(Ignored(path, _reason(path)))
    change = SettingsChange(values, secrets, expected, preview, totp_code)
    return Imported(change, tuple(ignored))


def _reason(path: tuple[str, ...]) -> str:
    if path[0] == "pairlists":
        return "Pairs are those of exchange.pair_whitelist here: a StaticPairList."
    return "There is no such setting here."


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    # Lists are leaves, and so are the objects that are one setting.
    if isinstance(value, Mapping) and value and path not in _WHOLE and len(path) < _DEEPEST:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif path:
        yield path, value


def _take_secret(
    secrets: dict[Secret, str | None], ignored: list[Ignored], path: tuple[str, ...], value: object
) -> None:
    secret = _SECRETS[path]
    if isinstance(value, str) and not check_change(SettingsChange(secrets={secret: value})):
        secrets[secret] = value
    else:
        ignored.append(Ignored(path, "This is not what such a secret looks like."))


def _whole(value: Any, _config: Mapping[str, Any]) -> int:
    number = _number(value, _config)
    if number == int(number):
        return int(number)
    raise _Refused("This is a whole number.")


def _number(value: Any, _config: Mapping[str, Any]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return float(value)
    raise _Refused("This is a number.")


def _bool(value: Any, _config: Mapping[str, Any]) -> bool:
    if isinstance(value, bool):
        return value
    raise _Refused("This is true or false.")


def _text(value: Any, _config: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    raise _Refused("This is a text.")


def _texts(value: Any, _config: Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise _Refused("This is a list of texts.")


def _amount(value: Any, config: Mapping[str, Any]) -> Decimal:
    return to_exact(_number(value, config))


def _stake(value: Any, config: Mapping[str, Any]) -> Decimal | None:
    return None if value == UNLIMITED else _amount(value, config)


def _wallet(value: Any, config: Mapping[str, Any]) -> Decimal:
    if isinstance(value, Mapping):
        currency = config.get("stake_currency")
        if not isinstance(currency, str) or set(value) != {currency}:
            raise _Refused("Only a wallet of the stake currency alone is taken over.")
        value = value[currency]
    return _amount(value, config)


def _interval(value: Any, _config: Mapping[str, Any]) -> Interval:
    try:
        return Interval(_text(value, _config))
    except ValueError as error:
        known = ", ".join(each.value for each in Interval)
        raise _Refused(f"This timeframe is not known here; known are {known}.") from error


def _trading_mode(value: Any, _config: Mapping[str, Any]) -> TradingMode:
    try:
        return TradingMode(_text(value, _config).upper())
    except ValueError as error:
        raise _Refused("This is spot, margin or futures.") from error


def _margin_mode(value: Any, _config: Mapping[str, Any]) -> MarginMode | None:
    try:
        return MarginMode(_text(value, _config).upper()) if value not in (None, "") else None
    except ValueError as error:
        raise _Refused("This is cross, isolated or empty.") from error


def _roi(value: Any, _config: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(key): each for key, each in value.items()}
    raise _Refused("This is an object.")


def _chat(value: Any, _config: Mapping[str, Any]) -> str | None:
    if value in (None, ""):
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, _config)


_Reader = Callable[[Any, Mapping[str, Any]], Any]
_READERS: dict[tuple[str, ...], tuple[str, _Reader]] = {
    ("max_open_trades",): ("max_open_trades", _whole),
    ("stake_currency",): ("stake_currency", _text),
    ("stake_amount",): ("stake_amount", _stake),
    ("tradable_balance_ratio",): ("tradable_balance_ratio", _number),
    ("trading_mode",): ("trading_mode", _trading_mode),
    ("margin_mode",): ("margin_mode", _margin_mode),
    ("dry_run",): ("dry_run", _bool),
    ("dry_run_wallet",): ("dry_run_wallet", _wallet),
    ("timeframe",): ("timeframe", _interval),
    ("minimal_roi",): ("minimal_roi", _roi),
    ("stoploss",): ("stoploss", _number),
    ("trailing_stop",): ("trailing_stop", _bool),
    ("trailing_stop_positive",): ("trailing_stop_positive", _number),
    ("trailing_stop_positive_offset",): ("trailing_stop_positive_offset", _number),
    ("trailing_only_offset_is_reached",): ("trailing_only_offset_is_reached", _bool),
    ("fiat_display_currency",): ("fiat_display_currency", _text),
    ("bot_name",): ("bot_name", _text),
    ("exchange", "name"): ("exchange_name", _text),
    ("exchange", "pair_whitelist"): ("pair_whitelist", _texts),
    ("exchange", "pair_blacklist"): ("pair_blacklist", _texts),
    ("telegram", "enabled"): ("telegram_enabled", _bool),
    ("telegram", "chat_id"): ("telegram_chat_id", _chat),
}
_WHOLE = frozenset({("dry_run_wallet",), ("minimal_roi",)})
