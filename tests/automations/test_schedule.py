"""When automations run: cron in a time zone, changes of clocks included."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_trader.automations.schedule import check_schedule, due_moments, moments

BERLIN = "Europe/Berlin"
SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)


def first(cron: str, timezone: str, after: datetime, count: int) -> list[str]:
    return [moment.strftime("%m-%d %H:%M") for moment in islice(moments(cron, timezone, after), count)]


def test_a_rule_is_read_in_its_time_zone() -> None:
    assert first("30 8 * * 1-5", "America/New_York", datetime(2026, 1, 2, 18, tzinfo=UTC), 2) == [
        "01-05 13:30",
        "01-06 13:30",
    ]


def test_what_falls_into_the_hour_left_out_runs_as_it_ends() -> None:
    # On 29 March 02:00 is followed by 03:00, which is 01:00 in UTC.
    assert first("30 2 * * *", BERLIN, SPRING, 2) == ["03-29 01:00", "03-30 00:30"]


def test_what_falls_into_the_hour_that_comes_twice_runs_once() -> None:
    # On 25 October 02:30 is 00:30 in UTC, and an hour later again.
    assert first("30 2 * * *", BERLIN, AUTUMN, 2) == ["10-25 00:30", "10-26 01:30"]


def test_what_runs_every_half_hour_runs_in_both_hours_of_the_same_name() -> None:
    begin = datetime(2026, 10, 24, 23, 45, tzinfo=UTC)
    assert first("*/30 2-3 * * *", BERLIN, begin, 6) == [
        "10-25 00:00",
        "10-25 00:30",
        "10-25 01:00",
        "10-25 01:30",
        "10-25 02:00",
        "10-25 02:30",
    ]


def test_the_last_moment_before_is_not_the_time_of_day_that_comes_again() -> None:
    first_due = datetime(2020, 1, 1, 1, 30, tzinfo=UTC)
    latest, _, following = due_moments(
        "30 2 * * *", BERLIN, first_due, datetime(2026, 10, 25, 1, 45, tzinfo=UTC)
    )
    assert latest == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert following == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_day_of_the_month_and_a_weekday_are_either_of_them_unless_one_is_any() -> None:
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert first("0 0 15 * 1", "UTC", begin, 3) == ["01-05 00:00", "01-12 00:00", "01-15 00:00"]
    assert first("0 0 */2 * 1", "UTC", begin, 2) == ["01-05 00:00", "01-19 00:00"]


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_an_hourly_rule_runs_every_hour_that_there_is(day: datetime) -> None:
    found = list(islice(moments("0 * * * *", BERLIN, day), 40))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_what_was_missed_is_one_run_of_the_latest_moment() -> None:
    first_due = datetime(2026, 6, 1, 8, tzinfo=UTC)
    now = datetime(2026, 6, 4, 9, 15, tzinfo=UTC)
    latest, missed, following = due_moments("0 8 * * *", "UTC", first_due, now)
    assert (latest, missed, following) == (
        datetime(2026, 6, 4, 8, tzinfo=UTC),
        3,
        datetime(2026, 6, 5, 8, tzinfo=UTC),
    )


def test_years_of_absence_are_not_counted_one_by_one() -> None:
    now = datetime(2026, 6, 4, 9, 17, tzinfo=UTC)
    latest, missed, following = due_moments("*/5 * * * *", "UTC", datetime(2020, 1, 1, tzinfo=UTC), now)
    assert latest == datetime(2026, 6, 4, 9, 15, tzinfo=UTC)
    assert following == datetime(2026, 6, 4, 9, 20, tzinfo=UTC)
    assert missed == 1000


@settings(deadline=None)
@given(
    st.sampled_from(["*/5 * * * *", "30 2 * * *", "0 9 1 * *", "15 */7 * * 1,3"]),
    st.sampled_from([BERLIN, "UTC", "Australia/Lord_Howe", "America/New_York"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
    st.floats(0, 3),
)
def test_the_latest_moment_is_due_and_the_next_one_is_not(
    cron: str, timezone: str, begin: datetime, days: float
) -> None:
    first_due = next(moments(cron, timezone, begin.replace(tzinfo=UTC)))
    now = first_due + timedelta(days=days)
    latest, missed, following = due_moments(cron, timezone, first_due, now)
    assert first_due <= latest <= now < following
    between = [moment for moment in islice(moments(cron, timezone, first_due), missed + 2) if moment <= now]
    assert len(between) == missed


@pytest.mark.parametrize(
    ("cron", "timezone", "path", "message"),
    [
        ("* * * *", "UTC", "cron", "five fields"),
        ("* * * * * *", "UTC", "cron", "five fields"),
        ("@daily", "UTC", "cron", "five fields"),
        ("61 * * * *", "UTC", "cron", "no rule of cron"),
        ("0 0 31 2 *", "UTC", "cron", "no moment that ever comes"),
        ("R 8 * * *", "UTC", "cron", "drawn by lot"),
        ("0 r(1-5) * * *", "UTC", "cron", "drawn by lot"),
        ("H 8 * * *", "UTC", "cron", "drawn by lot"),
        ("* * * * *", "UTC", "cron", "at least 5 minutes"),
        ("0,59 * * * *", "UTC", "cron", "at least 5 minutes"),
        ("0 0 * * *", "Mars/Olympus", "timezone", "no time zone"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(cron: str, timezone: str, path: str, message: str) -> None:
    [problem] = check_schedule(cron, timezone, SPRING, 300)
    assert problem.path == (path,)
    assert message in problem.message


def test_a_rule_of_every_five_minutes_is_allowed() -> None:
    assert check_schedule("*/5 * * * *", BERLIN, SPRING, 300) == []
