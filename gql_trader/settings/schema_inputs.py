"""GraphQL inputs of the settings domain, and how they become specs.

What is left out stays as it is. An explicit null means the same, but for what may be without a value:
there it takes the value away.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry
from strawberry.types.unset import UnsetType

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.core.intervals import Interval
from gql_trader.gql.scalars import JSON
from gql_trader.settings.fields import FIELDS
from gql_trader.settings.schema_enums import MarginMode, SessionMode, Theme, TradingMode
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


def _optional(description: str) -> Any:
    return strawberry.field(default=strawberry.UNSET, description=description)


def _expected() -> Any:
    return strawberry.field(
        default=None,
        description="Refuse if the settings have changed since: the `updatedAt` that was read; null: do not "
        "look.",
    )


def _preview() -> Any:
    return strawberry.field(default=False, description="Return what would change, and change nothing.")


def _code() -> Any:
    return strawberry.field(
        default=None,
        description="A code of your authenticator app, or a recovery code: needed for trading live, besides "
        "a fresh login.",
    )


@strawberry.input(one_of=True, description="How much one trade is given; give exactly one.")
class StakeAmountInput:
    """Input of TradingSettings.stakeAmount."""

    fixed: Decimal | None = _optional("Stake of each trade, in the stake currency; at least 0.0001.")
    unlimited: bool | None = _optional(
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

    name: str | None = _optional("Its id, such as binance.")
    key: str | None = _optional("API key; shown to nobody again but for its first and last characters.")
    secret: str | None = _optional("The API key's secret; shown to nobody again.")
    password: str | None = _optional("The API key's passphrase, where the exchange has one.")
    pair_whitelist: list[str] | None = _optional(
        "Pairs that may be traded, at least one: BTC/USDT, BTC/USDT:USDT or a regular expression."
    )
    pair_blacklist: list[str] | None = _optional("Pairs that are never traded.")


@strawberry.input(description="Messages by a Telegram bot; what is left out stays as it is.")
class TelegramSettingsInput:
    """Input of TradingSettings.telegram."""

    enabled: bool | None = _optional("Whether messages are sent; needs a token and a chat.")
    token: str | None = _optional("The bot's token, as BotFather gives it; shown to nobody again.")
    chat_id: str | None = _optional("Id of the chat, a whole number; null: none.")


@strawberry.input(
    description="What to change of your settings. What is left out, or null, stays as it is; only "
    "marginMode, timeframe, trailingStopPositive, telegram.chatId and secrets are taken away by null."
)
class UpdateSettingsInput:
    """Input of updateSettings."""

    max_open_trades: int | None = _optional("Trades that may be open at once; -1: unlimited.")
    stake_currency: str | None = _optional("Currency that trades are paid in, such as USDT.")
    stake_amount: StakeAmountInput | None = _optional("How much one trade is given.")
    tradable_balance_ratio: float | None = _optional("Fraction of the balance to trade with, 0 to 1.")
    trading_mode: TradingMode | None = _optional("What is traded; MARGIN and FUTURES need a margin mode.")
    margin_mode: MarginMode | None = _optional("What leveraged positions are backed by; null: none.")
    dry_run: bool | None = _optional(
        "Whether orders are simulated. false takes the right to trade live: see docs/security.md."
    )
    dry_run_wallet: Decimal | None = _optional("Balance that a dry run begins with; above 0.")
    timeframe: Interval | None = _optional("Length of the candles; null: what the strategy says.")
    minimal_roi: JSON | None = _optional(
        'Profit at which a trade is closed, by minutes: {"0": 0.04, "30": 0.02}. Replaces all entries.'
    )
    stoploss: float | None = _optional("Loss at which a trade is closed, below 0: -0.1 means 10 %.")
    trailing_stop: bool | None = _optional("Whether the stop follows the best price.")
    trailing_stop_positive: float | None = _optional(
        "Distance of the following stop once there is a profit, 0 to 1; not 0 with trailingStop; null: none."
    )
    trailing_stop_positive_offset: float | None = _optional(
        "Profit from which on trailingStopPositive counts: above that, up to 1; or 0."
    )
    trailing_only_offset_is_reached: bool | None = _optional(
        "Whether the stop follows only from that profit on; needs trailingStopPositive."
    )
    fiat_display_currency: str | None = _optional("Currency to show values in, such as EUR.")
    bot_name: str | None = _optional("What the bot calls itself, 1 to 100 characters.")
    exchange: ExchangeSettingsInput | None = _optional("Where is traded, and what.")
    telegram: TelegramSettingsInput | None = _optional("Messages by a Telegram bot.")
    preview: bool | None = _preview()
    expected_updated_at: datetime | None = _expected()
    totp_code: str | None = _code()

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
            expected_updated_at=self.expected_updated_at,
            preview=bool(self.preview),
            totp_code=self.totp_code,
            problems=problems,
        )


@strawberry.input(description="The exchange that users begin with; what is left out stays as it is.")
class DefaultExchangeSettingsInput:
    """Input of the defaults' exchange."""

    name: str | None = _optional("Its id, such as binance.")
    pair_whitelist: list[str] | None = _optional("Pairs that may be traded, at least one.")
    pair_blacklist: list[str] | None = _optional("Pairs that are never traded.")


@strawberry.input(
    description="What to change of the settings of all users who have not changed them. What is left out, or "
    "null, stays as it is; marginMode, timeframe and trailingStopPositive are taken away by null. Defaults "
    "have no secrets and never trade live."
)
class UpdateDefaultSettingsInput:
    """Input of updateDefaultSettings."""

    max_open_trades: int | None = _optional("Trades that may be open at once; -1: unlimited.")
    stake_currency: str | None = _optional("Currency that trades are paid in, such as USDT.")
    stake_amount: StakeAmountInput | None = _optional("How much one trade is given.")
    tradable_balance_ratio: float | None = _optional("Fraction of the balance to trade with, 0 to 1.")
    trading_mode: TradingMode | None = _optional("What is traded; MARGIN and FUTURES need a margin mode.")
    margin_mode: MarginMode | None = _optional("What leveraged positions are backed by; null: none.")
    dry_run: bool | None = _optional("Refused: whether to trade live is everybody's own decision.")
    dry_run_wallet: Decimal | None = _optional("Balance that a dry run begins with; above 0.")
    timeframe: Interval | None = _optional("Length of the candles; null: what the strategy says.")
    minimal_roi: JSON | None = _optional("Profit at which a trade is closed, by minutes.")
    stoploss: float | None = _optional("Loss at which a trade is closed, below 0.")
    trailing_stop: bool | None = _optional("Whether the stop follows the best price.")
    trailing_stop_positive: float | None = _optional("Distance of the following stop; null: none.")
    trailing_stop_positive_offset: float | None = _optional("Profit from which on that distance counts.")
    trailing_only_offset_is_reached: bool | None = _optional("Whether the stop follows only from there on.")
    fiat_display_currency: str | None = _optional("Currency to show values in, such as EUR.")
    bot_name: str | None = _optional("What bots call themselves, 1 to 100 characters.")
    exchange: DefaultExchangeSettingsInput | None = _optional("Where is traded, and what.")
    preview: bool | None = _preview()
    expected_updated_at: datetime | None = _expected()

    def to_change(self) -> SettingsChange:
        """Return the change asked for, unchecked."""
        stake, problems = _stake(self.stake_amount)
        return SettingsChange(
            values={**_given(self, _OWN), **stake, **_given(self.exchange, _EXCHANGE)},
            expected_updated_at=self.expected_updated_at,
            preview=bool(self.preview),
            problems=problems,
        )


@strawberry.input(description="Go back to the defaults.")
class ResetSettingsInput:
    """Input of resetSettings."""

    preview: bool | None = _preview()
    expected_updated_at: datetime | None = _expected()


@strawberry.input(description="A name for your settings as they are.")
class SaveSettingsPresetInput:
    """Input of saveSettingsPreset."""

    name: str = strawberry.field(description="1 to 100 characters; unique among yours, ignoring case.")
    overwrite: bool | None = strawberry.field(
        default=False, description="Replace the preset that has this name, if there is one."
    )


@strawberry.input(description="A preset to take the settings from.")
class ApplySettingsPresetInput:
    """Input of applySettingsPreset."""

    id: strawberry.ID = strawberry.field(description="The preset, one of your own.")
    preview: bool | None = _preview()
    expected_updated_at: datetime | None = _expected()
    totp_code: str | None = _code()

    def to_change(self) -> SettingsChange:
        """Return how to change, without what."""
        return SettingsChange(
            expected_updated_at=self.expected_updated_at, preview=bool(self.preview), totp_code=self.totp_code
        )


@strawberry.input(description="A preset to delete.")
class DeleteSettingsPresetInput:
    """Input of deleteSettingsPreset."""

    id: strawberry.ID = strawberry.field(description="The preset, one of your own.")


@strawberry.input(description="A configuration of Freqtrade to take settings from.")
class ImportFreqtradeConfigInput:
    """Input of importFreqtradeConfig."""

    config: JSON = strawberry.field(
        description="The object in config.json. What it does not mention stays as it is, as do secrets that "
        "it leaves blank."
    )
    preview: bool | None = _preview()
    expected_updated_at: datetime | None = _expected()
    totp_code: str | None = strawberry.field(
        default=None,
        description="With a code, dry_run: false is taken over too, which takes the right to trade live; "
        "without one it is ignored.",
    )


@strawberry.input(
    description="What to change of your preferences; what is left out, or null, stays as it is."
)
class UpdatePreferencesInput:
    """Input of updatePreferences."""

    default_mode: SessionMode | None = _optional(
        "Mode of new bots and sessions; LIVE takes a trader on a server that trades live."
    )
    default_capital: Decimal | None = _optional("Starting capital, above 0.")
    risk_per_trade: float | None = _optional("Fraction of equity to risk with one trade, above 0, up to 1.")
    max_drawdown: float | None = _optional("Greatest loss to bear, a fraction of the peak, above 0, up to 1.")
    notifications: bool | None = _optional("Whether to be notified at all.")
    theme: Theme | None = _optional("How applications should look.")
    timezone: str | None = _optional("Name in the IANA database, such as Europe/Berlin.")

    def to_values(self) -> dict[str, Any]:
        """Return what was given, by the name of its field."""
        names = ("default_mode", "default_capital", "risk_per_trade", "max_drawdown", "notifications")
        return _given(self, {name: name for name in (*names, "theme", "timezone")})


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
