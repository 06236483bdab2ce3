"""on(): expressions over the bars of a higher interval."""

import ast

from gql_trader.core.intervals import Interval
from gql_trader.engine.indicators import Argument, ArgumentKind, Function
from gql_trader.engine.rules.calls import report_wrong_kind
from gql_trader.engine.rules.issues import Reporter
from gql_trader.engine.rules.nodes import Kind, Node, On
from gql_trader.engine.rules.syntax import offset_of

INTERVALS = {each.value: each for each in Interval}
"""Intervals by the name that a rule gives them."""

ON = Function(
    name="on",
    group="Intervals",
    description="The expression over the bars of a higher interval, as in on('4h', sma(close, 50)): on each "
    "bar the value of the last complete one, known at this bar's close. UTC; weeks begin on Monday.",
    arguments=(
        Argument("interval", ArgumentKind.TEXT, choices=tuple(INTERVALS)),
        Argument("expression", ArgumentKind.SERIES),
    ),
    lookback=lambda _: 0,
)
"""How on() is described; it is no function of values, so that the catalogue of those does not have it."""


def make_on(report: Reporter, node: ast.Call, interval: Node, operand: Node) -> On | None:
    """Return the checked node of a call of on(), or None after reporting what does not fit."""
    if interval.kind is not Kind.TEXT:
        report_wrong_kind(report, interval, 'The interval of on() is a text such as "4h"')
        return None
    if operand.kind not in (Kind.SERIES, Kind.CONDITION):
        report_wrong_kind(report, operand, "on() takes a number series or a condition")
        return None
    return On(operand.kind, offset_of(node), interval, operand)


def base_bars(interval: Interval, base: int) -> int | None:
    """Return how many bars of ``base`` milliseconds make one of an interval; None if they cannot."""
    bars, rest = divmod(interval.milliseconds, base)
    return bars if bars and not rest else None


def base_lookback(higher: int, bars: int) -> int:
    """Return the bars before the first value of on(), wherever in an interval the data begin.

    Parameters
    ----------
    higher
        Bars of the higher interval before the expression's first value.
    bars
        Bars that make one of the higher interval.

    Notes
    -----
    At worst the first bar is the second of its interval: bars − 1 are of no use, and ``higher`` + 1 whole
    intervals must follow. Missing bars only make an interval end after fewer.
    """
    return (higher + 2) * bars - 2


def interval_named(text: str) -> Interval | None:
    """Return the interval that a rule names."""
    return INTERVALS.get(text)
