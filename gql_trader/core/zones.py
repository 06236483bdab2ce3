"""The days of time zones: where each begins, daylight-saving changes included."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

UTC_ZONE: Final = "UTC"

_DAY = 86_400_000
_EPOCH, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)

# They name no zone, but the machine's own and a place for one.
_NO_ZONES = frozenset({"localtime", "Factory"})


@cache
def time_zones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(available_timezones()) - _NO_ZONES


def known_zone(zone: str) -> str:
    """Return a time zone, or UTC if there is none of the name: the IANA database drops some at times."""
    return zone if zone in time_zones() else UTC_ZONE


@lru_cache(maxsize=1000)
def offsets(zone: str) -> tuple[tuple[int, int], ...]:
    """Return by how much a zone's clocks are ahead of UTC, and since when: (moment, offset) in order.

    Milliseconds, moments as Unix time; of the years 1970 to 2100, before and after which the first and the
    last hold. A zone whose clocks always show UTC has none.

    Raises
    ------
    zoneinfo.ZoneInfoNotFoundError
        If there is no such zone.
    """
    clock = ZoneInfo(zone)
    found: list[tuple[datetime, timedelta]] = []
    moment, step = _EPOCH, timedelta(days=1)
    while moment < _END:
        offset = _ahead(clock, moment)
        if not found:
            found.append((moment, offset))
        elif offset != found[-1][1]:
            low, high = moment - step, moment
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                if _ahead(clock, middle) == found[-1][1]:
                    low = middle
                else:
                    high = middle
            # Clocks change at whole seconds.
            found.append((high.replace(microsecond=0), offset))
        moment += step
    if len(found) == 1 and not found[0][1]:
        return ()
    return tuple(
        ((moment - _EPOCH) // timedelta(milliseconds=1), offset // timedelta(milliseconds=1))
        for moment, offset in found
    )


def _ahead(clock: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(clock).utcoffset()
    assert offset is not None, "a moment in a zone has an offset"
    return offset


def day_begins(zone: str, day: int) -> int:
    """Return the moment, Unix milliseconds, at which a day of a zone begins: its clocks first show it.

    Parameters
    ----------
    day
        Days since 1970-01-01 in that zone.
    """
    table = offsets(zone)
    if not table:
        return day * _DAY
    # The zone's clocks differ from UTC by less than a day and a half.
    at = max(0, bisect_right(table, (day * _DAY - 3 * _DAY // 2, 0)) - 1)
    while True:
        moment, offset = table[at]
        begins = day * _DAY - offset
        ends = table[at + 1][0] if at + 1 < len(table) else None
        if ends is None or begins < ends:
            # Where clocks jump over midnight the day begins with the jump.
            return max(begins, moment) if at else begins
        at += 1


def day_of(zone: str, moment: int) -> int:
    """Return the day, counted since 1970-01-01, that a zone's clocks show at a moment (Unix milliseconds)."""
    table = offsets(zone)
    at = max(0, bisect_right(table, (moment, 2 * _DAY)) - 1)
    return (moment + (table[at][1] if table else 0)) // _DAY
