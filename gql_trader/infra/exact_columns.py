"""Exact decimals and moments of whole columns: what `gql_trader.core` makes of each value, much faster.

Money is rounded as float64: the value times a power of ten, to the nearest integer, which divided by that
power again is the float64 nearest to the rounded decimal. The shortest text of that float is the decimal
itself as long as it has at most fifteen digits. Where that reasoning does not hold (too many digits; so near
a tie that the product's own rounding may decide it), the value is left to `gql_trader.core.money`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gql_trader.core.money import MONEY_DIGITS, PRICE_DIGITS, to_decimal, to_price
from gql_trader.infra.json_codec import dumps_text

Floats = NDArray[np.float64]

_EXACT_POWERS: Final = np.array([float(10**places) for places in range(23)])
"""The powers of ten that are float64 themselves."""

_MAGNITUDES: Final = np.array([float(f"1e{exponent}") for exponent in range(-11, 4)])
_MOST: Final = 1e15
_SHORT_FROM: Final = 1e8
_MARGIN: Final = 2.0**-50
"""Four times what value, product and shortest text may be off, as a fraction of the product."""


def money_column(values: Floats) -> list[Decimal]:
    """Return ``to_decimal`` of every value.

    Parameters
    ----------
    values
        float64[n].

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    return _decimals(values, _money(values))


def price_column(values: Floats) -> list[Decimal]:
    """Return ``to_price`` of every value.

    Parameters
    ----------
    values
        float64[n].

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    return _decimals(values, _prices(values))


def money_floats(values: Floats) -> Floats:
    """Return the float64 nearest to ``to_decimal`` of every value, as `money_column` does otherwise."""
    return _floats(values, _money(values))


def price_floats(values: Floats) -> Floats:
    """Return the float64 nearest to ``to_price`` of every value, as `price_column` does otherwise."""
    return _floats(values, _prices(values))


def utc_datetimes(milliseconds: NDArray[np.int64]) -> list[datetime]:
    """Return the UTC datetimes of Unix milliseconds, exactly.

    Parameters
    ----------
    milliseconds
        int64[n], within the years 1 to 9999.
    """
    moments: list[datetime] = milliseconds.astype("M8[ms]").tolist()
    return [moment.replace(tzinfo=UTC) for moment in moments]


@dataclass(frozen=True, slots=True)
class _Rounded:
    """Values rounded as floats, whether each is certain to be right, and what rounds those that are not."""

    values: Floats
    certain: NDArray[np.bool_]
    one: Callable[[float], Decimal]

    @property
    def doubtful(self) -> list[int]:
        return np.flatnonzero(~self.certain).tolist()


def _money(values: Floats) -> _Rounded:
    return _rounded(values, _EXACT_POWERS[MONEY_DIGITS], np.isfinite(values), to_decimal)


def _prices(values: Floats) -> _Rounded:
    # 0: below the smallest magnitude whose power is exact.
    order = np.searchsorted(_MAGNITUDES, np.abs(values), side="right")
    places = np.maximum(PRICE_DIGITS - 1 - (order - 12), MONEY_DIGITS)
    known = ((order > 0) | (values == 0.0)) & np.isfinite(values)
    return _rounded(values, _EXACT_POWERS[np.minimum(places, 22)], known, to_price)


def _rounded(
    values: Floats, powers: Floats | np.float64, known: NDArray[np.bool_], one: Callable[[float], Decimal]
) -> _Rounded:
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = values * powers
        units = np.rint(scaled)
        size = np.abs(scaled)
        sure = known & (size < _MOST) & (np.abs(np.abs(scaled - units) - 0.5) > size * _MARGIN)
        # Above, the shortest text, of seventeen digits at most, has no more than eight behind the point.
        short = known & (np.abs(values) >= _SHORT_FROM) & (np.abs(values) < _MOST)
    # Adding zero makes -0.0 a plain zero.
    return _Rounded(np.where(short, values, np.where(sure, units, 0.0) / powers + 0.0), sure | short, one)


def _decimals(values: Floats, rounded: _Rounded) -> list[Decimal]:
    if not len(values):
        return []
    texts = (dumps_text(rounded.values)[1:-1] + ",").replace(".0,", ",").split(",")[:-1]
    found = list(map(Decimal, texts))
    for place in rounded.doubtful:
        found[place] = rounded.one(float(values[place]))
    return found


def _floats(values: Floats, rounded: _Rounded) -> Floats:
    for place in rounded.doubtful:
        rounded.values[place] = float(rounded.one(float(values[place])))
    return rounded.values
