"""The one crossing between exact decimals (at rest, in the API) and the engine's float64."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite

MONEY_DIGITS = 8
"""Decimal places kept of an amount of money, a price or a quantity that the engine computed."""

_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN)
_QUANTUM = Decimal(1).scaleb(-MONEY_DIGITS)


def to_float(amount: Decimal) -> float:
    """Return the float64 nearest to an exact amount."""
    return float(amount)


def to_decimal(value: float) -> Decimal:
    """Return a finite float as a decimal with at most eight places, without trailing zeros.

    Raises
    ------
    ValueError
        If the value is not finite: money is never NaN.
    """
    if not isfinite(value):
        raise ValueError(f"not a finite amount: {value!r}")
    rounded = Decimal(repr(float(value))).quantize(_QUANTUM, context=_CONTEXT)
    text = f"{rounded:f}".rstrip("0").rstrip(".")
    return Decimal("0") if text in {"-0", ""} else Decimal(text)
