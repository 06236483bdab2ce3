"""GraphQL inputs of the settings domain, and how they become specs.

What is left out stays as it is. An explicit null means the same, but for what may be without a value:
there it takes the value away.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import strawberry
from strawberry.types.unset import UnsetType

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.gql.scalars import JSON
from gql_trader.settings.attempts import names_given
from gql_trader.settings.fields import FIELDS
from gql_trader.settings.freqtrade_import import Imported, from_config
from gql_trader.settings.schema_enums import MarginMode, TradingMode
from gql_trader.settings.schema_fields import code_field, expected, expected_field, optional, preview_field
from gql_trader.settings.types import Secret, SettingsChange

# In these null is a value: none.
_CLEARED_BY_NULL = frozenset({"margin_mode", "timeframe", "trailing_stop_positive", "telegram_chat_id"})
_EXCHANGE = {"name": "exchange_name", "pair_whitelist": "pair_whitelist", "pair_blacklist": "pair_blacklist"}
_EXCHANGE_SECRETS = {
    "key": Secret.EXCHANGE_KEY,
    "secret": Secret.EXCHANGE_SECRET,
    "password": Secret.EXCHANGE_PASSWORD,
}
_TELEGRAM = {"enabled": "telegram_enabled", "chat_id": "telegram_chat_id"}
_TELEGRAM_SECRETS = {"token": Secret.TELEGRAM_TOKEN}
_NESTED = {*_EXCHANGE.values(), *_TELEGRAM.values()}
_OWN = {each.name: each.name for each in FIELDS if each.name not in {*_NESTED, "stake_amount"}}


@strawberry.input(one_of=True, description="How much one trade is given; give exactly one.")
class StakeAmountInput:
    """Input of TradingSettings.stakeAmount."""

    fixed: Decimal | None = optional("Stake of each trade, in the stake currency; at least 0.0001.")
    unlimited: bool | None = optional(
        "true: divide the balance among as many trades as may be open, which then must be limited."
    )

    def to_stake(self) -> Decimal | None:
        """Return the stake; None: unlimited.

        Raises
        ------
        InvalidInput
            If the stake is said not to be unlimited, without saying what it is.
        """
        if isinstance(self.fixed, Decimal):
            return self.fixed
        if self.unlimited is not True:
            raise InvalidInput("Give fixed, or unlimited: true.", ("stakeAmount", "unlimited"))
        return None


@strawberry.input(description="The exchange; what is left out stays as it is. null forgets a secret.")
class ExchangeSettingsInput:
    """Input of TradingSettings.exchange."""

    name: str | None = optional("Its id, such as binance.")
    key: str | None = optional("API key; shown to nobody again but for its first and last characters.")
    secret: str | None = optional("The API key's secret; shown to nobody again.")
    password: str | None = optional("The API key's passphrase, where the exchange has one.")
    pair_whitelist: list[str] | None = optional(
        "Pairs that may be traded, at least one: BTC/USDT, BTC/USDT:USDT or a regular expression."
    )
    pair_blacklist: list[str] | None = optional("Pairs that are never traded.")


@strawberry.input(description="Messages by a Telegram bot; what is left out stays as it is.")
class TelegramSettingsInput:
    """Input of TradingSettings.telegram."""

    enabled: bool | None = optional("Whether messages are sent; needs a token and a chat.")
    token: str | None = optional("The bot's token, as BotFather gives it; shown to nobody again.")
    chat_id: str | None = optional("Id of the chat, a whole number; null: none.")


@strawberry.input(
    description="What to change of your settings. What is left out, or null, stays as it is; only "
    "marginMode, timeframe, trailingStopPositive, telegram.chatId and secrets are taken away by null."
)
class UpdateSettingsInput:
    """Input of updateSettings."""

    max_open_trades: int | None = optional("Trades that may be open at once; -1: unlimited.")
    stake_currency: str | None = optional("Currency that trades are paid in, such as USDT.")
    stake_amount: StakeAmountInput | None = optional("How much one trade is given.")
    tradable_balance_ratio: float | None = optional("Fraction of the balance to trade with, 0 to 1.")
    trading_mode: TradingMode | None = optional("What is traded; MARGIN and FUTURES need a margin mode.")
    margin_mode: MarginMode | None = optional("What leveraged positions are backed by; null: none.")
    dry_run: bool | None = optional(
        "Whether orders are simulated. false takes the right to trade live: see docs/security.md."
    )
    dry_run_wallet: Decimal | None = optional("Balance that a dry run begins with; above 0.")
    timeframe: Interval | None = optional("Length of the candles; null: what the strategy says.")
    minimal_roi: JSON | None = optional(
        'Profit at which a trade is closed, by minutes: {"0": 0.04, "30": 0.02}. Replaces all entries.'
    )
    stoploss: float | None = optional("Loss at which a trade is closed, below 0: -0.1 means 10 %.")
    trailing_stop: bool | None = optional("Whether the stop follows the best price.")
    trailing_stop_positive: float | None = optional(
        "Distance of the following stop once there is a profit, 0 to 1; not 0 with trailingStop; null: none."
    )
    trailing_stop_positive_offset: float | None = optional(
        "Profit from which on trailingStopPositive counts: above that, up to 1; or 0."
    )
    trailing_only_offset_is_reached: bool | None = optional(
        "Whether the stop follows only from that profit on; needs trailingStopPositive."
    )
    fiat_display_currency: str | None = optional("Currency to show values in, such as EUR.")
    bot_name: str | None = optional("What the bot calls itself, 1 to 100 characters.")
    exchange: ExchangeSettingsInput | None = optional("Where is traded, and what.")
    telegram: TelegramSettingsInput | None = optional("Messages by a Telegram bot.")
    preview: bool | None = preview_field()
    expected_updated_at: datetime | None = expected_field()
    totp_code: str | None = code_field()

    def to_change(self) -> SettingsChange:
        """Return the change asked for, unchecked."""
        stake, problems = _stake(self.stake_amount)
        return SettingsChange(
            values={
                **_given(self, _OWN),
                **stake,
                **_given(self.exchange, _EXCHANGE),
                **_given(self.telegram, _TELEGRAM),
            },
            secrets={
                **_secrets(self.exchange, _EXCHANGE_SECRETS),
                **_secrets(self.telegram, _TELEGRAM_SECRETS),
            },
            expected=expected(self.expected_updated_at),
            preview=bool(self.preview),
            totp_code=self.totp_code,
            problems=problems,
        )


@strawberry.input(description="The exchange that users begin with; what is left out stays as it is.")
class DefaultExchangeSettingsInput:
    """Input of the defaults' exchange."""

    name: str | None = optional("Its id, such as binance.")
    pair_whitelist: list[str] | None = optional("Pairs that may be traded, at least one.")
    pair_blacklist: list[str] | None = optional("Pairs that are never traded.")


@strawberry.input(
    description="What to change of the settings of all users who have not changed them. What is left out, or "
    "null, stays as it is; marginMode, timeframe and trailingStopPositive are taken away by null. Defaults "
    "have no secrets and never trade live."
)
class UpdateDefaultSettingsInput:
    """Input of updateDefaultSettings."""

    max_open_trades: int | None = optional("Trades that may be open at once; -1: unlimited.")
    stake_currency: str | None = optional("Currency that trades are paid in, such as USDT.")
    stake_amount: StakeAmountInput | None = optional("How much one trade is given.")
    tradable_balance_ratio: float | None = optional("Fraction of the balance to trade with, 0 to 1.")
    trading_mode: TradingMode | None = optional("What is traded; MARGIN and FUTURES need a margin mode.")
    margin_mode: MarginMode | None = optional("What leveraged positions are backed by; null: none.")
    dry_run: bool | None = optional("Refused: whether to trade live is everybody's own decision.")
    dry_run_wallet: Decimal | None = optional("Balance that a dry run begins with; above 0.")
    timeframe: Interval | None = optional("Length of the candles; null: what the strategy says.")
    minimal_roi: JSON | None = optional("Profit at which a trade is closed, by minutes.")
    stoploss: float | None = optional("Loss at which a trade is closed, below 0.")
    trailing_stop: bool | None = optional("Whether the stop follows the best price.")
    trailing_stop_positive: float | None = optional("Distance of the following stop; null: none.")
    trailing_stop_positive_offset: float | None = optional("Profit from which on that distance counts.")
    trailing_only_offset_is_reached: bool | None = optional("Whether the stop follows only from there on.")
    fiat_display_currency: str | None = optional("Currency to show values in, such as EUR.")
    bot_name: str | None = optional("What bots call themselves, 1 to 100 characters.")
    exchange: DefaultExchangeSettingsInput | None = optional("Where is traded, and what.")
    preview: bool | None = preview_field()
    expected_updated_at: datetime | None = expected_field()

    def to_change(self) -> SettingsChange:
        """Return the change asked for, unchecked."""
        stake, problems = _stake(self.stake_amount)
        return SettingsChange(
            values={**_given(self, _OWN), **stake, **_given(self.exchange, _EXCHANGE)},
            expected=expected(self.expected_updated_at),
            preview=bool(self.preview),
            problems=problems,
        )


@strawberry.input(description="Go back to the defaults.")
class ResetSettingsInput:
    """Input of resetSettings."""

    preview: bool | None = preview_field()
    expected_updated_at: datetime | None = expected_field()


@strawberry.input(description="A configuration of Freqtrade to take settings from.")
class ImportFreqtradeConfigInput:
    """Input of importFreqtradeConfig."""

    config: JSON = strawberry.field(
        description="The object in config.json. What it does not mention stays as it is, as do secrets that "
        "it leaves blank."
    )
    preview: bool | None = preview_field()
    expected_updated_at: datetime | None = expected_field()
    totp_code: str | None = strawberry.field(
        default=None,
        description="With a code, dry_run: false is taken over too, which takes the right to trade live; "
        "without one it is ignored.",
    )

    @cached_property
    def imported(self) -> Imported:
        """What the configuration amounts to.

        Raises
        ------
        InvalidInput
            If it is no configuration.
        """
        return from_config(
            self.config,
            expected=expected(self.expected_updated_at),
            preview=bool(self.preview),
            totp_code=self.totp_code,
        )

    def names_mentioned(self) -> list[str]:
        """Return which settings the configuration mentions; none if it is no configuration."""
        try:
            return names_given(self.imported.change)
        except InvalidInput:
            return []


def _given(source: object, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that were given, by the name of their field in the domain."""
    found: dict[str, Any] = {}
    if source is None or isinstance(source, UnsetType):
        return found
    for attribute, name in names.items():
        value = getattr(source, attribute, strawberry.UNSET)
        if isinstance(value, UnsetType) or (value is None and name not in _CLEARED_BY_NULL):
            continue
        found[name] = tuple(value) if isinstance(value, list) and name.startswith("pair_") else value
    return found


def _stake(given: object) -> tuple[dict[str, Any], tuple[DomainError, ...]]:
    if not isinstance(given, StakeAmountInput):
        return {}, ()
    try:
        return {"stake_amount": given.to_stake()}, ()
    except InvalidInput as problem:
        return {}, (problem,)


def _secrets(source: object, names: Mapping[str, Secret]) -> dict[Secret, str | None]:
    if source is None or isinstance(source, UnsetType):
        return {}
    given = {secret: getattr(source, attribute) for attribute, secret in names.items()}
    return {secret: value for secret, value in given.items() if not isinstance(value, UnsetType)}
