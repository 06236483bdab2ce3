"""The engine's enums as GraphQL enums; import them from here, so that they are registered first."""

from gql_trader.engine.rules import ParameterType
from gql_trader.gql.enums import register_enum

__all__ = ["ParameterType"]

register_enum(
    ParameterType,
    "What a parameter's value may be.",
    {
        "INT": "A whole number; usable as a period.",
        "FLOAT": "A number.",
        "BOOL": "true or false.",
        "CHOICE": "One of the choices.",
        "SOURCE": "A price series by name: open, high, low, close, volume, hl2, hlc3 or ohlc4.",
    },
)
