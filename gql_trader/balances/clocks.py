"""When a user's balance is noted and told next. Days and hours are those of the user's time zone."""

from datetime import UTC, date, datetime, timedelta

from gql_trader.automations.schedule import next_moment
from gql_trader.balances.types import Timing
from gql_trader.core.clock import from_milliseconds
from gql_trader.core.zones import day_begins, known_zone

AFTER_MIDNIGHT = timedelta(minutes=5)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(1970, 1, 1)


def end_of(day: date, zone: str) -> datetime:
    """Return the moment at which a day of a zone is over: daylight saving makes some of 23 or 25 hours.

    The first look at a zone takes a tenth of a second.
    """
    return from_milliseconds(day_begins(known_zone(zone), (day - _FIRST_DAY).days + 1))


def sum_up_at(day: date, zone: str) -> datetime:
    """Return when a day is summed up: shortly after it, when its last bars have been traded."""
    return end_of(day, zone) + AFTER_MIDNIGHT


def next_unsummed(day: date, zone: str, now: datetime) -> tuple[date, datetime]:
    """Return the first day from ``day`` on that it is not yet time to sum up, and when it will be."""
    while (at := sum_up_at(day, zone)) <= now:
        day += timedelta(days=1)
    return day, at


def day_of(moment: datetime, zone: str) -> date:
    """Return the day of a zone that a moment is in."""
    # A day ends when the next begins, whatever the clocks show in between.
    day = (moment - timedelta(days=2)).astimezone(UTC).date()
    while end_of(day, zone) <= moment:
        day += timedelta(days=1)
    return day


def next_snapshot(timing: Timing, after: datetime) -> datetime:
    """Return the first whole multiple of the pause between snapshots after a moment."""
    return _EPOCH + ((after - _EPOCH) // timing.every + 1) * timing.every


def next_heartbeat(timing: Timing, zone: str, after: datetime) -> datetime | None:
    """Return the first hour of a zone's day, of those that are set, after a moment; None: none is set.

    An hour that clocks leave out comes as they jump, one that they show twice comes the first time.
    """
    if not timing.hours:
        return None
    return next_moment(f"0 {','.join(map(str, timing.hours))} * * *", known_zone(zone), after)
