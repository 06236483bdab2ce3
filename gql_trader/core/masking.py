"""What of a key may be shown to whoever owns it."""

_SHOWN = 4
_SHORTEST_SHOWN = 16
_HIDDEN = "********"


def mask(key: str) -> str:
    """Return the first and the last four characters of a key, and nothing of one under sixteen."""
    return f"{key[:_SHOWN]}{_HIDDEN}{key[-_SHOWN:]}" if len(key) >= _SHORTEST_SHOWN else _HIDDEN
