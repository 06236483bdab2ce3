"""Enums of the domains as GraphQL enums, with a description on every value."""

from collections.abc import Mapping
from enum import Enum

import strawberry
from strawberry.types.enum import EnumValue, has_enum_definition

from gql_trader.core.intervals import Interval
from gql_trader.core.runs import RunStatus


def register_enum(kind: type[Enum], description: str, values: Mapping[str, str]) -> None:
    """Make a domain's enum usable in the schema, under its own name and its members' names.

    Parameters
    ----------
    values
        The description of each member, by name.
    """
    different = {member.name for member in kind} ^ set(values)
    if different:
        raise ValueError(f"{kind.__name__}: members and descriptions differ in {sorted(different)}")
    strawberry.enum(kind, name=kind.__name__, description=description)
    assert has_enum_definition(kind)
    definition = kind.__strawberry_definition__
    definition.values = [
        EnumValue(value.name, value.value, description=values[value.name]) for value in definition.values
    ]


# Several domains speak of these; whichever is imported first must find them registered.
register_enum(
    Interval,
    "Length of one candle. Candles are aligned to UTC; weeks begin on Monday.",
    {
        "M1": "One minute.",
        "M3": "Three minutes.",
        "M5": "Five minutes.",
        "M15": "Fifteen minutes.",
        "M30": "Half an hour.",
        "H1": "One hour.",
        "H2": "Two hours.",
        "H4": "Four hours.",
        "H6": "Six hours.",
        "H8": "Eight hours.",
        "H12": "Twelve hours.",
        "D1": "One day.",
        "W1": "One week, from Monday.",
    },
)
register_enum(
    RunStatus,
    "State of a run.",
    {
        "QUEUED": "Waits for a worker.",
        "RUNNING": "A worker is at it.",
        "COMPLETED": "Done; the results are there.",
        "FAILED": "Ended without a result; `error` says why.",
        "CANCELLED": "Ended by its user.",
    },
)
