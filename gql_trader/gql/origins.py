"""Web origins, as browsers send them."""

from collections.abc import Collection
from urllib.parse import urlsplit


def is_own_origin(origin: str, host: str | None, schemes: Collection[str] = ("https", "http")) -> bool:
    """Return whether an Origin header names this server, by the Host header of the same request.

    What is malformed names nobody.
    """
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.netloc) and parts.netloc == host
