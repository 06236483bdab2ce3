"""Dividing what an account is told as a whole among the sessions that share it."""

from collections.abc import Sequence
from decimal import Decimal


def split(total: Decimal, weights: Sequence[Decimal], step: Decimal) -> list[Decimal]:
    """Return shares of a total in proportion to weights; they add up to it exactly.

    Parameters
    ----------
    weights
        None negative, and not all of them zero; whoever has none gets nothing.
    step
        All shares but that of the last with a weight are multiples of it.
    """
    whole, until, given, shares = sum(weights, Decimal(0)), Decimal(0), Decimal(0), []
    for weight in weights:
        until += weight
        due = total if until == whole else total * until / whole // step * step
        shares.append(due - given)
        given = due
    return shares
