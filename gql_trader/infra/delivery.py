"""What may come of handing something to another server, whatever the protocol."""

from datetime import datetime
from email.utils import parsedate_to_datetime


class NotDeliveredError(Exception):
    """It was not taken over; trying again may help.

    Parameters
    ----------
    reason
        For the operator; no secret is in it.
    retry_after
        Seconds that the server asks to wait; None if it does not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RefusedError(Exception):
    """The server refuses it for good, or must not be spoken to."""


class TargetGoneError(Exception):
    """There is no such receiver, or it wants nothing from us: nothing will ever be delivered to it."""


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds in a Retry-After header (RFC 9110, 10.2.3); None if it says nothing."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None
