"""When balances are noted and told: in everybody's own time zone, on every kind of day."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from gql_trader.balances.clocks import day_of, end_of, next_heartbeat, next_snapshot
from gql_trader.balances.types import Timing

TIMING = Timing(timedelta(minutes=10), (2, 8, 14, 20))


def _utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _heartbeats(zone: str, after: datetime, count: int) -> list[datetime]:
    found = []
    for _ in range(count):
        following = next_heartbeat(TIMING, zone, after)
        assert following is not None
        found.append(following)
        after = following
    return found


def test_snapshots_are_taken_at_whole_multiples_of_the_pause() -> None:
    assert next_snapshot(TIMING, _utc(2026, 11, 22, 12, 3, 20)) == _utc(2026, 11, 22, 12, 10)
    # The moment itself is over.
    assert next_snapshot(TIMING, _utc(2026, 11, 22, 12, 10)) == _utc(2026, 11, 22, 12, 20)
    hourly = Timing(timedelta(minutes=60), ())
    assert next_snapshot(hourly, _utc(2026, 12, 31, 23, 59)) == _utc(2027, 1, 1)


def test_heartbeats_come_at_the_hours_of_the_users_day() -> None:
    assert _heartbeats("Asia/Kathmandu", _utc(2026, 11, 22), 4) == [
        _utc(2026, 11, 22, 2, 15),
        _utc(2026, 11, 22, 8, 15),
        _utc(2026, 11, 22, 14, 15),
        _utc(2026, 11, 22, 20, 15),
    ]
    assert next_heartbeat(Timing(timedelta(minutes=10), ()), "UTC", _utc(2026, 11, 22)) is None


def test_a_heartbeat_in_the_hour_that_clocks_leave_out_comes_as_they_jump() -> None:
    # In Berlin, 2 o'clock is 3 o'clock on that day.
    assert _heartbeats("Europe/Berlin", _utc(2027, 3, 27, 20), 4) == [
        _utc(2027, 3, 28, 1),
        _utc(2027, 3, 28, 6),
        _utc(2027, 3, 28, 12),
        _utc(2027, 3, 28, 18),
    ]


def test_a_heartbeat_in_the_hour_that_clocks_show_twice_comes_once() -> None:
    assert _heartbeats("Europe/Berlin", _utc(2026, 10, 24, 19), 3) == [
        _utc(2026, 10, 25, 0),
        _utc(2026, 10, 25, 7),
        _utc(2026, 10, 25, 13),
    ]


@pytest.mark.parametrize(
    ("zone", "day", "end", "hours"),
    [
        ("UTC", date(2026, 11, 22), _utc(2026, 11, 23), 24),
        ("America/New_York", date(2026, 11, 22), _utc(2026, 11, 23, 5), 24),
        ("America/New_York", date(2026, 3, 8), _utc(2026, 3, 9, 4), 23),
        ("America/New_York", date(2026, 11, 1), _utc(2026, 11, 2, 5), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), _utc(2026, 4, 5, 13, 30), 24.5),
        ("Pacific/Kiritimati", date(2026, 11, 22), _utc(2026, 11, 22, 10), 24),
        # Clocks jump from midnight to one: the day before ends as they jump.
        ("Africa/Cairo", date(2026, 4, 23), _utc(2026, 4, 23, 22), 24),
        ("Africa/Cairo", date(2026, 4, 24), _utc(2026, 4, 24, 21), 23),
    ],
)
def test_days_end_at_the_users_midnight(zone: str, day: date, end: datetime, hours: float) -> None:
    assert end_of(day, zone) == end
    assert end - end_of(day - timedelta(days=1), zone) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "zone", ["UTC", "America/New_York", "Africa/Cairo", "Pacific/Kiritimati", "Etc/GMT+12"]
)
def test_every_moment_is_in_one_day(zone: str) -> None:
    moments = [_utc(2026, 3, 1) + timedelta(hours=5 * count) for count in range(500)]
    days = [day_of(moment, zone) for moment in moments]
    for moment, day in zip(moments, days, strict=True):
        assert end_of(day - timedelta(days=1), zone) <= moment < end_of(day, zone)
    assert all(later - earlier in (timedelta(0), timedelta(days=1)) for earlier, later in pairwise(days))
    # The moment at which a day ends is in the next.
    assert day_of(end_of(days[0], zone), zone) == days[0] + timedelta(days=1)
