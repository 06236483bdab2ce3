"""When an automation runs: five fields of cron in a time zone.

As in Debian's cron, clocks that change do not make a daily job run twice or not at all: what falls into the
hour that is left out runs as it ends, and what falls into the hour that comes twice runs the first time.
Jobs of every hour or every few minutes go on by elapsed time.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from gql_trader.core.errors import DomainError, InvalidInput
from gql_trader.core.zones import time_zones

_FIELDS = 5
_LOOKED_AT = 300
"""Moments whose distance is checked: more than a day of the densest rule that could be allowed."""
_LONGEST_EXPRESSION = 100
_COUNTED = 1000
_DRAWN = re.compile(r"(^|[\s,])[rh]([(/,\s]|$)", re.IGNORECASE)
"""Fields that croniter draws by lot, or from a hash: another moment each time they are read."""


def moments(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield the moments of a rule after another one, in UTC.

    Raises
    ------
    ValueError
        If the rule is malformed; as soon as the first is asked for.
    """
    rule = _read(cron, timezone, after)
    try:
        while True:
            moment = rule.get_next(datetime)
            if not _has_been(cron, moment):
                yield moment.astimezone(UTC)
    except CroniterBadDateError:
        return


def _read(cron: str, timezone: str, moment: datetime) -> croniter:
    if _DRAWN.search(cron):
        raise ValueError(f"[{cron}] has a field that is drawn by lot")
    # Days that begin with an asterisk narrow weekdays, as everywhere else.
    return croniter(cron, moment.astimezone(ZoneInfo(timezone)), implement_cron_bug=True)


def _has_been(cron: str, moment: datetime) -> bool:
    """Whether a rule of fixed times has had this time of day, which the clocks show again."""
    minute, hour = cron.split()[:2]
    return moment.fold == 1 and not minute.startswith("*") and not hour.startswith("*")


def next_moment(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first moment of a rule after another one, in UTC."""
    return next(moments(cron, timezone, after))


def check_schedule(cron: str, timezone: str, now: datetime, distance_seconds: int) -> list[DomainError]:
    """Return what is wrong with a rule."""
    problems: list[DomainError] = []
    if timezone not in time_zones():
        problems.append(
            InvalidInput("This is no time zone of the IANA database, such as Europe/Berlin.", ("timezone",))
        )
    if len(cron) > _LONGEST_EXPRESSION or len(cron.split()) != _FIELDS:
        problems.append(
            InvalidInput("cron has five fields: minute, hour, day, month and weekday.", ("cron",))
        )
    if problems:
        return problems
    try:
        found = list(islice(moments(cron, timezone, now), _LOOKED_AT))
    except ValueError as error:
        return [InvalidInput(f"This is no rule of cron: {error}.", ("cron",))]
    if not found:
        return [InvalidInput("This rule names no moment that ever comes.", ("cron",))]
    if any(later - earlier < timedelta(seconds=distance_seconds) for earlier, later in pairwise(found)):
        minutes = distance_seconds / 60
        return [InvalidInput(f"Between two runs there are at least {minutes:g} minutes.", ("cron",))]
    return []


def due_moments(cron: str, timezone: str, first: datetime, now: datetime) -> tuple[datetime, int, datetime]:
    """Return the latest moment that is due, how many were before it, and the next one.

    Parameters
    ----------
    first
        The earliest moment that is due; not after ``now``.
    """
    latest, missed = first, 0
    for moment in moments(cron, timezone, first):
        if moment > now:
            return latest, missed, moment
        latest, missed = moment, missed + 1
        if missed >= _COUNTED:
            # Years of absence: the rest is not counted one by one.
            latest = max(latest, _last_before(cron, timezone, now))
            return latest, missed, next_moment(cron, timezone, now)
    return latest, missed, next_moment(cron, timezone, now)


def _last_before(cron: str, timezone: str, now: datetime) -> datetime:
    rule = _read(cron, timezone, now)
    while _has_been(cron, moment := rule.get_prev(datetime)):
        pass
    return moment.astimezone(UTC)
