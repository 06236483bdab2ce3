"""Ids, time, money and intervals."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_trader.core.actor import Role
from gql_trader.core.clock import from_milliseconds, to_milliseconds
from gql_trader.core.errors import DomainErrors
from gql_trader.core.ids import uuid7
from gql_trader.core.intervals import Interval
from gql_trader.core.money import to_decimal, to_exact, to_float, to_price
from gql_trader.core.zones import day_begins, offsets


def test_uuid7_has_version_and_variant_and_begins_with_the_time() -> None:
    before = to_milliseconds(datetime.now(UTC))
    made = uuid7()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert before <= made.int >> 80 <= to_milliseconds(datetime.now(UTC))


def test_uuid7_does_not_repeat() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_milliseconds_round_trip(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert from_milliseconds(to_milliseconds(aware)) == aware


def test_milliseconds_need_a_time_zone() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        to_milliseconds(datetime(2026, 1, 1))
    assert to_milliseconds(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (-0.0, "0"),
        (1e-9, "0"),
        (10000.0, "10000"),
        (1 / 3, "0.33333333"),
        (1e22, "1" + "0" * 22),
    ],
)
def test_money_becomes_a_decimal_of_eight_places(value: float, expected: str) -> None:
    assert str(to_decimal(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (4.1e-9, "0.0000000041"),
        (4.1e-9 * (1 + 1 / 3), "0.00000000546666666667"),
        (1 / 3, "0.333333333333"),
        (200 / 3, "66.6666666667"),
        (200_000 / 3, "66666.66666667"),
        (0.1 + 0.2, "0.3"),
        (-0.0, "0"),
        (1e300, "1" + "0" * 300),
    ],
)
def test_a_computed_price_keeps_eight_places_or_twelve_digits(value: float, expected: str) -> None:
    assert f"{to_price(value):f}" == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (4.1e-9, "0.0000000041"),
        (0.123456789012, "0.123456789012"),
        (1.23456789012345e-12, "0.00000000000123456789012345"),
        (64_000.5, "64000.5"),
        (1e22, "1" + "0" * 22),
        (0.0, "0"),
    ],
)
def test_a_stored_price_comes_back_as_it_was_written(value: float, expected: str) -> None:
    assert f"{to_exact(value):f}" == expected
    assert to_float(to_exact(value)) == value


@pytest.mark.parametrize("convert", [to_decimal, to_price, to_exact])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_money_is_never_nan_or_infinite(convert: Callable[[float], Decimal], value: float) -> None:
    with pytest.raises(ValueError, match="not a finite amount"):
        convert(value)


@given(st.decimals(min_value=-(10**7), max_value=10**7, places=8, allow_nan=False))
def test_decimals_of_eight_places_survive_the_crossing(amount: Decimal) -> None:
    assert to_decimal(to_float(amount)) == amount


def test_weeks_open_on_monday() -> None:
    wednesday = datetime(2026, 11, 18, 15, tzinfo=UTC)
    opening = from_milliseconds(Interval.W1.floor(to_milliseconds(wednesday)))
    assert opening == datetime(2026, 11, 16, tzinfo=UTC)


@given(st.sampled_from(Interval), st.integers(min_value=-(10**13), max_value=10**13))
def test_floor_finds_the_candle_that_contains_a_moment(interval: Interval, moment: int) -> None:
    opening = interval.floor(moment)
    assert opening <= moment < opening + interval.milliseconds
    assert interval.floor(opening) == opening


def test_intervals_that_divide_others() -> None:
    assert Interval.M5.divides(Interval.H1)
    assert Interval.D1.divides(Interval.W1)
    assert not Interval.H1.divides(Interval.M5)
    assert not Interval.M3.divides(Interval.M5)


def test_roles_include_lower_ones() -> None:
    assert Role.ADMIN.includes(Role.VIEWER)
    assert Role.TRADER.includes(Role.TRADER)
    assert not Role.VIEWER.includes(Role.TRADER)


def test_domain_errors_are_never_empty() -> None:
    with pytest.raises(ValueError, match="at least one"):
        DomainErrors([])


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Africa/Casablanca", "Asia/Kathmandu"]),
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2100, 12, 30)),
)
def test_clocks_are_ahead_of_utc_by_what_the_zone_says(zone: str, moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    table = offsets(zone)
    ahead = [offset for since, offset in table if since <= to_milliseconds(aware)][-1:] or [0]
    assert timedelta(milliseconds=ahead[0]) == aware.astimezone(ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize(
    ("zone", "date", "begins"),
    [
        ("UTC", "2024-03-10", "2024-03-10T00:00"),
        # The day before the clocks are set forward, that day, and the one after.
        ("America/New_York", "2024-03-09", "2024-03-09T05:00"),
        ("America/New_York", "2024-03-10", "2024-03-10T05:00"),
        ("America/New_York", "2024-03-11", "2024-03-11T04:00"),
        # Midnight was skipped: the day began at one o'clock.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00"),
        # Clocks were set back a minute after midnight: the day had begun.
        ("America/St_Johns", "2009-11-01", "2009-11-01T02:30"),
        # A day that was left out begins with the next one.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00"),
    ],
)
def test_a_day_begins_when_clocks_first_show_it(zone: str, date: str, begins: str) -> None:
    day = (datetime.fromisoformat(date) - datetime(1970, 1, 1)).days
    assert from_milliseconds(day_begins(zone, day)) == datetime.fromisoformat(begins).replace(tzinfo=UTC)
