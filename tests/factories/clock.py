"""A clock that tests move."""

from datetime import UTC, datetime, timedelta


class MovableClock:
    """Shows the machine's time, moved by what a test says."""

    def __init__(self) -> None:
        self._moved = timedelta()

    def now(self) -> datetime:
        """Return the time shown."""
        return datetime.now(UTC) + self._moved

    def move(self, **by: float) -> None:
        """Move forward; the arguments are those of `timedelta`."""
        self._moved += timedelta(**by)


class SetClock:
    """Shows what a test sets it to, and stands still.

    Attributes
    ----------
    moment
        The time shown.
    """

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """Return the time shown."""
        return self.moment

    def move(self, **by: float) -> None:
        """Move forward; the arguments are those of `timedelta`."""
        self.moment += timedelta(**by)
