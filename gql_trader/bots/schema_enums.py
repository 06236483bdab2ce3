"""Enums of the bots domain as GraphQL enums; whoever uses one in a type imports it from here."""

from gql_trader.bots.guarding import GuardKind
from gql_trader.bots.types import BotState, OrderSide, OrderStatus, OrderType, SessionStatus, TradeStatus
from gql_trader.gql.enums import register_enum
from gql_trader.settings.schema_enums import MarginMode, SessionMode

__all__ = [
    "BotState",
    "GuardKind",
    "MarginMode",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "SessionMode",
    "SessionStatus",
    "TradeStatus",
]

register_enum(
    BotState,
    "What a bot is doing.",
    {
        "STOPPED": "Nothing; it trades when it is started, and never by itself.",
        "PENDING": "Started; waits for a worker.",
        "RUNNING": "Trades; after a crash or an upgrade of the server it goes on where it was.",
        "STOPPING": "Told to stop; a worker is closing its position and its session.",
        "FAILED": "Ended by an error, which `error` tells; it may be started again.",
    },
)
register_enum(
    SessionStatus,
    "Whether a session still trades.",
    {"ACTIVE": "It trades, or is being closed.", "STOPPED": "It has ended."},
)
register_enum(
    TradeStatus,
    "Whether a trade's position is still held.",
    {"OPEN": "The position is held.", "CLOSED": "The position was closed."},
)
register_enum(
    OrderSide,
    "What an order does with the base asset.",
    {"BUY": "Buys it.", "SELL": "Sells it."},
)
register_enum(
    OrderType,
    "How an order fills.",
    {
        "MARKET": "At once, at the market's price.",
        "LIMIT": "At its price or a better one.",
        "STOP": "At the market's price once its stop price is reached.",
        "STOP_LIMIT": "At its price or a better one, once its stop price is reached.",
    },
)
register_enum(
    OrderStatus,
    "What has become of an order.",
    {
        "NEW": "Not sent yet.",
        "OPEN": "Waits in the market.",
        "PARTIALLY_FILLED": "A part of it has filled; the rest waits.",
        "FILLED": "All of it has filled.",
        "CANCELLED": "Taken back before all of it had filled.",
        "REJECTED": "Not accepted.",
        "UNKNOWN": "Sent, and not answered; the exchange is being asked.",
    },
)
register_enum(
    GuardKind,
    "What a guard limits.",
    {
        "MAX_DAILY_LOSS": "Fall of equity since the beginning of the day, as a fraction.",
        "DAILY_TARGET": "Rise of equity since the beginning of the day, as a fraction.",
        "MAX_DAILY_TRADES": "Positions opened on a day.",
        "MAX_DRAWDOWN": "Fall of equity from its highest close in the session, as a fraction.",
        "COOLDOWN": "Bars after an exit on which no position is opened.",
    },
)
