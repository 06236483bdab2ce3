"""Enums of the domains as GraphQL enums, with a description on every value."""

from collections.abc import Mapping
from enum import Enum

import strawberry
from strawberry.types.enum import EnumValue, has_enum_definition


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
