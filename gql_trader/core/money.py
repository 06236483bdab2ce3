"""The one crossing between exact decimals (at rest, in the API) and the engine's float64."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite

MONEY_DIGITS = 8
"""Decimal places kept of an amount of money: profits, fees, equity."""

PRICE_DIGITS = 12
"""Significant digits kept of a price or a quantity that the engine computed, if eight places are fewer."""

_CONTEXT = Context(prec=400, rounding=ROUND_HALF_EVEN)
_QUANTUM = Decimal(1).scaleb(-MONEY_DIGITS)


def to_float(amount: Decimal) -> float:
    """Return the float64 nearest to an exact amount."""
    return float(amount)


def to_decimal(value: float) -> Decimal:
    """Return an amount of money as a decimal with at most eight places, without trailing zeros.

    Raises
    ------
    ValueError
        If the value is not finite: money is never NaN.
    """
    return _plain(_exact(value).quantize(_QUANTUM, context=_CONTEXT))


def to_price(value: float) -> Decimal:
    """Return a computed price or quantity with eight places or twelve significant digits.

    Whichever is finer: the smallest prices keep their digits, and large ones their last satoshi.

    Raises
    ------
    ValueError
        If the value is not finite.
    """
    exact = _exact(value)
    places = max(MONEY_DIGITS, PRICE_DIGITS - 1 - exact.adjusted()) if exact else MONEY_DIGITS
    return _plain(exact.quantize(Decimal(1).scaleb(-places), context=_CONTEXT))


def to_exact(value: float) -> Decimal:
    """Return the shortest decimal that is nearest to this float, as a stored price was written.

    Numbers of up to fifteen significant digits come back as they were.

    Raises
    ------
    ValueError
        If the value is not finite.
    """
    return _plain(_exact(value))


def _exact(value: float) -> Decimal:
    if not isfinite(value):
        raise ValueError(f"not a finite amount: {value!r}")
    return Decimal(repr(float(value)))


def _plain(number: Decimal) -> Decimal:
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return Decimal("0") if text in {"-0", ""} else Decimal(text)
