"""Enums of the settings domain as GraphQL enums; inputs and types import them from here, registered."""

from gql_trader.gql.enums import register_enum
from gql_trader.settings.types import MarginMode, SessionMode, Theme, TradingMode

__all__ = ["MarginMode", "SessionMode", "Theme", "TradingMode"]

register_enum(
    SessionMode,
    "Whether orders are simulated or sent to an exchange.",
    {"PAPER": "Simulated, at real prices.", "LIVE": "Sent to an exchange: real money."},
)
register_enum(
    Theme,
    "How an application looks.",
    {"LIGHT": "Dark on light.", "DARK": "Light on dark.", "SYSTEM": "As the device does."},
)
register_enum(
    TradingMode,
    "What is traded.",
    {
        "SPOT": "The currency itself.",
        "MARGIN": "The currency itself, with borrowed money.",
        "FUTURES": "Futures contracts, with leverage.",
    },
)
register_enum(
    MarginMode,
    "What a leveraged position is backed by.",
    {"CROSS": "The whole account.", "ISOLATED": "Its own collateral alone."},
)
