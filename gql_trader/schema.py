"""The whole schema: what each domain contributes, side by side."""

from functools import cache

import strawberry

from gql_trader.accounts.schema import AccountMutation, AccountQuery, resolve_user_nodes
from gql_trader.accounts.schema_administration import (
    AdministrationMutation,
    AdministrationQuery,
    resolve_audit_event_nodes,
)
from gql_trader.accounts.schema_credentials import CredentialMutation, resolve_api_token_nodes
from gql_trader.accounts.schema_passwords import PasswordMutation
from gql_trader.accounts.schema_sessions import SessionMutation, resolve_login_session_nodes
from gql_trader.alerts.schema import AlertMutation, AlertQuery, resolve_alert_nodes
from gql_trader.automations.schema import (
    AutomationMutation,
    AutomationQuery,
    resolve_automation_nodes,
    resolve_automation_run_nodes,
)
from gql_trader.backtests.schema import (
    BacktestMutation,
    BacktestsQuery,
    BacktestSubscription,
    resolve_backtest_nodes,
)
from gql_trader.backtests.schema_verification import VerificationMutation
from gql_trader.balances.schema import BalanceQuery, BalanceSubscription
from gql_trader.bots.schema import (
    BotMutation,
    BotQuery,
    resolve_bot_nodes,
    resolve_order_nodes,
    resolve_trade_nodes,
    resolve_trading_session_nodes,
)
from gql_trader.bots.schema_events import BotSubscription
from gql_trader.bots.schema_hand import HandMutation
from gql_trader.bots.schema_keys import BotKeyMutation
from gql_trader.exchange_keys.schema import (
    ExchangeKeyMutation,
    ExchangeKeyQuery,
    resolve_exchange_key_nodes,
)
from gql_trader.gql.node import NodeResolver
from gql_trader.gql.rate_limit import RateLimitQuery
from gql_trader.gql.schema_builder import build_schema
from gql_trader.market_data.schema import MarketDataQuery, resolve_asset_nodes, resolve_market_nodes
from gql_trader.market_data.schema_candles import CandleSubscription
from gql_trader.market_data.schema_syncs import (
    CandleSyncMutation,
    CandleSyncQuery,
    CandleSyncSubscription,
    resolve_candle_sync_nodes,
)
from gql_trader.notifications.schema import (
    NotificationMutation,
    NotificationQuery,
    NotificationSubscription,
    resolve_notification_nodes,
)
from gql_trader.notifications.schema_channels import NotificationChannelMutation
from gql_trader.notifications.schema_dead_letter import (
    DeadLetterMutation,
    DeadLetterQuery,
    resolve_dead_letter_nodes,
)
from gql_trader.notifications.schema_device import DeviceMutation, resolve_device_nodes
from gql_trader.notifications.schema_webhook import WebhookMutation, WebhookQuery, resolve_webhook_nodes
from gql_trader.optimizations.schema import (
    OptimizationMutation,
    OptimizationQuery,
    OptimizationSubscription,
    resolve_optimization_nodes,
)
from gql_trader.reports.schema import ReportQuery
from gql_trader.reports.schema_system import SystemQuery, SystemSubscription
from gql_trader.settings.schema import SettingsMutation, SettingsQuery
from gql_trader.settings.schema_preferences import PreferencesMutation
from gql_trader.settings.schema_presets import PresetMutation, resolve_settings_preset_nodes
from gql_trader.strategies.schema import StrategyMutation, StrategyQuery, resolve_strategy_nodes

QUERIES = [
    AccountQuery,
    AdministrationQuery,
    ExchangeKeyQuery,
    SettingsQuery,
    NotificationQuery,
    WebhookQuery,
    DeadLetterQuery,
    MarketDataQuery,
    CandleSyncQuery,
    StrategyQuery,
    BacktestsQuery,
    BalanceQuery,
    BotQuery,
    OptimizationQuery,
    RateLimitQuery,
    AutomationQuery,
    AlertQuery,
    ReportQuery,
    SystemQuery,
]
MUTATIONS = [
    AccountMutation,
    SessionMutation,
    PasswordMutation,
    CredentialMutation,
    AdministrationMutation,
    ExchangeKeyMutation,
    SettingsMutation,
    PresetMutation,
    PreferencesMutation,
    NotificationMutation,
    NotificationChannelMutation,
    DeviceMutation,
    WebhookMutation,
    DeadLetterMutation,
    CandleSyncMutation,
    StrategyMutation,
    BacktestMutation,
    VerificationMutation,
    BotMutation,
    HandMutation,
    BotKeyMutation,
    OptimizationMutation,
    AutomationMutation,
    AlertMutation,
]
SUBSCRIPTIONS = [
    BacktestSubscription,
    BalanceSubscription,
    BotSubscription,
    CandleSubscription,
    CandleSyncSubscription,
    NotificationSubscription,
    OptimizationSubscription,
    SystemSubscription,
]
NODE_RESOLVERS: dict[str, NodeResolver] = {
    "Alert": resolve_alert_nodes,
    "ApiToken": resolve_api_token_nodes,
    "Asset": resolve_asset_nodes,
    "AuditEvent": resolve_audit_event_nodes,
    "Automation": resolve_automation_nodes,
    "AutomationRun": resolve_automation_run_nodes,
    "Backtest": resolve_backtest_nodes,
    "CandleSync": resolve_candle_sync_nodes,
    "Bot": resolve_bot_nodes,
    "ExchangeKey": resolve_exchange_key_nodes,
    "DeadLetter": resolve_dead_letter_nodes,
    "Device": resolve_device_nodes,
    "LoginSession": resolve_login_session_nodes,
    "Market": resolve_market_nodes,
    "SettingsPreset": resolve_settings_preset_nodes,
    "Notification": resolve_notification_nodes,
    "Optimization": resolve_optimization_nodes,
    "Order": resolve_order_nodes,
    "Strategy": resolve_strategy_nodes,
    "Trade": resolve_trade_nodes,
    "TradingSession": resolve_trading_session_nodes,
    "Webhook": resolve_webhook_nodes,
    "User": resolve_user_nodes,
}


@cache
def create_schema() -> strawberry.Schema:
    """Return the schema of all domains, which takes a third of a second to make and never changes."""
    return build_schema(QUERIES, MUTATIONS, SUBSCRIPTIONS, NODE_RESOLVERS)
