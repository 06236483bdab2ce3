"""Indicators: a catalogue that costs nothing to import, and implementations loaded on first use."""

from collections.abc import Mapping
from types import MappingProxyType

from gql_trader.engine.indicators.catalogue import (
    AVERAGES,
    COLUMNS,
    MAXIMUM_PERIOD,
    SOURCES,
    Argument,
    ArgumentKind,
    Function,
    Output,
    Value,
    Values,
    Yields,
)
from gql_trader.engine.indicators.own_table import own_functions
from gql_trader.engine.indicators.talib_table import talib_functions

CATALOGUE: Mapping[str, Function] = MappingProxyType(
    {each.name: each for each in sorted([*own_functions(), *talib_functions()], key=lambda each: each.name)}
)
"""Every function of the rule language, by name, in alphabetical order."""


def warm_up() -> None:
    """Compile every kernel, or load it from numba's cache, so that the first run does not wait."""
    from gql_trader.engine.indicators import continuing, implementations

    implementations.load()
    continuing.load()


__all__ = [
    "AVERAGES",
    "CATALOGUE",
    "COLUMNS",
    "MAXIMUM_PERIOD",
    "SOURCES",
    "Argument",
    "ArgumentKind",
    "Function",
    "Output",
    "Value",
    "Values",
    "Yields",
    "warm_up",
]
