"""Every trading setting: where it stands in the API, how it is kept as JSON, and what it may be."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any

from gql_trader.core.intervals import Interval
from gql_trader.infra.exchange.loading import exchange_ids
from gql_trader.settings.types import MarginMode, TradingMode, TradingSettings

UNLIMITED = "unlimited"
SMALLEST_STAKE = Decimal("0.0001")
LARGEST_AMOUNT = Decimal(10) ** 15
MOST_PAIRS = 500
MOST_PATTERN_CHARACTERS = 5000
"""Of all regular expressions in one list of pairs: they are compiled to see whether they are any."""
MOST_ROI_STEPS = 100
MOST_TRADES = 100_000

_FIAT = (
    "AUD BRL CAD CHF CLP CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NOK NZD PHP PKR PLN RUB UAH "
    "SEK SGD THB TRY TWD ZAR USD BTC ETH XRP LTC BCH BNB"
)
FIAT_CURRENCIES = frozenset(_FIAT.split())
"""What Freqtrade converts to for display."""

_EXCHANGE = re.compile(r"[a-z0-9]{2,40}", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)
_MINUTES = re.compile(r"[0-9]{1,7}", re.ASCII)
_CHAT = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_LONGEST_PAIR = 100
_PATTERN_SIGNS = frozenset(".*+?()[]{}|^$\\")
# What lists for Freqtrade are written with. Without groups of another kind and without what is not ASCII,
# a hundred characters compile in less than half a millisecond.
_PATTERN = re.compile(r"[A-Za-z0-9/:.*+\-_()|\[\]?{},^$]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One setting.

    Attributes
    ----------
    name
        Of the attribute of `TradingSettings`.
    path
        In the API's spelling.
    group
        Fields of one group are judged together, and therefore kept together: who changes one keeps the
        others as they are then.
    check
        Returns what is wrong with a value of the right type, or None.
    """

    name: str
    path: tuple[str, ...]
    group: str
    check: Callable[[Any], str | None]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _any(_value: object) -> None:
    return None


def _same(value: Any) -> Any:
    return value


def _between(low: float, high: float, text: str) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"{text}; got {value}."


def _matching(pattern: re.Pattern[str], text: str) -> Callable[[str], str | None]:
    return lambda value: None if pattern.fullmatch(value) else f"{text}; got {_shown(value)}."


def _shown(value: object) -> str:
    # What a client nested deeply has no text: making one would exhaust the stack.
    shown = f"a {type(value).__name__}" if isinstance(value, list | dict) else repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _stake(value: Decimal | None) -> str | None:
    if value is None or SMALLEST_STAKE <= value <= LARGEST_AMOUNT:
        return None
    return f"A fixed stake is at least {SMALLEST_STAKE} and at most {LARGEST_AMOUNT:,}; got {value}."


def _wallet(value: Decimal) -> str | None:
    if 0 < value <= LARGEST_AMOUNT:
        return None
    return f"The wallet of a dry run is above 0 and at most {LARGEST_AMOUNT:,}; got {value}."


def _stoploss(value: float) -> str | None:
    return None if -1e6 <= value < 0 else f"A stop-loss is below 0, such as -0.1 for 10 %; got {value}."


def _fraction(value: float | None) -> str | None:
    return None if value is None or 0 <= value <= 1 else f"This is from 0 to 1, a fraction; got {value}."


def _roi(value: Any) -> str | None:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MOST_ROI_STEPS:
        return f'This is an object of 1 to {MOST_ROI_STEPS} entries, such as {{"0": 0.04, "30": 0.02}}.'
    for minutes, profit in value.items():
        if not _MINUTES.fullmatch(minutes):
            return f"Its keys are whole numbers of minutes; got {_shown(minutes)}."
        if isinstance(profit, bool) or not isinstance(profit, int | float) or not abs(profit) <= 1e6:
            return f"Its values are numbers, fractions of profit; got {_shown(profit)} for {minutes} minutes."
    if len({int(minutes) for minutes in value}) != len(value):
        return "Two of its keys are the same number of minutes."
    return None


def _fiat(value: str) -> str | None:
    if value in FIAT_CURRENCIES:
        return None
    return f"This is one of {', '.join(sorted(FIAT_CURRENCIES))}; got {_shown(value)}."


def _bot_name(value: str) -> str | None:
    if 1 <= len(value) <= 100 and value.isprintable() and value.strip() == value:
        return None
    return "A name has 1 to 100 printable characters, without spaces around them."


def _pairs(value: tuple[str, ...]) -> str | None:
    if len(value) > MOST_PAIRS:
        return f"At most {MOST_PAIRS} pairs; got {len(value)}."
    if len(set(value)) != len(value):
        twice = next(pair for pair in value if value.count(pair) > 1)
        return f"No pair stands there twice; {_shown(twice)} does."
    for pair in value:
        if not 1 <= len(pair) <= _LONGEST_PAIR or not pair.isprintable() or " " in pair or "/" not in pair:
            return f"A pair is written as BTC/USDT or BTC/USDT:USDT; got {_shown(pair)}."
    # Freqtrade takes regular expressions too, such as BNB/.*
    patterns = [pair for pair in value if not _PATTERN_SIGNS.isdisjoint(pair)]
    if sum(map(len, patterns)) > MOST_PATTERN_CHARACTERS:
        return (
            f"The regular expressions of a list have at most {MOST_PATTERN_CHARACTERS:,} characters together."
        )
    return next((problem for pattern in patterns if (problem := _pattern(pattern))), None)


def _pattern(text: str) -> str | None:
    if not _PATTERN.fullmatch(text) or "(?" in text:
        return (
            "A regular expression for pairs has letters and digits of ASCII, the signs / : - _ , and "
            f". * + ? ( ) [ ] {{ }} | ^ $, and no (?; got {_shown(text)}."
        )
    try:
        with warnings.catch_warnings():
            # Of what a later Python may read in another way; Freqtrade's reads it as this one does.
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return f"This is neither a pair nor a regular expression: {_shown(text)}."
    return None


def _exchange(value: str) -> str | None:
    if _EXCHANGE.fullmatch(value) and value in exchange_ids():
        return None
    return f"An exchange is named by its id, such as binance, as ccxt knows it; got {_shown(value)}."


def _chat(value: str | None) -> str | None:
    if value is None or _CHAT.fullmatch(value):
        return None
    return f"A chat's id is a whole number, such as 123456789; got {_shown(value)}."


_Json = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""How a value is written as JSON, and read again."""


def _plain(
    name: str,
    path: str,
    check: Callable[[Any], str | None] = _any,
    group: str | None = None,
    json: _Json = (_same, _same),
) -> Field:
    return Field(name, tuple(path.split(".")), group or name, check, *json)


def _named(kind: type[Enum]) -> _Json:
    return lambda value: value and value.name, lambda text: text and kind[text]


_DECIMAL: _Json = (str, Decimal)
_STAKE: _Json = (
    lambda value: UNLIMITED if value is None else str(value),
    lambda text: None if text == UNLIMITED else Decimal(text),
)
_OBJECT: _Json = (dict, dict)
_TUPLE: _Json = (list, tuple)

FIELDS: tuple[Field, ...] = (
    _plain(
        "max_open_trades",
        "maxOpenTrades",
        _between(-1, MOST_TRADES, f"This is from -1, which means unlimited, to {MOST_TRADES:,}"),
        "stake",
    ),
    _plain(
        "stake_currency",
        "stakeCurrency",
        _matching(_CURRENCY, "A currency has 1 to 20 letters and digits, such as USDT"),
    ),
    _plain("stake_amount", "stakeAmount", _stake, "stake", _STAKE),
    _plain("tradable_balance_ratio", "tradableBalanceRatio", _fraction),
    _plain("trading_mode", "tradingMode", group="mode", json=_named(TradingMode)),
    _plain("margin_mode", "marginMode", group="mode", json=_named(MarginMode)),
    _plain("dry_run", "dryRun"),
    _plain("dry_run_wallet", "dryRunWallet", _wallet, json=_DECIMAL),
    _plain("timeframe", "timeframe", json=_named(Interval)),
    _plain("minimal_roi", "minimalRoi", _roi, json=_OBJECT),
    _plain("stoploss", "stoploss", _stoploss),
    _plain("trailing_stop", "trailingStop", group="trailing"),
    _plain("trailing_stop_positive", "trailingStopPositive", _fraction, "trailing"),
    _plain("trailing_stop_positive_offset", "trailingStopPositiveOffset", _fraction, "trailing"),
    _plain("trailing_only_offset_is_reached", "trailingOnlyOffsetIsReached", group="trailing"),
    _plain("fiat_display_currency", "fiatDisplayCurrency", _fiat),
    _plain("bot_name", "botName", _bot_name),
    _plain(
        "exchange_name",
        "exchange.name",
        _exchange,
    ),
    _plain("pair_whitelist", "exchange.pairWhitelist", _pairs, json=_TUPLE),
    _plain("pair_blacklist", "exchange.pairBlacklist", _pairs, json=_TUPLE),
    _plain("telegram_enabled", "telegram.enabled", group="telegram"),
    _plain("telegram_chat_id", "telegram.chatId", _chat, "telegram"),
)
BY_NAME = {each.name: each for each in FIELDS}


def encode(values: TradingSettings, names: Iterable[str] = BY_NAME) -> dict[str, Any]:
    """Return fields as JSON, by name."""
    return {name: BY_NAME[name].encode(getattr(values, name)) for name in names}


def decode(base: TradingSettings, stored: Mapping[str, Any]) -> TradingSettings:
    """Return settings in which the fields kept as JSON replace those of the base.

    Fields that this release does not know are left out.
    """
    known = {name: BY_NAME[name].decode(value) for name, value in stored.items() if name in BY_NAME}
    return replace(base, **known)


def with_groups(names: Iterable[str]) -> set[str]:
    """Return the names of fields and of all that are judged together with them."""
    groups = {BY_NAME[name].group for name in names}
    return {each.name for each in FIELDS if each.group in groups}
