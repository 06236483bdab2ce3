"""The direction of an ordering, shared by every list that can be ordered."""

from enum import StrEnum

from gql_trader.gql.enums import register_enum


class OrderDirection(StrEnum):
    """Which end comes first."""

    ASC = "ASC"
    DESC = "DESC"


register_enum(
    OrderDirection,
    "Which end comes first.",
    {"ASC": "Smallest or oldest first.", "DESC": "Largest or newest first."},
)
