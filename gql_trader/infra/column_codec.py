"""Compact, lossless bytes for columns of numbers, and back, without any per-value Python.

Every column of a bundle is encoded by what its values are like:

- integers, and floats that are exact multiples of a power of ten (prices on a tick): differences of
  consecutive integers, divided by their greatest common divisor, in the narrowest width that holds them; if
  all are the same (times of bars without a gap), only that one;
- other floats that mostly change little from one to the next (equity curves): a bit each for whether the
  value changed, and the differences of the bit patterns of those that did, zigzag coded;
- anything else: the values' own bytes.

The bytes are then shuffled (all first bytes, all second bytes, …) and compressed with zstd, which makes long
runs of the high bytes. The six lower bytes of a curve's changes, which are noise, are left as they are.
Decoding restores every bit: NaN payloads, infinities, denormals and the sign of zero included. A checksum
over the whole bundle refuses damaged data before any is used.
"""

import struct
import threading
import zlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from gql_trader.infra import json_codec

Column = NDArray[Any]

FORMAT: Final = 3
"""Number of the layout written by `encode_columns`."""

READABLE_FORMATS: Final = (1, 2, 3)
"""Layouts read by `decode_columns`, each with what those before it have.

Format 2 has changes of bit patterns, shuffled and compressed with all their bytes; format 3 has them with
their noise apart, and steps.
"""

MAXIMUM_DECIMALS: Final = 12

_MAGIC: Final = b"GTCC"
_PREFIX: Final = struct.Struct("<4sBIIQ")  # magic, format, checksum of the rest, header length, body length
_POWERS: Final = np.array([[float(10**decimals)] for decimals in range(MAXIMUM_DECIMALS + 1)])
_WIDTHS: Final = (1, 2, 4, 8)
_EXACT: Final = 2**53
_LEVEL: Final = 3
_CURVE_LEVEL: Final = 1
"""What is left of a curve are flags and high bytes, which higher levels make hardly smaller."""

_SHORTEST_CURVE: Final = 2048
_SMALL_CHANGE: Final = 2**48
"""Changes below leave the two highest bytes empty, which is what makes them worth their own layout."""

_NOISE_BYTES: Final = 6

_BLOCK: Final = 16_384
"""Values that are looked at together."""

_threads = threading.local()
"""What each thread compresses and decompresses with: making it costs more than a thousand numbers do."""


class CorruptColumnsError(ValueError):
    """The bytes are not a bundle of columns, are cut short, or were changed."""


def tick_decimals(values: NDArray[np.float64]) -> int | None:
    """Return how many decimal places all values have, or None if they are not exact decimals.

    Parameters
    ----------
    values
        float64[n].

    Returns
    -------
    int or None
        The smallest d ≤ 12 for which every value equals, bit for bit, an integer below 2⁵³ divided by
        10^d; 0 for an empty column.
    """
    found = _ticks(np.ascontiguousarray(values, dtype="<f8"))
    return None if found is None else found[1]


def encode_columns(columns: Mapping[str, Column]) -> bytes:
    """Return named columns as one compact bundle.

    Parameters
    ----------
    columns
        One-dimensional arrays of bool, integers or floats, by name; their lengths may differ.

    Raises
    ------
    TypeError
        If a column is not one-dimensional or not of numbers.
    """
    headers: list[dict[str, Any]] = []
    payloads: list[bytes | memoryview] = []
    for name, column in columns.items():
        header, parts = _encode(name, np.asarray(column))
        headers.append(header)
        payloads.extend(parts)
    header_bytes = json_codec.dumps(headers)
    checksum, length = 0, 0
    for part in (header_bytes, *payloads):
        checksum = zlib.crc32(part, checksum)
        length += len(part)
    prefix = _PREFIX.pack(_MAGIC, FORMAT, checksum, len(header_bytes), length)
    return b"".join((prefix, header_bytes, *payloads))


def decode_columns(
    data: bytes | bytearray | memoryview, into: Mapping[str, Column] | None = None
) -> dict[str, Column]:
    """Return the columns of a bundle, bit for bit as they were encoded.

    Parameters
    ----------
    into
        Arrays for some of the columns, of their length and type. They are filled and returned; what is in
        them if the bytes turn out to be damaged, nobody knows.

    Returns
    -------
    dict
        New contiguous arrays in little-endian byte order, by name, in the order of encoding.

    Raises
    ------
    CorruptColumnsError
        If the bytes are not a bundle of a known format, or the checksum does not match.
    """
    view = memoryview(data).cast("B")
    if len(view) < _PREFIX.size:
        raise CorruptColumnsError(f"{len(view)} bytes are too few for a bundle of columns")
    magic, version, checksum, header_length, length = _PREFIX.unpack_from(view)
    if magic != _MAGIC:
        raise CorruptColumnsError("these bytes are not a bundle of columns")
    if version not in READABLE_FORMATS:
        raise CorruptColumnsError(f"columns of format {version} are unknown; expected up to format {FORMAT}")
    rest = view[_PREFIX.size :]
    if len(rest) != length:
        raise CorruptColumnsError(f"the bundle has {len(rest)} bytes of {length}")
    if zlib.crc32(rest) != checksum:
        raise CorruptColumnsError("the checksum of the columns does not match their bytes")
    try:
        columns: dict[str, Column] = {}
        position = header_length
        for header in json_codec.loads(bytes(rest[:header_length])):
            stop = position + header["bytes"]
            name = header["name"]
            columns[name] = _decode(header, rest[position:stop], into.get(name) if into else None)
            position = stop
        return columns
    except (ValueError, KeyError, TypeError, zstandard.ZstdError) as error:
        raise CorruptColumnsError(f"the columns cannot be read: {error}") from error


def _encode(name: str, column: Column) -> tuple[dict[str, Any], list[bytes | memoryview]]:
    if column.ndim != 1 or column.dtype.kind not in "biuf" or column.dtype.itemsize > 8:
        raise TypeError(
            f"column {name!r} must be one-dimensional bool, integer or float; "
            f"got {column.dtype} of {column.ndim} dimensions"
        )
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    header: dict[str, Any] = {"name": name, "type": little.dtype.str, "n": len(little)}
    integers: NDArray[np.int64] | None = None
    if little.dtype == np.float64:
        found = _ticks(little)
        if found is not None:
            integers, header["decimals"] = found
    elif little.dtype.kind in "iu" and little.dtype != np.uint64:
        integers = little.astype("<i8", copy=False)
    step = None if integers is None else _step(integers)
    differences = None if integers is None or step is not None else _differences(integers)
    if integers is not None and step is not None:
        header.update(first=int(integers[0]), step=step, bytes=0)
        return header, []
    if differences is not None:
        first, divisor, narrow = differences
        header.update(first=first, divisor=divisor, width=narrow.dtype.itemsize)
        payload = _shuffle(narrow.view(f"<u{narrow.dtype.itemsize}"))
    elif little.dtype == np.float64 and _is_curve(little.view("<i8")):
        header.pop("decimals", None)
        count, payload, noise = _changes(little.view("<i8"))
        packed = _compressor(_CURVE_LEVEL).compress(payload)
        header.update(changed=count, packed=len(packed), bytes=len(packed) + _NOISE_BYTES * count)
        return header, [packed, *noise]
    else:
        header.pop("decimals", None)
        payload = _shuffle(little.view(f"<u{little.dtype.itemsize}"))
    packed = _compressor(_LEVEL).compress(payload)
    header["bytes"] = len(packed)
    return header, [packed]


def _compressor(level: int) -> zstandard.ZstdCompressor:
    # One object must not be used by two threads at once.
    compressors: dict[int, zstandard.ZstdCompressor] = _threads.__dict__.setdefault("compressors", {})
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level=level)
    return compressors[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_threads, "decompressor"):
        _threads.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _threads.decompressor
    return found


def _decode(header: dict[str, Any], packed: memoryview, into: Column | None = None) -> Column:
    n, dtype = int(header["n"]), np.dtype(header["type"])
    if into is not None and (len(into) != n or into.dtype != dtype):
        raise CorruptColumnsError(f"column {header['name']!r} has {n} values of {dtype}")
    found = _restored(header, packed, n, dtype, into)
    if into is not None and found is not into:
        into[...] = found
        return into
    return found


def _restored(
    header: dict[str, Any], packed: memoryview, n: int, dtype: np.dtype[Any], into: Column | None
) -> Column:
    if "changed" in header:
        return _unchanged(header, packed, n).view(dtype)
    if "step" in header:
        first, step = int(header["first"]), int(header["step"])
        integers = np.arange(first, first + n * step, step) if step else np.full(n, first)
        return _as_numbers(header, integers, dtype, into)
    width = int(header["width"]) if "first" in header else dtype.itemsize
    if zstandard.frame_content_size(packed) != n * width:
        raise CorruptColumnsError(f"column {header['name']!r} has not {n} values of {width} bytes")
    words = _unshuffle(_decompressor().decompress(packed), n, width)
    if "first" not in header:
        return words.view(dtype)
    integers = words.view(f"<i{width}").astype("<i8")
    if n:
        # The first difference is stored as zero: the running sum starts at the first value itself.
        if header["divisor"] != 1:
            integers *= header["divisor"]
        integers[0] = header["first"]
        np.cumsum(integers, out=integers)
    return _as_numbers(header, integers, dtype, into)


def _as_numbers(
    header: dict[str, Any], integers: NDArray[np.int64], dtype: np.dtype[Any], into: Column | None
) -> Column:
    if "decimals" in header:
        return np.divide(integers, _power_of_ten(header["decimals"]), out=into)
    return integers.astype(dtype, copy=False)


def _power_of_ten(decimals: int) -> float:
    return float(10**decimals)


def _ticks(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], int] | None:
    if not len(values):
        return np.empty(0, "<i8"), 0
    # A few values rule most candidates out before whole columns are tried.
    sample = values[:: max(1, len(values) // 64)]
    for decimals in _possible_decimals(sample):
        integers = _exact_ticks(values, decimals)
        if integers is not None:
            return integers, decimals
    return None


def _possible_decimals(sample: NDArray[np.float64]) -> list[int]:
    # All at once: for a thousand values, the calls cost more than the arithmetic.
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.rint(sample * _POWERS)
        exact = (np.abs(rounded) < _EXACT) & ((rounded / _POWERS) == sample)
    return [int(decimals) for decimals in np.flatnonzero(exact.all(axis=1))]


def _exact_ticks(values: NDArray[np.float64], decimals: int) -> NDArray[np.int64] | None:
    power = _power_of_ten(decimals)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.rint(values * power)
        if not bool(np.all(np.abs(rounded) < _EXACT)):
            return None
        integers = rounded.astype("<i8")
        # Compared as bits, so that -0.0 is not taken for 0.0. The decoder does this same division.
        if not np.array_equal((integers / power).view("<i8"), values.view("<i8")):
            return None
    return integers


def _step(integers: NDArray[np.int64]) -> int | None:
    """Return the difference that all integers have to the one before, None if there is no such thing."""
    if len(integers) < 2:
        return None
    first, last = int(integers[0]), int(integers[-1])
    step, rest = divmod(last - first, len(integers) - 1)
    # Most columns are ruled out by three of their values.
    middle = len(integers) // 2
    if rest or int(integers[middle]) != first + middle * step or max(abs(first), abs(last)) >= 2**62:
        return None
    # A block at a time, whose differences stay in the processor's cache.
    return step if all(map(partial(_steps_by, integers, step), range(1, len(integers), _BLOCK))) else None


def _steps_by(integers: NDArray[np.int64], step: int, start: int) -> bool:
    block = integers[start - 1 : start + _BLOCK]
    return bool((block[1:] - block[:-1] == step).all())


def _differences(integers: NDArray[np.int64]) -> tuple[int, int, NDArray[Any]] | None:
    if not len(integers):
        return 0, 1, np.empty(0, "<i1")
    # Wide enough apart, differences leave 64 bits; such a column is stored as it is.
    if int(integers.max()) - int(integers.min()) >= 2**62:
        return None
    steps = np.diff(integers, prepend=integers[:1])
    divisor = int(np.gcd.reduce(steps)) or 1
    if divisor != 1:
        steps //= divisor
    low, high = int(steps.min()), int(steps.max())
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    width = next(width for width in _WIDTHS if bits <= width * 8)
    return int(integers[0]), divisor, steps.astype(f"<i{width}")


def _is_curve(patterns: NDArray[np.int64]) -> bool:
    """Return whether, as far as a sample tells, few values differ much from the one before."""
    if len(patterns) < _SHORTEST_CURVE:
        return False
    places = np.arange(1, len(patterns), len(patterns) // 1024)
    steps = patterns[places] - patterns[places - 1]
    return int(((steps > -_SMALL_CHANGE) & (steps < _SMALL_CHANGE)).sum()) * 8 >= len(places) * 7


def _changes(patterns: NDArray[np.int64]) -> tuple[int, bytes, list[memoryview]]:
    # Differences wrap around in 64 bits, as their running sum does when it is read.
    steps = np.empty_like(patterns)
    steps[:1] = patterns[:1]
    np.subtract(patterns[1:], patterns[:-1], out=steps[1:])
    changed = steps != 0
    zigzag = steps[changed]
    # Zigzag: the sign goes to the lowest bit, so that small falls have empty high bytes as small rises do.
    signs = zigzag >> 63
    zigzag <<= 1
    zigzag ^= signs
    low, middle, high = (np.ascontiguousarray(part) for part in _parts(zigzag))
    noise = [low.view(np.uint8).data, middle.view(np.uint8).data]
    return len(zigzag), b"".join((np.packbits(changed).data, high.data)), noise


def _parts(words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the four lowest bytes of words of eight, the two above them and the two highest, as views."""
    return words.view("<u4")[::2], words.view("<u2")[2::4], words.view("<u2")[3::4]


def _unchanged(header: dict[str, Any], data: memoryview, n: int) -> NDArray[np.int64]:
    """Return the bit patterns of a column stored as changes."""
    count, flags = int(header["changed"]), -(-n // 8)
    noisy = "packed" in header
    packed = data[: header["packed"]] if noisy else data
    size = flags + (2 if noisy else 8) * count
    if (
        zstandard.frame_content_size(packed) != size
        or len(data) - len(packed) != noisy * _NOISE_BYTES * count
    ):
        raise CorruptColumnsError(f"column {header['name']!r} has not {count} changes of {n} values")
    unpacked = memoryview(_decompressor().decompress(packed))
    changed = np.unpackbits(np.frombuffer(unpacked[:flags], np.uint8), count=n).view(np.bool_)
    if noisy:
        noise = data[len(packed) :]
        zigzag = np.empty(count, "<u8")
        low, middle, high = _parts(zigzag)
        low[:] = np.frombuffer(noise[: 4 * count], "<u4")
        middle[:] = np.frombuffer(noise[4 * count :], "<u2")
        high[:] = np.frombuffer(unpacked[flags:], "<u2")
    else:
        zigzag = _unshuffle(unpacked[flags:], count, 8)
    signs = -(zigzag & np.uint64(1)).view("<i8")
    zigzag >>= np.uint64(1)
    found = zigzag.view("<i8")
    found ^= signs
    steps = np.zeros(n, "<i8")
    steps[changed] = found
    return np.cumsum(steps, out=steps)


def _shuffle(words: NDArray[Any]) -> bytes:
    width = words.dtype.itemsize
    return words.view(np.uint8).reshape(-1, width).T.tobytes()


def _unshuffle(data: bytes | memoryview, n: int, width: int) -> NDArray[Any]:
    planes = np.frombuffer(data, np.uint8).reshape(width, n)
    # Whole planes are shifted in, highest first: several times faster than transposing bytes.
    words: NDArray[Any] = planes[width - 1].astype(f"<u{width}")
    for plane in range(width - 2, -1, -1):
        words <<= 8
        words |= planes[plane]
    return words
