"""Specs and enums of the settings domain."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from gql_trader.core.errors import DomainError
from gql_trader.core.intervals import Interval


class SessionMode(StrEnum):
    """Whether orders are simulated or sent to an exchange."""

    PAPER = "PAPER"
    LIVE = "LIVE"


class Theme(StrEnum):
    """How an application looks."""

    LIGHT = "LIGHT"
    DARK = "DARK"
    SYSTEM = "SYSTEM"


class TradingMode(StrEnum):
    """What is traded."""

    SPOT = "SPOT"
    MARGIN = "MARGIN"
    FUTURES = "FUTURES"


class MarginMode(StrEnum):
    """What a leveraged position is backed by."""

    CROSS = "CROSS"
    ISOLATED = "ISOLATED"


class Secret(StrEnum):
    """What is kept sealed and never returned; the values are columns of `UserSettingsRow`."""

    EXCHANGE_KEY = "exchange_key"
    EXCHANGE_SECRET = "exchange_secret"  # noqa: S105 -- a name, not a secret
    EXCHANGE_PASSWORD = "exchange_password"  # noqa: S105
    TELEGRAM_TOKEN = "telegram_token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class TradingSettings:
    """The part of a Freqtrade configuration that users change, without secrets.

    The values here are what the program comes with. Fractions are fractions, not percent.

    Attributes
    ----------
    max_open_trades
        −1: as many as there are pairs.
    stake_amount
        In the stake currency; None: the balance divided among the trades.
    dry_run_wallet
        Balance that a dry run begins with, in the stake currency.
    timeframe
        None: the strategy's own.
    minimal_roi
        Profit at which a trade is closed, by the minutes that it has been open, as text.
    stoploss
        Negative: −0.1 closes a trade that has lost 10 %.
    """

    max_open_trades: int = 3
    stake_currency: str = "USDT"
    stake_amount: Decimal | None = Decimal(100)
    tradable_balance_ratio: float = 0.99
    trading_mode: TradingMode = TradingMode.SPOT
    margin_mode: MarginMode | None = None
    dry_run: bool = True
    dry_run_wallet: Decimal = Decimal(1000)
    timeframe: Interval | None = Interval.M5
    minimal_roi: Mapping[str, float] = field(default_factory=lambda: {"0": 0.04, "30": 0.02, "60": 0.01})
    stoploss: float = -0.1
    trailing_stop: bool = False
    trailing_stop_positive: float | None = None
    trailing_stop_positive_offset: float = 0.0
    trailing_only_offset_is_reached: bool = False
    fiat_display_currency: str = "USD"
    bot_name: str = "gql_trader"
    exchange_name: str = "binance"
    pair_whitelist: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    pair_blacklist: tuple[str, ...] = ()
    telegram_enabled: bool = False
    telegram_chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class SettingsRecord:
    """A user's settings as they hold now.

    Attributes
    ----------
    secrets
        Which secrets are kept.
    key_masked
        First and last characters of the exchange's key; None if there is none.
    is_default
        Whether the user has changed nothing.
    updated_at
        When the settings last changed; None while they are the defaults as the program came with them.
    """

    values: TradingSettings
    secrets: frozenset[Secret] = frozenset()
    key_masked: str | None = None
    is_default: bool = True
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """The state that somebody who changes settings has seen.

    Attributes
    ----------
    updated_at
        When they had been changed last; None: never.
    """

    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What to change: only what is named here.

    Attributes
    ----------
    values
        New values by the name of their field in `TradingSettings`.
    secrets
        New secrets; None forgets one.
    expected
        Refuse if the settings are in another state; None: do not look.
    preview
        Tell the difference, change nothing.
    totp_code
        A code of the second factor, for what needs one.
    problems
        What was wrong already when the change was read; it is reported with the rest.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[Secret, str | None] = field(default_factory=dict)
    expected: Expected | None = None
    preview: bool = False
    totp_code: str | None = None
    problems: tuple[DomainError, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that changes.

    Attributes
    ----------
    path
        In the API's spelling, such as ``("exchange", "name")``.
    old, new
        As JSON; None for secrets, which are never shown.
    """

    path: tuple[str, ...]
    old: Any = None
    new: Any = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """Settings after a change, or as they would be after it, and what differs."""

    settings: SettingsRecord
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """A part of a configuration that was not taken over.

    Attributes
    ----------
    path
        Keys of the configuration, from the outermost.
    """

    path: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PresetRecord:
    """Settings kept under a name; without secrets."""

    id: UUID
    user_id: UUID
    name: str
    values: TradingSettings
    created_at: datetime
    updated_at: datetime


USUAL_RISK = 0.01
USUAL_DRAWDOWN = 0.2


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a user prefers; the values here are those of a user who has said nothing.

    Attributes
    ----------
    default_capital
        Starting capital of new backtests, sessions and bots, in the quote currency.
    risk_per_trade, max_drawdown
        As fractions; None: the user has not said, `USUAL_RISK` and `USUAL_DRAWDOWN` are shown, and nothing
        begins with them.
    timezone
        IANA name.
    """

    default_mode: SessionMode = SessionMode.PAPER
    default_capital: Decimal = Decimal(10_000)
    risk_per_trade: float | None = None
    max_drawdown: float | None = None
    notifications: bool = True
    theme: Theme = Theme.SYSTEM
    timezone: str = "UTC"


NOTHING_PREFERRED = Preferences()
"""Those of a user who has said nothing."""
