"""U+0000: PostgreSQL stores none, and no text that people write has one, so that requests may not either."""

import re
from typing import Any

from gql_trader.infra import json_codec

REFUSAL = "The character U+0000 is not allowed."

# In a GraphQL string; a backslash before the backslash makes it plain text.
_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?:0000|\{0+\})")


class NulError(Exception):
    """The JSON has a string with the character U+0000."""

    def __init__(self) -> None:
        super().__init__(REFUSAL)


def loads(text: bytes | str) -> Any:
    """Parse JSON whose strings have no U+0000.

    Raises
    ------
    ValueError
        If the text is not JSON.
    NulError
        If a string or a key has the character.
    """
    value = json_codec.loads(text)
    # JSON has one way only to write the character; without it there is nothing to walk through.
    suspicious = b"\\u0000" in text if isinstance(text, bytes) else "\\u0000" in text
    if suspicious and _has_nul(value):
        raise NulError
    return value


def document_has_nul(text: str) -> bool:
    """Return whether a GraphQL document has the character, as it is or as an escape in a string."""
    return "\0" in text or _ESCAPE.search(text) is not None


def _has_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text) if "\0" in text:
                return True
            case list(values):
                waiting.extend(values)
            case dict(entries):
                waiting.extend(entries)
                waiting.extend(entries.values())
    return False
