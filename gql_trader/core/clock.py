"""Time as a dependency: code that needs the present receives a clock."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the present time."""

    def now(self) -> datetime:
        """Return the present time, timezone-aware, in UTC."""
        ...


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return datetime.now(UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return Unix milliseconds of a timezone-aware moment, rounded down."""
    if moment.tzinfo is None:
        raise ValueError("a timezone-aware datetime is needed")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the UTC datetime of Unix milliseconds, exactly."""
    seconds, rest = divmod(int(milliseconds), 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
