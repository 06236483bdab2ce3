"""GraphQL types of the settings domain."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from gql_trader.core.intervals import Interval
from gql_trader.gql.permissions import visible
from gql_trader.gql.relay import Node, encode_id
from gql_trader.gql.scalars import JSON
from gql_trader.settings import types
from gql_trader.settings.freqtrade import to_config
from gql_trader.settings.schema_enums import MarginMode, SessionMode, Theme, TradingMode
from gql_trader.settings.types import Difference, PresetRecord, Secret, SettingsRecord

OWNER = "the user whose they are"


@visible(OWNER)
@strawberry.type(description="Every trade is given the same stake.")
class FixedStake:
    """A stake of a fixed size."""

    amount: Decimal = strawberry.field(description="Stake of one trade, in the stake currency.")


@visible(OWNER)
@strawberry.type(description="The balance is divided among as many trades as may be open.")
class UnlimitedStake:
    """Freqtrade's "unlimited"."""

    unlimited: bool = strawberry.field(description="Always true.")


StakeAmount = Annotated[
    FixedStake | UnlimitedStake,
    strawberry.union("StakeAmount", description="How much one trade is given."),
]


@visible(OWNER)
@strawberry.type(description="The exchange of the trading settings. Its secrets are never returned.")
class ExchangeSettings:
    """Part of TradingSettings."""

    name: str = strawberry.field(description="Its id, such as binance.")
    key_masked: str | None = strawberry.field(
        description="First and last four characters of the API key; null if there is none."
    )
    secret_set: bool = strawberry.field(description="Whether the API key's secret is kept here.")
    password_set: bool = strawberry.field(description="Whether a passphrase is kept here; few exchanges ask.")
    pair_whitelist: list[str] = strawberry.field(
        description="Pairs that may be traded, as BTC/USDT or BTC/USDT:USDT; regular expressions too."
    )
    pair_blacklist: list[str] = strawberry.field(
        description="Pairs that are never traded; regular expressions too."
    )


@visible(OWNER)
@strawberry.type(description="Messages by a Telegram bot. Its token is never returned.")
class TelegramSettings:
    """Part of TradingSettings."""

    enabled: bool = strawberry.field(description="Whether messages are sent.")
    token_set: bool = strawberry.field(description="Whether the bot's token is kept here.")
    chat_id: str | None = strawberry.field(description="The chat that they are sent to; null: none.")


@visible(OWNER)
@strawberry.type(
    description="The part of a Freqtrade configuration that a user may change. Fractions are fractions, not "
    "percent."
)
class TradingSettings:
    """Settings as they hold."""

    record: strawberry.Private[SettingsRecord]
    max_open_trades: int = strawberry.field(description="Trades that may be open at once; -1: unlimited.")
    stake_currency: str = strawberry.field(description="Currency that trades are paid in, such as USDT.")
    stake_amount: StakeAmount = strawberry.field(description="How much one trade is given.")
    tradable_balance_ratio: float = strawberry.field(
        description="Fraction of the balance that may be traded with, 0 to 1."
    )
    trading_mode: TradingMode = strawberry.field(description="What is traded.")
    margin_mode: MarginMode | None = strawberry.field(
        description="What leveraged positions are backed by; null where nothing is."
    )
    dry_run: bool = strawberry.field(description="Whether orders are simulated; false: real money.")
    dry_run_wallet: Decimal = strawberry.field(
        description="Balance that a dry run begins with, in the stake currency."
    )
    timeframe: Interval | None = strawberry.field(
        description="Length of the candles; null: what the strategy says."
    )
    minimal_roi: JSON = strawberry.field(
        description='Profit at which a trade is closed, by the minutes it has been open: {"0": 0.04, "30": '
        "0.02} asks for 4 % at once and for 2 % after half an hour."
    )
    stoploss: float = strawberry.field(
        description="Loss at which a trade is closed, below 0: -0.1 means 10 %."
    )
    trailing_stop: bool = strawberry.field(description="Whether the stop follows the best price.")
    trailing_stop_positive: float | None = strawberry.field(
        description="Distance of the following stop once there is a profit; null: that of the stop-loss."
    )
    trailing_stop_positive_offset: float = strawberry.field(
        description="Profit from which on trailingStopPositive counts; 0: any."
    )
    trailing_only_offset_is_reached: bool = strawberry.field(
        description="Whether the stop follows only from that profit on."
    )
    fiat_display_currency: str = strawberry.field(description="Currency to show values in, such as EUR.")
    bot_name: str = strawberry.field(description="What the bot calls itself.")
    exchange: ExchangeSettings = strawberry.field(description="Where is traded, and what.")
    telegram: TelegramSettings = strawberry.field(description="Messages by a Telegram bot.")
    is_default: bool = strawberry.field(
        description="Whether these are the defaults: the user has changed nothing."
    )
    updated_at: datetime | None = strawberry.field(
        description="When they last changed, by the user or with the defaults; null: never."
    )

    @strawberry.field(
        description="All of it as the config.json of Freqtrade, complete and with blank secrets. Without a "
        "timeframe here it has none, and Freqtrade takes the strategy's."
    )
    def freqtrade_config(self) -> JSON:
        return JSON(to_config(self.record.values))

    @classmethod
    def from_record(cls, record: SettingsRecord) -> "TradingSettings":
        """Return the GraphQL object of settings."""
        values, secrets = record.values, record.secrets
        return cls(
            record=record,
            max_open_trades=values.max_open_trades,
            stake_currency=values.stake_currency,
            stake_amount=UnlimitedStake(unlimited=True)
            if values.stake_amount is None
            else FixedStake(amount=values.stake_amount),
            tradable_balance_ratio=values.tradable_balance_ratio,
            trading_mode=values.trading_mode,
            margin_mode=values.margin_mode,
            dry_run=values.dry_run,
            dry_run_wallet=values.dry_run_wallet,
            timeframe=values.timeframe,
            minimal_roi=JSON(dict(values.minimal_roi)),
            stoploss=values.stoploss,
            trailing_stop=values.trailing_stop,
            trailing_stop_positive=values.trailing_stop_positive,
            trailing_stop_positive_offset=values.trailing_stop_positive_offset,
            trailing_only_offset_is_reached=values.trailing_only_offset_is_reached,
            fiat_display_currency=values.fiat_display_currency,
            bot_name=values.bot_name,
            exchange=ExchangeSettings(
                name=values.exchange_name,
                key_masked=record.key_masked,
                secret_set=Secret.EXCHANGE_SECRET in secrets,
                password_set=Secret.EXCHANGE_PASSWORD in secrets,
                pair_whitelist=list(values.pair_whitelist),
                pair_blacklist=list(values.pair_blacklist),
            ),
            telegram=TelegramSettings(
                enabled=values.telegram_enabled,
                token_set=Secret.TELEGRAM_TOKEN in secrets,
                chat_id=values.telegram_chat_id,
            ),
            is_default=record.is_default,
            updated_at=record.updated_at,
        )


@visible(OWNER)
@strawberry.type(description="Trading settings kept under a name. They have no secrets.")
class SettingsPreset(Node):
    """A preset."""

    name: str = strawberry.field(description="Its name; unique among yours, ignoring case.")
    settings: TradingSettings = strawberry.field(
        description="What was kept. Secrets are not: applying a preset leaves them as they are."
    )
    created_at: datetime = strawberry.field(description="When it was first saved.")
    updated_at: datetime = strawberry.field(description="When it was last saved.")

    @classmethod
    def from_record(cls, preset: PresetRecord) -> "SettingsPreset":
        """Return the GraphQL object of a preset."""
        record = SettingsRecord(values=preset.values, is_default=False, updated_at=preset.updated_at)
        return cls(
            id=encode_id("SettingsPreset", preset.id),
            name=preset.name,
            settings=TradingSettings.from_record(record),
            created_at=preset.created_at,
            updated_at=preset.updated_at,
        )


@visible(OWNER)
@strawberry.type(description="What a user would like things to begin with.")
class Preferences:
    """Preferences."""

    default_mode: SessionMode = strawberry.field(description="Mode of new bots and sessions.")
    default_capital: Decimal = strawberry.field(
        description="Starting capital of new backtests, bots and sessions, in the quote currency."
    )
    risk_per_trade: float = strawberry.field(
        description="Fraction of equity to risk with one trade. Once you have said it, new backtests, "
        "searches, automations and bots with a stopLoss begin with it as `riskFraction`, unless they say "
        "another sizing."
    )
    max_drawdown: float = strawberry.field(
        description="Greatest loss to bear, as a fraction of the peak. Once you have said it, new backtests, "
        "automations and bots begin with it as `maxDrawdown` unless they say another one."
    )
    notifications: bool = strawberry.field(description="Whether to be notified at all.")
    theme: Theme = strawberry.field(description="How applications should look.")
    timezone: str = strawberry.field(description="Time zone to show times in, such as Europe/Berlin.")

    @classmethod
    def from_record(cls, record: types.Preferences) -> "Preferences":
        """Return the GraphQL object of preferences."""
        return cls(
            default_mode=record.default_mode,
            default_capital=record.default_capital,
            risk_per_trade=types.USUAL_RISK if record.risk_per_trade is None else record.risk_per_trade,
            max_drawdown=types.USUAL_DRAWDOWN if record.max_drawdown is None else record.max_drawdown,
            notifications=record.notifications,
            theme=record.theme,
            timezone=record.timezone,
        )


@visible(OWNER)
@strawberry.type(name="SettingsChange", description="A setting that changes, or would.")
class SettingsChangeInfo:
    """One difference."""

    field: str = strawberry.field(description="Which, as a path of the input, such as exchange.name.")
    old: JSON | None = strawberry.field(description="What it was; null if none, and for a secret.")
    new: JSON | None = strawberry.field(description="What it becomes; null if none, and for a secret.")
    secret: bool = strawberry.field(description="Whether it is a secret, which is never shown.")

    @classmethod
    def from_difference(cls, difference: Difference) -> "SettingsChangeInfo":
        """Return the GraphQL object of a difference."""
        return cls(
            field=".".join(difference.path),
            old=None if difference.old is None else JSON(difference.old),
            new=None if difference.new is None else JSON(difference.new),
            secret=difference.secret,
        )


@visible(OWNER)
@strawberry.type(name="IgnoredSetting", description="A part of a configuration that was not taken over.")
class IgnoredSettingInfo:
    """One part."""

    path: list[str] = strawberry.field(description='Where in the configuration, such as ["exchange", "uid"].')
    reason: str = strawberry.field(description="Why not.")

    @classmethod
    def from_ignored(cls, ignored: types.Ignored) -> "IgnoredSettingInfo":
        """Return the GraphQL object of an ignored part."""
        return cls(path=list(ignored.path), reason=ignored.reason)
