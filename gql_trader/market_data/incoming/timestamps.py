"""Times in candle files: epochs of any unit, ISO 8601, 12-hour clocks, dates; whole columns at once."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from gql_trader.market_data.incoming.raw_candles import UNREADABLE

# The stubs' overloads cannot follow columns whose type is known at run time only.
pc: Any = pyarrow.compute
Column = Any

_NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
# 2019-10-17, 2019-10-17 9:30, 2019-10-17T09:30:00.000Z, 2019-10-17 09-AM, 2019-10-17 09:30 PM, +02:00
_MOMENT = (
    r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,9})?)?)?"
    r"(?:[ -]?(?P<half>[AaPp])[Mm])?"
    r"\s*(?P<zone>[Zz]|UTC|GMT|[+-]\d{2}:?\d{2})?)?$"
)


def times_of_column(column: Column) -> NDArray[np.int64]:
    """Return the moments in a column of any type that a candle file may have.

    Numbers are Unix epochs whose unit is told by their size (seconds below 10¹¹, then milliseconds,
    microseconds and nanoseconds), each by itself, since some files change the unit midway. Text without a
    time zone is UTC.

    Returns
    -------
    ndarray
        int64[n], Unix milliseconds; `UNREADABLE` where a value is missing or names no moment, and never
        rounded: a moment between two milliseconds is unreadable too.
    """
    kind = column.type
    if pa.types.is_timestamp(kind):
        # A timestamp without a zone is taken as UTC, and one with a zone is stored in UTC.
        return _epochs(column.cast(pa.int64()), {"s": 1000, "ms": 1}.get(kind.unit, 0), kind.unit)
    if pa.types.is_date(kind):
        return _epochs(column.cast(pa.timestamp("ms")).cast(pa.int64()), 1, "ms")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(pc.cast(column, pa.float64(), safe=False), column)
    return _texts(pc.utf8_trim_whitespace(column.cast(pa.string())))


def _epochs(values: Column, multiplier: int, unit: str) -> NDArray[np.int64]:
    missing = _mask(pc.is_null(values))
    numbers = _integers(values)
    if multiplier:
        found = numbers * multiplier
    else:
        found, rest = np.divmod(numbers, 1000 if unit == "us" else 1_000_000)
        missing |= rest != 0
    return np.where(missing, UNREADABLE, found)


def _numbers(values: Column, original: Column) -> NDArray[np.int64]:
    floats = values.to_numpy(zero_copy_only=False).astype(np.float64)
    exact = _integers(original) if pa.types.is_integer(original.type) else None
    found = np.full(len(floats), UNREADABLE)
    size = np.abs(floats)
    for low, high, multiplier, divisor in (
        (0.0, 1e11, 1000, 1),
        (1e11, 1e14, 1, 1),
        (1e14, 1e17, 1, 1000),
        (1e17, 9.2e18, 1, 1_000_000),
    ):
        chosen = (size >= low) & (size < high)
        if not chosen.any():
            continue
        if exact is not None:
            whole, rest = np.divmod(exact[chosen] * multiplier, divisor)
        else:
            # Floats of nanoseconds are exact only to about 200 ns, so they are rounded to microseconds.
            scaled = np.round(floats[chosen] * multiplier / divisor, 3)
            whole, rest = np.floor(scaled).astype(np.int64), scaled % 1
        found[chosen] = np.where(rest == 0, whole, UNREADABLE)
    return found


def _texts(column: Column) -> NDArray[np.int64]:
    # Most rows decide whether a column has numbers or moments: among dates, 20191017 is none of 1970.
    numeric = pc.match_substring_regex(column, _NUMBER)
    written = pc.and_(pc.is_valid(column), pc.not_equal(column, ""))
    if (pc.sum(numeric).as_py() or 0) * 2 >= (pc.sum(written).as_py() or 1):
        values = pc.if_else(numeric, column, None)
        whole = pc.match_substring_regex(values, r"^\d{1,18}(\.0*)?$")
        if pc.all(whole).as_py():
            integers = pc.replace_substring_regex(values, r"\..*$", "").cast(pa.int64())
            found = _numbers(pc.fill_null(integers, 0).cast(pa.float64()), integers)
        else:
            floats = pc.fill_null(values, "nan").cast(pa.float64())
            found = _numbers(floats, floats)
        return np.where(_mask(pc.is_null(values)), UNREADABLE, found)
    for kind in (pa.timestamp("ms"), pa.timestamp("ms", "UTC")):
        try:
            return _epochs(column.cast(kind).cast(pa.int64()), 1, "ms")
        except pa.ArrowInvalid:
            # Another form, or a value that is none: read part by part below.
            continue
    return _moments(column)


def _moments(column: Column) -> NDArray[np.int64]:
    parts = pc.extract_regex(column, _MOMENT)
    unreadable = _mask(pc.is_null(parts))

    def numbers(name: str) -> NDArray[np.int64]:
        text = pc.struct_field(parts, name)
        return _integers(pc.if_else(pc.equal(text, ""), None, text).cast(pa.int64()))

    year, month, day, hour = (numbers(name) for name in ("year", "month", "day", "hour"))
    minute, second = numbers("minute"), numbers("second")
    half = pc.utf8_upper(pc.struct_field(parts, "half"))
    afternoon, twelve_hour = _mask(pc.equal(half, "P")), _mask(pc.not_equal(half, ""))
    unreadable |= twelve_hour & ((hour < 1) | (hour > 12))
    hour = np.where(twelve_hour, hour % 12 + 12 * afternoon, hour)
    unreadable |= (hour > 23) | (minute > 59) | (second > 59)

    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    unreadable |= (month < 1) | (month > 12) | (day < 1) | (days.astype("M8[M]") != months)

    fraction = pc.struct_field(parts, "fraction")
    digits = pc.utf8_rpad(pc.utf8_slice_codeunits(fraction, 1, 10), 9, "0")
    milliseconds, rest = np.divmod(_integers(digits.cast(pa.int64())), 1_000_000)
    unreadable |= rest != 0
    clock = ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds
    found = days.astype(np.int64) * 86_400_000 + clock - _offsets(pc.struct_field(parts, "zone"))
    return np.where(unreadable, UNREADABLE, found)


def _offsets(zone: Column) -> NDArray[np.int64]:
    parts = pc.extract_regex(zone, r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})$")
    hours = _integers(pc.struct_field(parts, "hours").cast(pa.int64()))
    minutes = _integers(pc.struct_field(parts, "minutes").cast(pa.int64()))
    sign = np.where(_mask(pc.equal(pc.struct_field(parts, "sign"), "-")), -1, 1)
    return np.asarray(sign * (hours * 60 + minutes) * 60_000, dtype=np.int64)


def _integers(values: Column) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(values, 0).cast(pa.int64()), dtype=np.int64)


def _mask(values: Column) -> NDArray[np.bool_]:
    return np.array(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
