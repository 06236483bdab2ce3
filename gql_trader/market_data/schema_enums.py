"""Enums of the market data domain as GraphQL enums; whoever uses one in a type imports it from here."""

from gql_trader.gql.enums import register_enum
from gql_trader.market_data.types import AssetType

__all__ = ["AssetType"]

register_enum(
    AssetType,
    "What kind of thing an asset is.",
    {
        "CRYPTO": "A cryptocurrency or token; trades every day.",
        "FIAT": "A state's currency.",
        "STOCK": "A share of a company or fund.",
        "INDEX": "An index of prices.",
        "FOREX": "A currency pair traded as one asset.",
        "COMMODITY": "Metals, energy, crops.",
    },
)
