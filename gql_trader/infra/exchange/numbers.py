"""ccxt's numbers as exact decimals: floats that were text, read back as they were written."""

from decimal import Decimal
from typing import Any

from gql_trader.core.money import to_exact


def decimal(value: Any) -> Decimal | None:
    """Return a number of ccxt's; None stays None.

    Raises
    ------
    ValueError
        If it is not a finite number.
    """
    if value is None:
        return None
    return to_exact(float(value)) if isinstance(value, float | int) else _parsed(value)


def exact(value: Any) -> Decimal:
    """Return a number that has to be there.

    Raises
    ------
    ValueError
        If it is not.
    """
    found = decimal(value)
    if found is None:
        raise ValueError("a number is missing")
    return found


def positive(value: Any) -> Decimal | None:
    """Return a limit; None if there is none, which some exchanges write as zero."""
    found = decimal(value)
    return found if found else None


def _parsed(text: Any) -> Decimal:
    try:
        found = Decimal(str(text))
    except ArithmeticError:
        raise ValueError(f"not a number: {text!r}") from None
    if not found.is_finite():
        raise ValueError(f"not a number: {text!r}")
    return found
