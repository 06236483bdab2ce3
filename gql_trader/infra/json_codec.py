"""JSON by orjson: one place that decides how values are written."""

from decimal import Decimal
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def dumps(value: Any) -> bytes:
    """Return compact UTF-8 JSON; decimals as strings, numpy arrays as lists, UUIDs and dates as text."""
    return orjson.dumps(value, default=_default, option=_OPTIONS)


def dumps_text(value: Any) -> str:
    """Return the same as text."""
    return dumps(value).decode()


def dumps_canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, so that equal content gives equal bytes and may be hashed."""
    return orjson.dumps(value, default=_default, option=_OPTIONS | orjson.OPT_SORT_KEYS)


def loads(data: bytes | str) -> Any:
    """Parse JSON.

    Raises
    ------
    ValueError
        If the text is not JSON.
    """
    return orjson.loads(data)
